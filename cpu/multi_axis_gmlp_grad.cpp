// The derivative of the multi-axis gMLP, again branch by branch and group by group.
//
// First what it means, in loops; below it the fast way.  A group's forward values are computed anew
// in scratch, all but P LN(b), the dearest, which the forward pass kept.  With xh, uh, bh the
// normalized rows, gate = a m, m = P LN(b) + pb + 1:
//   [du | dgate] = dy [W2' | (Wo W2)']       da = dgate m      dm = dgate a
//   dP = dm LN(b)'     dLN(b) = P' dm        through LN and GELU to dWi's rows, LN, GELU, W1's, LN
// Weights meet rows in few products: what is summed over all pixels is
//   u'dy, gate'dy, uh'dab, xh'dh  and dP,
// and dW2, dWo, dWi, dW1 and the layer norms' gamma and beta follow from these once per call.
// gmlp's derivative is what is between u and y, with x and dy in the places of u and du.
//
// Threads take pieces: fixed runs of groups with sums of their own, added in order.
#include "cpu/gmlp_back.h"
namespace satin::cpu::SATIN_ISA {
namespace {

// --- the meaning -----------------------------------------------------------------------------

template <class T>
struct PlainSlot {
  T *n1, *t1, *u, *n2, *t2, *ab, *bn;  ///< rows: c, b, b, b, 2b, 2b, b
  T *dm, *du, *dab;                    ///< b, b, 2b
  T *m{}, *z{}, *dn{}, *d{};           ///< single rows

  PlainSlot(const Branch<T>& w, Carve<T>& from) {
    const int64_t s = w.pixels, b = w.b;
    n1 = from.take(s * w.c), t1 = from.take(s * b), u = from.take(s * b), n2 = from.take(s * b);
    t2 = from.take(s * 2 * b), ab = from.take(s * 2 * b), bn = from.take(s * b);
    dm = from.take(s * b), du = from.take(s * b), dab = from.take(s * 2 * b);
    for (T** row : {&m, &z, &dn, &d}) *row = from.take(2 * b + w.c);
  }
};

/// dx of a layer norm's row, and its part of dgamma and dbeta.
template <class T>
void plain_layer_norm_grad(
    T* dx, const T* x, const T* dy, int64_t c, T eps, const T* gamma, T* dgamma, T* dbeta) {
  T mean = 0, variance = 0, sum_g = 0, sum_gh = 0;
  for (int64_t i = 0; i < c; ++i) mean += x[i];
  mean /= T(c);
  for (int64_t i = 0; i < c; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const T rstd = T(1) / std::sqrt(variance / T(c) + eps);
  for (int64_t i = 0; i < c; ++i) {
    const T h = (x[i] - mean) * rstd;
    sum_g += gamma[i] * dy[i];
    sum_gh += gamma[i] * dy[i] * h;
    dgamma[i] += dy[i] * h;
    dbeta[i] += dy[i];
  }
  for (int64_t i = 0; i < c; ++i)
    dx[i] = rstd * (gamma[i] * dy[i] - sum_g / T(c) - (x[i] - mean) * rstd * (sum_gh / T(c)));
}

/// Backward through y = x w + b for one row: dx, and its part of dw and db.
template <class T>
void plain_row_grad(T* dx,
                    const T* x,
                    int64_t k,
                    const T* w,
                    int64_t w_row,
                    int64_t cols,
                    const T* dy,
                    T* dw,
                    T* db) {
  for (int64_t i = 0; i < k; ++i) {
    dx[i] = 0;
    for (int64_t j = 0; j < cols; ++j) {
      dx[i] += w[i * w_row + j] * dy[j];
      dw[i * w_row + j] += x[i] * dy[j];
    }
  }
  for (int64_t j = 0; db && j < cols; ++j) db[j] += dy[j];
}

template <class T>
void plain_gelu_grad(T* d, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) d[i] = scalar::gelu_grad(x[i], d[i], BinaryAttrs{});
}

template <class T>
void plain_group(const Branch<T>& w,
                 const BranchWeights<T*>& dw,
                 const T* dy_image,
                 const PlainSlot<T>& s,
                 int64_t g) {
  const int64_t pixels = w.pixels, b = w.b, c = w.c;
  Walk forward(w.places, g), gated(w.places, g), back(w.places, g);
  for (int64_t i = 0; i < pixels; ++i) {
    T *n1 = s.n1 + i * c, *u = s.u + i * b, *n2 = s.n2 + i * b, *ab = s.ab + i * 2 * b;
    const T* x = w.x + forward.take() * c;
    if (w.outer) {
      plain_layer_norm(n1, x, c, w.eps, w.norm_gamma, w.norm_beta);
      plain_linear(s.t1 + i * b, n1, c, w.w1 + w.b0, 2 * c, b, w.b1 + w.b0);
    }
    for (int64_t j = 0; j < b; ++j) u[j] = w.outer ? s.t1[i * b + j] : x[j];
    if (w.outer) plain_gelu(u, b);
    plain_layer_norm(n2, u, b, w.eps, w.gmlp_gamma, w.gmlp_beta);
    plain_linear(s.t2 + i * 2 * b, n2, b, w.wi, 2 * b, 2 * b, w.bi);
    for (int64_t j = 0; j < 2 * b; ++j) ab[j] = s.t2[i * 2 * b + j];
    plain_gelu(ab, 2 * b);
    plain_layer_norm(s.bn + i * b, ab + b, b, w.eps, w.gate_gamma, w.gate_beta);
  }
  for (int64_t i = 0; i < pixels; ++i) {
    const T *dy = dy_image + gated.take() * c, *a = s.ab + i * 2 * b;
    const T* mixed = mixed_rows(w, g) + i * b;
    for (int64_t j = 0; j < b; ++j) s.m[j] = mixed[j] + (w.pb[i] + T(1));
    for (int64_t j = 0; j < b; ++j) s.d[j] = a[j] * s.m[j];  // the gate
    T* du = s.du + i * b;
    if (w.outer) {
      plain_linear(s.z, s.d, b, w.wo, b, b, w.bo);
      for (int64_t j = 0; j < b; ++j) s.z[j] += s.u[i * b + j];
      plain_row_grad(du, s.z, b, w.w2 + w.b0 * c, c, c, dy, dw.w2 + w.b0 * c,
                     w.first ? dw.b2 : nullptr);
    } else {
      for (int64_t j = 0; j < b; ++j) du[j] = dy[j];
    }
    plain_row_grad(s.dn, s.d, b, w.wo, b, b, du, dw.wo, dw.bo);
    for (int64_t j = 0; j < b; ++j) {
      s.dab[i * 2 * b + j] = s.dn[j] * s.m[j];
      s.dm[i * b + j] = s.dn[j] * a[j];
    }
  }
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t j = 0; j < b; ++j) {
      dw.pb[i] += s.dm[i * b + j];
      for (int64_t q = 0; q < pixels; ++q)
        dw.p[i * pixels + q] += s.dm[i * b + j] * s.bn[q * b + j];
    }
  }
  for (int64_t i = 0; i < pixels; ++i) {
    const int64_t pixel = back.take();
    const T *x = w.x + pixel * c, *u = s.u + i * b;
    T *dab = s.dab + i * 2 * b, *du = s.du + i * b, *dx = w.y + pixel * c;
    for (int64_t j = 0; j < b; ++j) {
      s.dn[j] = 0;
      for (int64_t q = 0; q < pixels; ++q) s.dn[j] += w.p[q * pixels + i] * s.dm[q * b + j];
    }
    plain_layer_norm_grad(dab + b, s.ab + i * 2 * b + b, s.dn, b, w.eps, w.gate_gamma,
                          dw.gate_gamma, dw.gate_beta);
    plain_gelu_grad(dab, s.t2 + i * 2 * b, 2 * b);
    plain_row_grad(s.dn, s.n2 + i * b, b, w.wi, 2 * b, 2 * b, dab, dw.wi, dw.bi);
    plain_layer_norm_grad(s.d, u, s.dn, b, w.eps, w.gmlp_gamma, dw.gmlp_gamma, dw.gmlp_beta);
    for (int64_t j = 0; j < b; ++j) du[j] += s.d[j];
    if (!w.outer) {
      for (int64_t j = 0; j < c; ++j) dx[j] = du[j];
      continue;
    }
    plain_gelu_grad(du, s.t1 + i * b, b);
    plain_row_grad(s.dn, s.n1 + i * c, c, w.w1 + w.b0, 2 * c, b, du, dw.w1 + w.b0, dw.b1 + w.b0);
    plain_layer_norm_grad(s.d, x, s.dn, c, w.eps, w.norm_gamma, dw.norm_gamma, dw.norm_beta);
    const T* from = w.first ? dy_image + pixel * c : dx;
    for (int64_t j = 0; j < c; ++j) dx[j] = from[j] + s.d[j];
  }
}

// --- the fast way ----------------------------------------------------------------------------

/// From the sums over all pixels to the cotangents of the weights.
template <class T>
struct Finish {
  const Branch<T>& w;
  const TurnedWeights<T>& turned;
  const BackSums<T>& sums;
  const BranchWeights<T*> d;

  int64_t tasks() const { return ceil_div(w.b, kTileRows) + 3; }

  void run(int64_t task) const {
    const int64_t blocks = ceil_div(w.b, kTileRows);
    if (task < blocks) return out_weights(w.b * task / blocks, w.b * (task + 1) / blocks);
    const int64_t c_row = whole_vectors<T>(w.c), b_row = whole_vectors<T>(w.b);
    task -= blocks;
    if (task == 0) {
      if (w.outer) w1_grad<T>(w, d, sums.xh_dt1, b_row, sums.dt1).run();
    } else if (task == 1) {
      const T *h[] = {sums.uh_dt2[0], sums.uh_dt2[1]}, *sum[] = {sums.dt2[0], sums.dt2[1]};
      wi_grad<T>(w, d, h, b_row, sum).run();
    } else {
      for (int64_t i = 0; i < w.b; ++i) {
        d.gate_gamma[i] = sums.gate_gamma[i];
        d.gate_beta[i] = sums.gate_beta[i];
      }
      T* bias = w.outer ? d.b2 : d.bo;
      for (int64_t i = 0; w.first && i < w.c; ++i) bias[i] = sums.dy[i];
      for (int64_t i = 0; i < w.pixels; ++i) {
        d.pb[i] = sum_lanes<T>(load(sums.pb + i * kLanes<T>));
        for (int64_t j = 0; j < w.pixels; ++j)
          d.p[i * w.pixels + j] = sums.p[i * whole_vectors<T>(w.pixels) + j];
      }
      alignas(64) T row[kTileCols<T>];
      for (int64_t j = 0; w.outer && j < b_row; j += kTileCols<T>) {
        product_tile(sums.dy, c_row, turned.w2, j, row, kTileCols<T>, 1);
        for (int64_t i = 0; i < kTileCols<T> && j + i < w.b; ++i) d.bo[j + i] = row[i];
      }
    }
  }

 private:
  /// Rows [begin, end) of dWo = gate'dy W2' and of dW2 = u'dy + Wo' gate'dy + bo dy; in gmlp, of
  /// dWo = gate'dy.
  void out_weights(int64_t begin, int64_t end) const {
    const int64_t c_row = whole_vectors<T>(w.c), b_row = whole_vectors<T>(w.b), rows = end - begin;
    if (!w.outer) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < w.c; ++j) d.wo[i * w.c + j] = sums.gate_dy[i * c_row + j];
      return;
    }
    alignas(64) T c[kTileRows * kTileCols<T>];
    for (int64_t j = 0; j < b_row; j += kTileCols<T>) {
      product_tile(sums.gate_dy + begin * c_row, c_row, turned.w2, j, c, kTileCols<T>, rows);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = 0; k < kTileCols<T> && j + k < w.b; ++k)
          d.wo[(begin + i) * w.b + j + k] = c[i * kTileCols<T> + k];
    }
    T* to = d.w2 + (w.b0 + begin) * w.c;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < w.c; ++j)
        to[i * w.c + j] = sums.u_dy[(begin + i) * c_row + j] + w.bo[begin + i] * sums.dy[j];
    for (int64_t j = 0; j < c_row; j += kTileCols<T>) {
      Tile<T> t{};
      t.a = w.wo + begin;
      t.a_row = 1;
      t.a_k = w.b;
      t.b = sums.gate_dy + j;
      t.b_k = c_row;
      t.len = w.b;
      t.c = to + j;
      t.c_row = w.c;
      t.rows = static_cast<int>(rows);
      t.cols = static_cast<int>(min_of(kTileCols<T>, w.c - j));
      t.add = true;
      tile(t);
    }
  }
};

/// Groups [begin, end) of a branch.
template <class T>
void fast_groups(const BackGroup<T>& group, const T* dy, int64_t begin, int64_t end) {
  const Branch<T>& w = group.w;
  const BackSlot<T>& s = group.s;
  const auto gather = [&](int64_t g, const T* from, T* to) {
    return Gather<T>(w.places, g, from, w.c, to, s.c_row, 4 * (w.pixels / kTileRows), g < end);
  };
  gather(begin, w.x, s.x).rest();
  gather(begin, dy, s.dy[begin % 2]).rest();
  const int64_t batch = batch_of(w);
  for (int64_t first = begin; first < end; first += batch) {
    const int64_t count = min_of(batch, end - first);
    for (int64_t g = first; g < first + count; ++g) {
      Gather<T> next_x = gather(g + 1, w.x, s.x), next_dy = gather(g + 1, dy, s.dy[(g + 1) % 2]);
      group.run(s.dy[g % 2], g, g - first, next_x, next_dy);
    }
    group.add_to_p(count, first > begin);
  }
}

// --- the call --------------------------------------------------------------------------------

/// Scratch of one branch: packed weights, slots of the workers, sums of the pieces, sums of all.
template <class T>
struct Scratch {
  int64_t pieces, workers, weights, slot, sums;

  explicit Scratch(const Branch<T>& w)
      : pieces(summed_pieces_of(w.places.count())), workers(workers_of(w.places.count())) {
    Carve<T> of_weights, of_slot, of_plain, of_sums;
    Packed<T>(w, of_weights, false);
    TurnedWeights<T>(w, of_weights);
    BackSlot<T>(w, of_slot);
    PlainSlot<T>(w, of_plain);
    BackSums<T>(w, of_sums);
    weights = of_weights.taken();
    slot = max_of(of_slot.taken(), of_plain.taken());
    sums = of_sums.taken();
  }
  int64_t elements() const { return weights + workers * slot + (pieces + 1) * sums; }
};

template <class T>
void run_plain(const Call& call, int branches) {
  const T* dy = call.in.back().as<T>();
  for (int64_t i = 0; i < call.out[1].shape.size(); ++i) call.out[1].as<T>()[i] = 0;
  for (int k = 0; k < branches; ++k) {
    const Branch<T> w(call, k);
    Carve<T> from(static_cast<T*>(call.scratch));
    const PlainSlot<T> slot(w, from);
    for (int64_t g = 0; g < w.places.count(); ++g)
      plain_group(w, cotangents<T>(call, k), dy, slot, g);
  }
}

template <class T>
void run_fast(const Call& call, int k) {
  const Branch<T> w(call, k);
  const Scratch<T> scratch(w);
  T* at = static_cast<T*>(call.scratch);
  Carve<T> from(at);
  const Packed<T> packed(w, from, false);
  const TurnedWeights<T> turned(w, from);
  T* slots = at + scratch.weights;
  T* partial = slots + scratch.workers * scratch.slot;
  T* all = partial + scratch.pieces * scratch.sums;
  const int64_t tasks = packed.tasks(), groups = w.places.count(), pieces = scratch.pieces;
  parallel_for(call, tasks + turned.tasks(w), [&](int64_t task) {
    if (task >= tasks) return turned.pack(w, task - tasks);
    packed.pack(w, task);
    const int64_t panel = task - packed.out_task();
    if (w.outer && panel >= 0 && panel < packed.out.count()) turned.pack_out(w, packed, panel);
  });
  parallel_workers(call, scratch.workers, pieces, [&](int64_t worker, int64_t piece) {
    Carve<T> of_sums(partial + piece * scratch.sums);
    Carve<T> of_slot(slots + worker * scratch.slot);
    const BackSlot<T> slot(w, of_slot);
    const BackSums<T> sums(w, of_sums);
    sums.clear();
    fast_groups<T>({w, packed, turned, slot, sums}, call.in.back().as<T>(), groups * piece / pieces,
                   groups * (piece + 1) / pieces);
  });
  sum_partials<T>(call, all, partial, pieces, scratch.sums, nullptr, 1);
  Carve<T> of_all(all);
  const BackSums<T> sums(w, of_all);
  const Finish<T> finish{w, turned, sums, cotangents<T>(call, k)};
  parallel_for(call, finish.tasks(), [&](int64_t task) { finish.run(task); });
}

template <class T>
void run(const Call& call) {
  const int branches = branches_of(weights_in(call));
  if (wants_plain(call) || call.out[0].shape.size() == 0) return run_plain<T>(call, branches);
  for (int k = 0; k < branches; ++k) run_fast<T>(call, k);
}

}  // namespace

void multi_axis_gmlp_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) { run<decltype(t)>(call); });
}

int64_t multi_axis_gmlp_grad_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = Scratch<T>(Branch<T>(call, 0)).elements() * static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

}  // namespace satin::cpu::SATIN_ISA
