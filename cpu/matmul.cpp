// Matrix products.  First the meaning in loops; below it the fast way: the problem is cut into
// blocks of rows and columns (tasks for the threads) and steps of k; per step a block packs a panel
// of b, runs the register tile of gemm.h down its rows, and reads a where it lies.
//
// Products with few elements and a long sum (weight gradients) are also cut along the sum: pieces
// of steps, each with its own partial result, added in order.  All cuts depend on the problem
// alone.
#include "tensor/matmul.h"

#include "cpu/gemm.h"
#include "tensor/pack_weight.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// The problem with transposes and batches turned into strides (in elements).
struct Problem {
  int64_t batch, m, n, k;
  int64_t a_batch, a_row, a_k;  ///< a_batch = 0: one matrix for the whole batch
  int64_t b_batch, b_k, b_col;
  bool sum;  ///< over the batch
};

Problem problem_of(const Call& call) {
  const auto attrs = call.as<MatmulAttrs>();
  const Shape& a = call.in[0].shape;
  const Shape& b = call.in[1].shape;
  const int64_t a_rows = a[a.rank() - 2], a_cols = a[a.rank() - 1];
  const int64_t b_rows = b[b.rank() - 2], b_cols = b[b.rank() - 1];
  Problem p{};
  p.m = attrs.transpose_a ? a_cols : a_rows;
  p.k = attrs.transpose_a ? a_rows : a_cols;
  p.n = attrs.transpose_b ? b_rows : b_cols;
  p.a_row = attrs.transpose_a ? 1 : a_cols;
  p.a_k = attrs.transpose_a ? a_cols : 1;
  p.b_k = attrs.transpose_b ? 1 : b_cols;
  p.b_col = attrs.transpose_b ? b_cols : 1;
  p.a_batch = a.rank() > 2 ? a_rows * a_cols : 0;
  p.b_batch = b.rank() > 2 ? b_rows * b_cols : 0;
  p.batch = 1;
  const Shape& batched = a.rank() > 2 ? a : b;
  for (int i = 0; i + 2 < batched.rank(); ++i) p.batch *= batched[i];
  p.sum = attrs.sum_batch;
  return p;
}

template <class T>
void plain_matmul(const Call& call) {
  const Problem p = problem_of(call);
  const T* a = call.in[0].as<T>();
  const T* b = call.in[1].as<T>();
  const T* bias = call.in.size() > 2 ? call.in[2].as<T>() : nullptr;
  T* y = call.out[0].as<T>();
  const int64_t outputs = p.sum ? 1 : p.batch, summed = p.sum ? p.batch : 1;
  for (int64_t g = 0; g < outputs; ++g)
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        T sum = 0;
        for (int64_t s = 0; s < summed; ++s)
          for (int64_t k = 0; k < p.k; ++k)
            sum += a[(g + s) * p.a_batch + i * p.a_row + k * p.a_k] *
                   b[(g + s) * p.b_batch + k * p.b_k + j * p.b_col];
        y[(g * p.m + i) * p.n + j] = bias ? sum + bias[j] : sum;
      }
}

// --- the fast way ---------------------------------------------------------------------------

constexpr int64_t kDepth = 256;  // k per step: a panel of b fits the L1 cache
// The same where a lies along its rows, a gradient in weights, so that a fits L1, too; but not if
// the sums do not, which are read and written with every step.
constexpr int64_t kTallDepth = 128, kManySums = 16 << 10;
constexpr int64_t kInPlace = 8 << 10;           // values of b: so few fit L1 as they lie
constexpr int64_t kBlockRows = 16 * kTileRows;  // rows of a task: with kDepth, a fits the L2 cache
constexpr int64_t kRowsAhead = 4 * kTileRows;   // of a: fetched meanwhile
constexpr int64_t kBlockTiles = 8;              // tiles of columns of a task
constexpr int64_t kPanelBytes = kDepth * kTileVectors * kVectorBytes;
constexpr int64_t kSharedBytes = int64_t{4}
                                 << 20;  // the largest b that is packed once for all tasks

/// All panels of b.
template <class T>
int64_t packed_elements(const Problem& p) {
  return ceil_div(p.k * whole_vectors<T>(p.n), 16) * 16;
}

/// How a problem is cut.
struct Cut {
  Problem p;           ///< with batch and rows or k merged where memory allows
  int64_t depth;       ///< k per step, at most
  int64_t per_step;    ///< elements of the summed batch in one step
  int64_t k_steps;     ///< steps of k in one element of the batch
  int64_t steps;       ///< in one sum
  int64_t pieces;      ///< of the steps
  int64_t block_cols;  ///< columns of a task
  bool shared_b;       ///< b is packed once, in scratch

  int64_t outputs() const { return p.sum ? 1 : p.batch; }
  int64_t row_blocks() const { return ceil_div(p.m, kBlockRows); }
  int64_t col_blocks() const { return ceil_div(p.n, block_cols); }
  int64_t size() const { return p.m * p.n; }
  int64_t packed_cols(int lanes) const { return ceil_div(p.n, lanes) * lanes; }
};

template <class T>
Cut cut(Problem p) {
  if (!p.sum && p.b_batch == 0 && p.a_batch == p.m * p.a_row) {  // a tall matrix
    p.m *= p.batch;
    p.batch = 1;
  }
  if (p.sum && p.a_batch == p.k * p.a_k && p.b_batch == p.k * p.b_k) {  // a long sum
    p.k *= p.batch;
    p.batch = 1;
  }
  if (p.batch == 1) p.sum = false;
  Cut c{};
  c.p = p;
  c.shared_b = !p.sum && p.b_batch == 0 && p.batch * c.row_blocks() > 1 &&
               p.k * c.packed_cols(kLanes<T>) * static_cast<int64_t>(sizeof(T)) <= kSharedBytes;
  c.depth = p.a_k == 1 || c.shared_b || c.size() >= kManySums ? kDepth : kTallDepth;
  c.per_step = p.sum && p.k > 0 && p.k < c.depth ? c.depth / p.k : 1;
  c.k_steps = ceil_div(p.k, c.depth);
  c.steps = (p.sum ? ceil_div(p.batch, c.per_step) : 1) * c.k_steps;
  c.block_cols = kBlockTiles * kTileCols<T>;
  // Pieces: enough work for 32 threads, at least 4 steps each, no more than 8 MiB.
  const int64_t tasks = c.outputs() * c.row_blocks() * c.col_blocks();
  c.pieces = 1;
  if (tasks > 0 && c.outputs() == 1) {
    const int64_t memory =
        (int64_t{8} << 20) / max_of(1, c.size() * static_cast<int64_t>(sizeof(T)));
    c.pieces = max_of(1, min_of(min_of(c.steps / 4, ceil_div(32, tasks)), memory));
  }
  return c;
}

/// A part of the output, columns cut at whole tiles, and the steps summed into it.
struct Block {
  int64_t g, i0, i1, j0, j1, s0, s1;
};

template <class T>
struct Product {
  const Cut c;
  const T* a;
  const T* b;
  const T* bias;    ///< null: none
  const T* packed;  ///< b in panels, or null

  /// k in [k0, k0 + len) of `count` elements of the batch.
  struct Step {
    int64_t first, count, k0, len;
  };
  Step step(int64_t s, int64_t g) const {
    const Problem& p = c.p;
    const int64_t first = p.sum ? s / c.k_steps * c.per_step : g, k0 = s % c.k_steps * c.depth;
    return {first, p.sum ? min_of(c.per_step, p.batch - first) : 1, k0, min_of(c.depth, p.k - k0)};
  }

  /// Panels lie step by step, in each from left to right.
  int64_t packed_at(int64_t k, int64_t len, int64_t j) const {
    return k * c.packed_cols(kLanes<T>) + len * j;
  }

  /// What step s reads, where a and b lie in one piece each.
  Ahead ahead_of(const Step& s, const Block& block) const {
    const Problem& p = c.p;
    const auto whole = [&](int64_t along_k, int64_t across, int64_t extent) {
      return (across == 1 && along_k == extent) ||
             (along_k == 1 && across == p.k && c.k_steps == 1);
    };
    Ahead ahead;
    if (whole(p.a_k, p.a_row, p.m) && block.i0 == 0 && block.i1 == p.m)
      ahead.add(a + s.first * p.a_batch + s.k0 * p.a_k, s.count * s.len * p.m);
    if (whole(p.b_k, p.b_col, p.n) && block.j0 == 0 && block.j1 == p.n)
      ahead.add(b + s.first * p.b_batch + s.k0 * p.b_k, s.count * s.len * p.n);
    return ahead;
  }

  /// One tile of step `now`: rows [i, i + rows), columns [j, j + cols) with b in `panel`.
  void run_tile(T* to,
                const Step& now,
                int64_t i,
                int64_t rows,
                int64_t j,
                int cols,
                const T* panel,
                int64_t b_k,
                int64_t b_outer,
                const T* bias_panel,
                bool add,
                Ahead& ahead,
                T* next_c) const {
    const Problem& p = c.p;
    Tile<T> t{};
    t.a = a + now.first * p.a_batch + i * p.a_row + now.k0 * p.a_k;
    t.a_row = p.a_row;
    t.a_k = p.a_k;
    t.b = panel;
    t.b_k = b_k;
    t.outer = now.count;
    t.inner = 1;
    t.len = now.len;
    t.a_outer = p.a_batch;
    t.b_outer = b_outer;
    t.c = to + i * p.n + j;
    t.c_row = p.n;
    t.rows = static_cast<int>(rows);
    t.cols = cols;
    t.bias = bias_panel;
    t.add = add;
    t.ahead_lines = ahead.lines();
    t.ahead = ahead.take(now.count * now.len);
    t.next_c = next_c;
    tile(t);
  }

  /// Computes a block of y, panel by panel; `to` has the place of its element (0, 0).
  void run(T* to, const Block& block) const {
    const Problem& p = c.p;
    alignas(64) T panel[kPanelBytes / sizeof(T)];
    alignas(64) T bias_panel[kTileCols<T>];
    for (int64_t s = block.s0; s < block.s1; ++s) {
      const Step now = step(s, block.g);
      Ahead ahead;
      if (s + 1 < block.s1) ahead = ahead_of(step(s + 1, block.g), block);
      ahead.pace(ceil_div(block.i1 - block.i0, kTileRows) *
                 ceil_div(block.j1 - block.j0, kTileCols<T>) * now.count * now.len);
      for (int64_t j = block.j0; j < block.j1; j += kTileCols<T>) {
        const int cols = static_cast<int>(min_of(kTileCols<T>, block.j1 - j));
        const int width = whole_vectors<T>(cols);
        const bool in_place = p.b_col == 1 && cols == width && now.len * p.b_k <= kInPlace;
        const T* from = b + now.first * p.b_batch + now.k0 * p.b_k + j;
        for (int64_t r = 0; r < now.count && !in_place; ++r)
          pack_panel(panel + r * now.len * width,
                     b + (now.first + r) * p.b_batch + now.k0 * p.b_k + j * p.b_col, p.b_k, p.b_col,
                     now.len, cols, width);
        const bool start_with_bias = bias && s == 0;
        if (start_with_bias) pack_panel(bias_panel, bias + j, 0, 1, 1, cols, width);
        for_even(block.i0, block.i1, kTileRows, [&](int64_t i, int64_t rows) {
          run_tile(to, now, i, rows, j, cols, in_place ? from : panel, in_place ? p.b_k : width,
                   in_place ? p.b_batch : now.len * width, start_with_bias ? bias_panel : nullptr,
                   s > block.s0, ahead, nullptr);
        });
      }
    }
  }

  /// The same where b lies packed: rows by rows, so that a and y stream through once.
  void run_packed(T* to, const Block& block) const {
    const Problem& p = c.p;
    alignas(64) T bias_row[kBlockTiles * kTileCols<T>];
    if (bias)
      pack_panel(bias_row, bias + block.j0, 0, 1, 1, static_cast<int>(block.j1 - block.j0),
                 whole_vectors<T>(block.j1 - block.j0));
    for (int64_t s = block.s0; s < block.s1; ++s) {
      const Step now = step(s, block.g);
      const auto next_tile = [&](int64_t i, int64_t rows, int64_t j) {
        return j + kTileCols<T> < block.j1 ? i * p.n + j + kTileCols<T>
                                           : (i + rows) * p.n + block.j0;
      };
      for_even(block.i0, block.i1, kTileRows, [&](int64_t i, int64_t rows) {
        Ahead ahead;
        if (p.a_k == 1 && p.a_row == now.len)
          ahead.add(a + now.first * p.a_batch + (i + kRowsAhead) * p.a_row, rows * p.a_row);
        for (int64_t j = block.j0; j < block.j1; j += kTileCols<T>)
          run_tile(to, now, i, rows, j, static_cast<int>(min_of(kTileCols<T>, block.j1 - j)),
                   packed + packed_at(now.k0, now.len, j),
                   whole_vectors<T>(min_of(kTileCols<T>, block.j1 - j)), 0,
                   bias && s == 0 ? bias_row + (j - block.j0) : nullptr, s > block.s0, ahead,
                   to + next_tile(i, rows, j));
      });
    }
  }
};

template <class T>
int64_t scratch_bytes(const Cut& c, bool packed) {
  int64_t elements = c.pieces > 1 ? c.pieces * c.size() : 0;
  if (c.shared_b && !packed) elements += packed_elements<T>(c.p);
  return elements * static_cast<int64_t>(sizeof(T));
}

/// Panels of b, in steps of k and then from left to right.
template <class T>
void pack_all(const Call& call, const Problem& p, const T* b, T* packed) {
  const int64_t panels = ceil_div(p.n, kTileCols<T>), row = whole_vectors<T>(p.n);
  parallel_for(call, ceil_div(p.k, kDepth) * panels, [&](int64_t task) {
    const int64_t k0 = task / panels * kDepth, j = task % panels * kTileCols<T>;
    const int64_t len = min_of(kDepth, p.k - k0);
    const int cols = static_cast<int>(min_of(kTileCols<T>, p.n - j));
    pack_panel(packed + k0 * row + len * j, b + k0 * p.b_k + j * p.b_col, p.b_k, p.b_col, len, cols,
               whole_vectors<T>(cols));
  });
}

template <class T>
void fast_matmul(const Call& call) {
  const Cut c = cut<T>(problem_of(call));
  const Problem& p = c.p;
  const T* bias = call.in.size() > 2 ? call.in[2].as<T>() : nullptr;
  T* y = call.out[0].as<T>();
  const int64_t size = c.size();
  if (c.steps == 0) {  // an empty sum
    const int64_t all = c.outputs() * size;
    for (int64_t i = 0; i < all; ++i) y[i] = bias ? bias[i % p.n] : T{0};
    return;
  }
  T* partial = static_cast<T*>(call.scratch);
  const T* packed = nullptr;
  if (call.packed) {
    packed = call.packed->as<T>();
  } else if (c.shared_b) {
    T* here = partial;
    partial += packed_elements<T>(p);
    pack_all(call, p, call.in[1].as<T>(), here);
    packed = here;
  }
  const Product<T> product{c, call.in[0].as<T>(), call.in[1].as<T>(), c.pieces > 1 ? nullptr : bias,
                           packed};
  const int64_t row_blocks = c.row_blocks(), col_blocks = c.col_blocks();
  parallel_for(call, c.outputs() * c.pieces * row_blocks * col_blocks, [&](int64_t task) {
    const int64_t col = task % col_blocks;
    const int64_t row = task / col_blocks % row_blocks;
    const int64_t piece = task / (col_blocks * row_blocks) % c.pieces;
    const int64_t g = task / (col_blocks * row_blocks * c.pieces);
    T* to = c.pieces > 1 ? partial + piece * size : y + g * size;
    const Block block{g,
                      p.m * row / row_blocks,
                      p.m * (row + 1) / row_blocks,
                      col * c.block_cols,
                      min_of(p.n, (col + 1) * c.block_cols),
                      c.steps * piece / c.pieces,
                      c.steps * (piece + 1) / c.pieces};
    packed ? product.run_packed(to, block) : product.run(to, block);
  });
  if (c.pieces > 1) sum_partials(call, y, partial, c.pieces, size, bias, p.n);
}

}  // namespace

void matmul(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    wants_plain(call) ? plain_matmul<T>(call) : fast_matmul<T>(call);
  });
}

int64_t matmul_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = scratch_bytes<T>(cut<T>(problem_of(call)), call.packed);
  });
  return bytes;
}

Packing matmul_packing(const Call& call) {
  Packing packing{};
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Problem p = problem_of(call);
    if (!cut<T>(p).shared_b) return;
    packing = {call.as<MatmulAttrs>().transpose_b, packed_elements<T>(p), 1u << 1};
  });
  return packing;
}

void matmul_pack(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const bool transposed = call.as<PackWeightAttrs>().form != 0;
    const Shape& b = call.in[0].shape;
    Problem p{};
    p.k = b[transposed ? 1 : 0], p.n = b[transposed ? 0 : 1];
    p.b_k = transposed ? 1 : b[1], p.b_col = transposed ? b[1] : 1;
    pack_all(call, p, call.in[0].as<T>(), call.out[0].as<T>());
  });
}

}  // namespace satin::cpu::SATIN_ISA
