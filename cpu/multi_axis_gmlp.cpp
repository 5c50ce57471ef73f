// The multi-axis gMLP, branch by branch and group by group; nothing picture-sized but x and y.
//
// First what it means, in loops; below it the fast way.  A group is gathered, runs in chunks of
// rows through LN, W1, GELU (= u), LN, Wi, GELU (= a | b) and LN (b, packed as panels); then, tile
// by tile of pixels, P meets the whole of b and gives the gate, and
//   u W2 + gate Wo W2 + (bo W2)   is one product of u and gate side by side with W2 over Wo W2.
// The affine parts of both layer norms live in W1 and Wi, Wo W2 is multiplied once per call.
// The second branch adds onto what the first has written.
//
// Threads take pieces: fixed runs of groups with a slot of scratch each.
#include "tensor/multi_axis_gmlp.h"

#include <cmath>

#include "cpu/gmlp_group.h"
#include "tensor/layer_norm.h"

namespace satin::cpu::SATIN_ISA {
namespace {

constexpr int64_t kPieces = 32;

/// One branch: b channels, those from b0 on of W1's columns and W2's rows.
template <class T>
struct Branch {
  int64_t c, b, b0, pixels;
  bool first;  ///< writes y; otherwise adds to it
  T eps;
  const T *norm_gamma, *norm_beta, *w1, *b1, *w2, *b2;
  const T *gmlp_gamma, *gmlp_beta, *wi, *bi, *gate_gamma, *gate_beta, *p, *pb, *wo, *bo;
  GroupPlaces places;
  const T* x;
  T* y;
};

/// Branch k from the weights, the inputs behind x.
template <class T>
Branch<T> branch_of(std::span<const View> weights, int k) {
  const auto at = [&](int i) { return weights[static_cast<size_t>(i)].template as<T>(); };
  const int i = 6 + 10 * k;
  Branch<T> w{};
  w.c = weights[0].shape[0];
  w.b = weights[static_cast<size_t>(i)].shape[0];
  w.b0 = k * w.c;
  w.pixels = weights[static_cast<size_t>(i + 7)].shape[0];
  w.first = k == 0;
  w.eps = static_cast<T>(LayerNormAttrs{}.eps);
  w.norm_gamma = at(0), w.norm_beta = at(1), w.w1 = at(2), w.b1 = at(3), w.w2 = at(4), w.b2 = at(5);
  w.gmlp_gamma = at(i), w.gmlp_beta = at(i + 1), w.wi = at(i + 2), w.bi = at(i + 3);
  w.gate_gamma = at(i + 4), w.gate_beta = at(i + 5), w.p = at(i + 6), w.pb = at(i + 7);
  w.wo = at(i + 8), w.bo = at(i + 9);
  return w;
}

template <class T>
Branch<T> branch_of(const Call& call, int k) {
  const auto [branches, size] = call.as<MultiAxisGmlpAttrs>();
  const Shape& image = call.in[0].shape;
  const bool grid = branches == Branches::grid_and_block ? k == 0 : branches == Branches::grid;
  Branch<T> w = branch_of<T>(call.in.subspan(1), k);
  w.places = {image[0], image[1], image[2], size, grid};
  w.x = call.in[0].as<T>();
  w.y = call.out[0].as<T>();
  return w;
}

int branches_of(std::span<const View> weights) { return weights.size() > 16 ? 2 : 1; }

// --- the meaning -----------------------------------------------------------------------------

template <class T>
struct PlainSlot {
  T *u, *ab, *mixed;  ///< [S, b], [S, 2b], [S, b]
  T *row, *out;       ///< the longest row, twice

  PlainSlot(const Branch<T>& w, Carve<T>& from)
      : u(from.take(w.pixels * w.b)),
        ab(from.take(w.pixels * 2 * w.b)),
        mixed(from.take(w.pixels * w.b)),
        row(from.take(2 * w.b)),
        out(from.take(2 * w.b)) {}
};

template <class T>
void plain_layer_norm(T* y, const T* x, int64_t c, T eps, const T* gamma, const T* beta) {
  T mean = 0, variance = 0;
  for (int64_t i = 0; i < c; ++i) mean += x[i];
  mean /= T(c);
  for (int64_t i = 0; i < c; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const T rstd = T(1) / std::sqrt(variance / T(c) + eps);
  for (int64_t i = 0; i < c; ++i) y[i] = gamma[i] * ((x[i] - mean) * rstd) + beta[i];
}

/// y = x w + bias for one row x of k values; w's rows lie `w_row` apart.
template <class T>
void plain_row(
    T* y, const T* x, int64_t k, const T* w, int64_t w_row, int64_t cols, const T* bias) {
  for (int64_t j = 0; j < cols; ++j) {
    y[j] = bias ? bias[j] : T(0);
    for (int64_t i = 0; i < k; ++i) y[j] += x[i] * w[i * w_row + j];
  }
}

template <class T>
void plain_gelu(T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = scalar::gelu(x[i], UnaryAttrs{});
}

template <class T>
void plain_group(const Branch<T>& w, const PlainSlot<T>& s, int64_t g) {
  const int64_t pixels = w.pixels, b = w.b, c = w.c;
  Walk in(w.places, g), out(w.places, g);
  for (int64_t i = 0; i < pixels; ++i) {
    T *u = s.u + i * b, *ab = s.ab + i * 2 * b;
    plain_layer_norm(s.row, w.x + in.take() * c, c, w.eps, w.norm_gamma, w.norm_beta);
    plain_row(u, s.row, c, w.w1 + w.b0, 2 * c, b, w.b1 + w.b0);
    plain_gelu(u, b);
    plain_layer_norm(s.row, u, b, w.eps, w.gmlp_gamma, w.gmlp_beta);
    plain_row(ab, s.row, b, w.wi, 2 * b, 2 * b, w.bi);
    plain_gelu(ab, 2 * b);
    plain_layer_norm(s.mixed + i * b, ab + b, b, w.eps, w.gate_gamma, w.gate_beta);
  }
  for (int64_t i = 0; i < pixels; ++i) {
    const int64_t pixel = out.take();
    T *gate = s.ab + i * 2 * b, *y = w.y + pixel * c;
    plain_row(s.row, w.p + i * pixels, pixels, s.mixed, b, b, static_cast<const T*>(nullptr));
    for (int64_t j = 0; j < b; ++j) gate[j] *= s.row[j] + (w.pb[i] + T(1));
    plain_row(s.row, gate, b, w.wo, b, b, w.bo);
    for (int64_t j = 0; j < b; ++j) s.row[j] += s.u[i * b + j];
    plain_row(s.out, s.row, b, w.w2 + w.b0 * c, c, c, w.first ? w.b2 : nullptr);
    const T* from = w.first ? w.x + pixel * c : y;
    for (int64_t j = 0; j < c; ++j) y[j] = from[j] + s.out[j];
  }
}

// --- the fast way ----------------------------------------------------------------------------

/// The weights of a branch as its products want them.
template <class T>
struct Packed {
  Panels<T> w1, wa, wb, out;  ///< wa, wb: the halves of Wi; out: W2 over Wo W2
  T *gate_gamma, *gate_beta;
  T *p, *pb;  ///< blocks of a tile's rows, each along k; pb + 1

  Packed() = default;
  Packed(const Branch<T>& w, Carve<T>& from)
      : w1(Panels<T>::take(from, w.c, w.b)),
        wa(Panels<T>::take(from, w.b, w.b)),
        wb(Panels<T>::take(from, w.b, w.b)),
        out(Panels<T>::take(from, 2 * w.b, w.c)),
        gate_gamma(from.take(wb.cols)),
        gate_beta(from.take(wb.cols)),
        p(from.take(w.pixels * w.pixels)),
        pb(from.take(w.pixels)) {}

  int64_t tasks(const Branch<T>& w) const {
    return w1.count() + wa.count() + wb.count() + out.count() + p_blocks(w) + 1;
  }

  /// Packs one part.
  void pack(const Branch<T>& w, int64_t task) const {
    if (task < w1.count())
      return pack_folded(w1, task * kTileCols<T>, w.w1 + w.b0, 2 * w.c, w.b, w.b1 + w.b0,
                         w.norm_gamma, w.norm_beta);
    task -= w1.count();
    for (const Panels<T>* half : {&wa, &wb}) {
      if (task < half->count())
        return pack_folded(*half, task * kTileCols<T>, w.wi + (half == &wb ? w.b : 0), 2 * w.b, w.b,
                           w.bi + (half == &wb ? w.b : 0), w.gmlp_gamma, w.gmlp_beta);
      task -= half->count();
    }
    if (task < out.count()) return pack_out(w, task * kTileCols<T>);
    task -= out.count();
    if (task < p_blocks(w)) return pack_p(w, task);
    copy_padded(gate_gamma, w.gate_gamma, w.b);
    copy_padded(gate_beta, w.gate_beta, w.b);
    for (int64_t i = 0; i < w.pixels; ++i) pb[i] = w.pb[i] + T(1);
  }

 private:
  static int64_t p_blocks(const Branch<T>& w) { return ceil_div(w.pixels, kTileRows); }
  void pack_p(const Branch<T>& w, int64_t block) const {
    const int64_t pixels = w.pixels, begin = pixels * block / p_blocks(w);
    const int64_t rows = pixels * (block + 1) / p_blocks(w) - begin;
    T* to = p + begin * pixels;
    for (int64_t k = 0; k < pixels; ++k)
      for (int64_t i = 0; i < rows; ++i) *to++ = w.p[(begin + i) * pixels + k];
  }
  void pack_out(const Branch<T>& w, int64_t j) const {
    const int width = out.width(j), n = static_cast<int>(min_of(width, w.c - j));
    T* bias = out.bias + j;
    for (int i = 0; i < width; ++i) bias[i] = w.first && i < n ? w.b2[j + i] : T(0);
    const Panels<T> w2{w.b, width, out.panel(j), bias};
    pack_panel(w2.elements, w.w2 + w.b0 * w.c + j, w.c, 1, w.b, n, width);
    T* product = w2.elements + w.b * width;
    for (int64_t i = 0; i <= w.b; ++i) {  // the last row is the bias
      double sums[kTileCols<T>] = {};
      for (int64_t k = 0; k < w.b; ++k)
        for (int l = 0; l < width; ++l)
          sums[l] += static_cast<double>(i < w.b ? w.wo[i * w.b + k] : w.bo[k]) *
                     static_cast<double>(w2.elements[k * width + l]);
      for (int l = 0; l < width; ++l)
        if (i < w.b)
          product[i * width + l] = static_cast<T>(sums[l]);
        else
          bias[l] = static_cast<T>(static_cast<double>(bias[l]) + sums[l]);
    }
  }
};

template <class T>
struct Slot {
  T* x[2];          ///< [S, c], of the group at work and of the next
  T *u, *gate;      ///< [S, b] each, one behind the other
  Panels<T> b;      ///< LN(b): S rows
  T *normed, *raw;  ///< a chunk of rows before a product, and behind it
  T* sums;          ///< a row of tiles

  Slot(const Branch<T>& w, Carve<T>& from) : b{w.pixels, whole_vectors<T>(w.b)} {
    const int64_t longest = max_of(b.cols, whole_vectors<T>(w.c));
    for (T*& group : x) group = from.take(b.k * whole_vectors<T>(w.c));
    u = from.take(2 * b.k * b.cols);
    gate = u + b.k * b.cols;
    b.elements = from.take(b.k * b.cols);
    b.bias = from.take(b.cols);
    normed = from.take(kChunkRows * longest);
    raw = from.take(kChunkRows * longest);
    sums = from.take(kTileRows * longest);
  }
};

/// x to u, a and LN(b) for rows [begin, begin + rows) of a group.
template <class T>
void chunk(const Branch<T>& w,
           const Packed<T>& packed,
           const Slot<T>& s,
           const T* x,
           int64_t begin,
           int64_t rows,
           Gather<T>* next) {
  const int64_t x_row = whole_vectors<T>(w.c), b_row = s.b.cols;
  const auto to_normed = [&](int64_t row) {
    return [ =, to = s.normed ](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
      store(to + r * row + j, h);
    };
  };
  const auto gelu_product = [&](const T* a, int64_t a_row, const Panels<T>& weights, T* to) {
    for_even(0, rows, kTileRows, [&](int64_t i, int64_t count) {
      for (int64_t j = 0; j < weights.cols; j += kTileCols<T>) {
        T* c = to + i * b_row + j;
        product_tile(a + i * a_row, a_row, weights, j, c, b_row, count);
        gelu_tile(c, b_row, count, weights.width(j));
      }
      if (next) next->some();
    });
  };
  T* u = s.u + begin * b_row;
  normalize_rows(x + begin * x_row, x_row, rows, w.c, w.eps, to_normed(x_row));
  gelu_product(s.normed, x_row, packed.w1, u);
  normalize_rows(u, b_row, rows, w.b, w.eps, to_normed(b_row));
  gelu_product(s.normed, b_row, packed.wa, s.gate + begin * b_row);
  gelu_product(s.normed, b_row, packed.wb, s.raw);
  normalize_rows(
      s.raw, b_row, rows, w.b,
      w.eps, [&](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
        store(s.b.at(begin + r, j), load(packed.gate_gamma + j) * h + load(packed.gate_beta + j));
      });
}

/// a to the gate for `rows` rows from `begin` on, at most a tile's.
template <class T>
void gate_rows(
    const Branch<T>& w, const Packed<T>& packed, const Slot<T>& s, int64_t begin, int64_t rows) {
  const int64_t b_row = s.b.cols, pixels = w.pixels;
  for (int64_t j = 0; j < s.b.cols; j += kTileCols<T>) {
    const int width = s.b.width(j);
    Tile<T> t{};
    t.a = packed.p + begin * pixels;
    t.a_row = 1;
    t.a_k = rows;
    t.b = s.b.panel(j);
    t.b_k = width;
    t.len = pixels;
    t.c = s.sums;
    t.c_row = width;
    t.rows = static_cast<int>(rows);
    t.cols = width;
    tile(t);
    for (int64_t i = 0; i < rows; ++i) {
      T* gate = s.gate + (begin + i) * b_row + j;
      const Vec<T> pb = splat<T>(packed.pb[begin + i]);
      for (int k = 0; k < width; k += kLanes<T>)
        store(gate + k, load(gate + k) * (load(s.sums + i * width + k) + pb));
    }
  }
}

/// u and the gate to y, for the same rows, whose pixels come from `places`.
template <class T>
void out_rows(const Branch<T>& w,
              const Packed<T>& packed,
              const Slot<T>& s,
              const T* x,
              int64_t begin,
              int64_t rows,
              Walk& places) {
  const int64_t b_row = s.b.cols, row = packed.out.cols;
  for (int64_t j = 0; j < row; j += kTileCols<T>)
    product_tile(s.u + begin * b_row, b_row, packed.out, j, s.sums + j, row, rows, 2,
                 w.pixels * b_row);
  for (int64_t i = 0; i < rows; ++i) {
    const T* sum = s.sums + i * row;
    T* y = w.y + places.take() * w.c;
    const T* from = w.first ? x + (begin + i) * row : y;
    int64_t j = 0;
    for (; j + kLanes<T> <= w.c; j += kLanes<T>) store(y + j, load(from + j) + load(sum + j));
    for (; j < w.c; ++j) y[j] = from[j] + sum[j];
  }
}

template <class T>
void fast_group(const Branch<T>& w,
                const Packed<T>& packed,
                const Slot<T>& s,
                const T* x,
                int64_t g,
                Gather<T>* next) {
  for_even(0, w.pixels, kChunkRows,
           [&](int64_t begin, int64_t rows) { chunk(w, packed, s, x, begin, rows, next); });
  Walk soon(w.places, g), now(w.places, g);
  // y is fetched one block of rows ahead, in small portions.
  const auto fetch = [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      T* y = w.y + soon.take() * w.c;
      for (int64_t j = 0; j < w.c; j += 64 / static_cast<int64_t>(sizeof(T)))
        prefetch_for_writing(y + j);
    }
  };
  int64_t left = w.pixels - min_of(w.pixels, kTileRows);
  fetch(w.pixels - left);
  for_even(0, w.pixels, kTileRows, [&](int64_t begin, int64_t rows) {
    fetch(min_of(left, rows / 2));
    left -= min_of(left, rows / 2);
    gate_rows(w, packed, s, begin, rows);
    if (next) next->some();
    fetch(min_of(left, rows - rows / 2));
    left -= min_of(left, rows - rows / 2);
    out_rows(w, packed, s, x, begin, rows, now);
  });
  if (next) next->rest();
}

/// Groups [begin, end) of a branch.
template <class T>
void fast_groups(
    const Branch<T>& w, const Packed<T>& packed, const Slot<T>& s, int64_t begin, int64_t end) {
  const int64_t turns = 4 * (w.pixels / kTileRows);
  const auto gather = [&](int64_t g) {
    return Gather<T>(w.places, g, w.x, w.c, s.x[g % 2], packed.out.cols, turns);
  };
  if (begin < end) gather(begin).rest();
  for (int64_t g = begin; g < end; ++g) {
    if (g + 1 == end) return fast_group<T>(w, packed, s, s.x[g % 2], g, nullptr);
    Gather<T> next = gather(g + 1);
    fast_group(w, packed, s, s.x[g % 2], g, &next);
  }
}

// --- the call --------------------------------------------------------------------------------

int64_t pieces_of(int64_t groups) { return min_of(groups, kPieces); }

/// The weights of all branches, packed one behind the other.
template <class T>
struct AllPacked {
  Branch<T> branch[2];
  Packed<T> packed[2];
  int branches;
  int64_t size;

  AllPacked(std::span<const View> weights, T* at) : branches(branches_of(weights)) {
    Carve<T> from(at);
    for (int k = 0; k < branches; ++k) {
      branch[k] = branch_of<T>(weights, k);
      packed[k] = Packed<T>(branch[k], from);
    }
    size = from.taken();
  }

  void pack(const Call& call) const {
    const int64_t tasks = packed[0].tasks(branch[0]);
    parallel_for(call, branches * tasks, [&](int64_t task) {
      packed[task / tasks].pack(branch[task / tasks], task % tasks);
    });
  }
};

template <class T>
int64_t slot_size(const Branch<T>& w) {
  Carve<T> fast(nullptr), plain(nullptr);
  Slot<T>(w, fast);
  PlainSlot<T>(w, plain);
  return max_of(fast.taken(), plain.taken());
}

/// Scratch: a slot for every piece, then the packed weights if they are not given.
template <class T>
void run(const Call& call) {
  if (call.out[0].shape.size() == 0) return;
  const bool plain = call.exec->plain;
  T* slots = static_cast<T*>(call.scratch);
  const int64_t size = slot_size(branch_of<T>(call, 0)),
                groups = branch_of<T>(call, 0).places.count(), pieces = pieces_of(groups);
  const AllPacked<T> weights(call.in.subspan(1),
                             call.packed ? call.packed->as<T>() : slots + pieces * size);
  if (!plain && !call.packed) weights.pack(call);
  for (int k = 0; k < weights.branches; ++k)
    parallel_for(call, pieces, [&](int64_t piece) {
      const Branch<T> w = branch_of<T>(call, k);
      Carve<T> of_piece(slots + piece * size);
      const int64_t begin = groups * piece / pieces, end = groups * (piece + 1) / pieces;
      if (plain) {
        const PlainSlot<T> slot(w, of_piece);
        for (int64_t g = begin; g < end; ++g) plain_group(w, slot, g);
      } else {
        fast_groups(w, weights.packed[k], Slot<T>(w, of_piece), begin, end);
      }
    });
}

}  // namespace

void multi_axis_gmlp(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) { run<decltype(t)>(call); });
}

int64_t multi_axis_gmlp_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Branch<T> w = branch_of<T>(call, 0);
    const int64_t packed = call.packed ? 0 : AllPacked<T>(call.in.subspan(1), nullptr).size;
    bytes = (pieces_of(w.places.count()) * slot_size(w) + packed) * static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

Packing multi_axis_gmlp_packing(const Call& call) {
  Packing packing{};
  with_type(call.out[0].dtype, [&](auto t) {
    packing.elements = AllPacked<decltype(t)>(call.in.subspan(1), nullptr).size;
  });
  for (size_t i = 1; i < call.in.size(); ++i) packing.inputs |= 1u << i;
  return packing;
}

void multi_axis_gmlp_pack(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    AllPacked<T>(call.in, call.out[0].as<T>()).pack(call);
  });
}

}  // namespace satin::cpu::SATIN_ISA
