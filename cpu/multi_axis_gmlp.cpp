// The multi-axis gMLP, branch by branch and group by group; nothing picture-sized but x and y.
//
// First what it means, in loops; below it the fast way.  A group is gathered, runs in chunks of
// rows through LN, W1, GELU (= u), LN, Wi, GELU (= a | b) and LN (b, packed as panels); then, tile
// by tile of pixels, P meets the whole of b and gives the gate, and
//   u W2 + gate Wo W2 + (bo W2)   is one product of u and gate side by side with W2 over Wo W2.
// The affine parts of both layer norms live in W1 and Wi, Wo W2 is multiplied once per call.
// The second branch adds onto what the first has written.  gmlp goes the same way from u on, which
// is x there, to gate Wo.
//
// Threads take pieces: fixed runs of groups.
#include "tensor/multi_axis_gmlp.h"

#include "cpu/multi_axis_gmlp.h"

namespace satin::cpu::SATIN_ISA {
namespace {

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
void plain_group(const Branch<T>& w, const PlainSlot<T>& s, int64_t g) {
  const int64_t pixels = w.pixels, b = w.b, c = w.c;
  Walk in(w.places, g), out(w.places, g);
  for (int64_t i = 0; i < pixels; ++i) {
    T *u = s.u + i * b, *ab = s.ab + i * 2 * b;
    const T* x = w.x + in.take() * c;
    if (w.outer) {
      plain_layer_norm(s.row, x, c, w.eps, w.norm_gamma, w.norm_beta);
      plain_linear(u, s.row, c, w.w1 + w.b0, 2 * c, b, w.b1 + w.b0);
      plain_gelu(u, b);
    } else {
      for (int64_t j = 0; j < b; ++j) u[j] = x[j];
    }
    plain_layer_norm(s.row, u, b, w.eps, w.gmlp_gamma, w.gmlp_beta);
    plain_linear(ab, s.row, b, w.wi, 2 * b, 2 * b, w.bi);
    plain_gelu(ab, 2 * b);
    plain_layer_norm(s.mixed + i * b, ab + b, b, w.eps, w.gate_gamma, w.gate_beta);
  }
  for (int64_t i = 0; i < pixels; ++i) {
    const int64_t pixel = out.take();
    T *gate = s.ab + i * 2 * b, *y = w.y + pixel * c;
    plain_linear(s.row, w.p + i * pixels, pixels, s.mixed, b, b, static_cast<const T*>(nullptr));
    T* mixed = mixed_rows(w, g);
    for (int64_t j = 0; mixed && j < b; ++j) mixed[i * b + j] = s.row[j];
    for (int64_t j = 0; j < b; ++j) gate[j] *= s.row[j] + (w.pb[i] + T(1));
    plain_linear(s.row, gate, b, w.wo, b, b, w.bo);
    for (int64_t j = 0; j < b; ++j) s.row[j] += s.u[i * b + j];
    if (!w.outer) {
      for (int64_t j = 0; j < c; ++j) y[j] = s.row[j];
      continue;
    }
    plain_linear(s.out, s.row, b, w.w2 + w.b0 * c, c, c, w.first ? w.b2 : nullptr);
    const T* from = w.first ? w.x + pixel * c : y;
    for (int64_t j = 0; j < c; ++j) y[j] = from[j] + s.out[j];
  }
}

// --- the fast way ----------------------------------------------------------------------------

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
           Gather<T>& next) {
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
      next.some();
    });
  };
  const T* u = x + begin * x_row;
  if (w.outer) {
    normalize_rows(u, x_row, rows, w.c, w.eps, to_normed(x_row));
    gelu_product(s.normed, x_row, packed.w1, s.u + begin * b_row);
    u = s.u + begin * b_row;
  }
  normalize_rows(u, b_row, rows, w.b, w.eps, to_normed(b_row));
  gelu_product(s.normed, b_row, packed.wa, s.gate + begin * b_row);
  gelu_product(s.normed, b_row, packed.wb, s.raw);
  normalize_rows(
      s.raw, b_row, rows, w.b,
      w.eps, [&](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
        store(s.b.at(begin + r, j), load(packed.gate_gamma + j) * h + load(packed.gate_beta + j));
      });
}

/// a to the gate for `rows` rows from `begin` on, at most a tile's; mixed: the group's, or null.
template <class T>
void gate_rows(const Branch<T>& w,
               const Packed<T>& packed,
               const Slot<T>& s,
               int64_t begin,
               int64_t rows,
               T* mixed) {
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
    for (int64_t i = 0; mixed && i < rows; ++i)
      copy_row_far(mixed + (begin + i) * w.b + j, s.sums + i * width, min_of(width, w.b - j));
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
  const T* a = (w.outer ? s.u : s.gate) + begin * b_row;
  for (int64_t j = 0; j < row; j += kTileCols<T>)
    product_tile(a, b_row, packed.out, j, s.sums + j, row, rows, w.outer ? 2 : 1, w.pixels * b_row);
  for (int64_t i = 0; i < rows; ++i) {
    T* y = w.y + places.take() * w.c;
    sum_row(y, w.first ? x + (begin + i) * row : y, s.sums + i * row, w.c);
  }
}

template <class T>
void fast_group(const Branch<T>& w,
                const Packed<T>& packed,
                const Slot<T>& s,
                const T* x,
                int64_t g,
                Gather<T>& next) {
  for_even(0, w.pixels, kChunkRows,
           [&](int64_t begin, int64_t rows) { chunk(w, packed, s, x, begin, rows, next); });
  Walk soon(w.places, g), now(w.places, g);
  // y is fetched one block of rows ahead, in small portions.
  const auto fetch = [&](int64_t n) { fetch_for_writing(soon, n, w.y, w.c); };
  int64_t left = w.pixels - min_of(w.pixels, kTileRows);
  fetch(w.pixels - left);
  for_even(0, w.pixels, kTileRows, [&](int64_t begin, int64_t rows) {
    fetch(min_of(left, rows / 2));
    left -= min_of(left, rows / 2);
    gate_rows(w, packed, s, begin, rows, mixed_rows(w, g));
    next.some();
    fetch(min_of(left, rows - rows / 2));
    left -= min_of(left, rows - rows / 2);
    out_rows(w, packed, s, x, begin, rows, now);
  });
  next.rest();
}

/// Groups [begin, end) of a branch.
template <class T>
void fast_groups(
    const Branch<T>& w, const Packed<T>& packed, const Slot<T>& s, int64_t begin, int64_t end) {
  const auto gather = [&](int64_t g) {
    return Gather<T>(w.places, g, w.x, w.c, s.x[g % 2], packed.out.cols, 4 * (w.pixels / kTileRows),
                     g < end);
  };
  gather(begin).rest();
  for (int64_t g = begin; g < end; ++g) {
    Gather<T> next = gather(g + 1);
    fast_group(w, packed, s, s.x[g % 2], g, next);
  }
  settle();
}

// --- the call --------------------------------------------------------------------------------

/// The weights of all branches, packed one behind the other.
template <class T>
struct AllPacked {
  Branch<T> branch[2];
  Packed<T> packed[2];
  int branches;
  int64_t size;

  AllPacked(std::span<const View> weights, T* at) : branches(branches_of(weights)) {
    Carve<T> from = at ? Carve<T>(at) : Carve<T>();  // none: only the size is wanted
    for (int k = 0; k < branches; ++k) {
      branch[k] = Branch<T>(weights, k);
      packed[k] = Packed<T>(branch[k], from);
    }
    size = from.taken();
  }

  void pack(const Call& call) const {
    const int64_t tasks = packed[0].tasks();
    parallel_for(call, branches * tasks, [&](int64_t task) {
      packed[task / tasks].pack(branch[task / tasks], task % tasks);
    });
  }
};

template <class T>
int64_t slot_size(const Branch<T>& w) {
  Carve<T> fast, plain;
  Slot<T>(w, fast);
  PlainSlot<T>(w, plain);
  return max_of(fast.taken(), plain.taken());
}

/// Scratch: a slot for every worker, then the packed weights if they are not given.
template <class T>
void run(const Call& call) {
  if (call.out[0].shape.size() == 0) return;
  const bool plain = wants_plain(call);
  T* slots = static_cast<T*>(call.scratch);
  const int64_t size = slot_size(Branch<T>(call, 0)), groups = Branch<T>(call, 0).places.count(),
                pieces = pieces_of(groups), workers = workers_of(groups);
  const AllPacked<T> weights(call.in.subspan(1),
                             call.packed ? call.packed->as<T>() : slots + workers * size);
  if (!plain && !call.packed) weights.pack(call);
  for (int k = 0; k < weights.branches; ++k)
    parallel_workers(call, workers, pieces, [&](int64_t worker, int64_t piece) {
      const Branch<T> w(call, k);
      Carve<T> of_worker(slots + worker * size);
      const int64_t begin = groups * piece / pieces, end = groups * (piece + 1) / pieces;
      if (plain) {
        const PlainSlot<T> slot(w, of_worker);
        for (int64_t g = begin; g < end; ++g) plain_group(w, slot, g);
      } else {
        fast_groups(w, weights.packed[k], Slot<T>(w, of_worker), begin, end);
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
    const Branch<T> w(call, 0);
    const int64_t packed = call.packed ? 0 : AllPacked<T>(call.in.subspan(1), nullptr).size;
    bytes =
        (workers_of(w.places.count()) * slot_size(w) + packed) * static_cast<int64_t>(sizeof(T));
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
