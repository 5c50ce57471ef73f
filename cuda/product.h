// One matrix product for all: matmul and the three convolutions differ only in where the elements
// of their operands lie, which small structs say (operand.h).  multiply() takes the kernel for the
// call's precision: the one below for f32, tensor cores for tf32 and bf16 (product_mma.h).
//
// Who owns what.  A block computes 64 x 64 elements of c; each of its 256 threads sums 4 x 4 of
// them in registers.  A step is 16 of k: 64 x 16 of a and 16 x 64 of b in shared memory, as they
// lie in global memory, so that quads come by asynchronous copies (async_copy.h) and go as vectors.
// There are three buffers: while a step is multiplied two more are on their way.
//
// Shared memory.  What is contiguous along k lies in rows of 16, padded to 20: the 8 quads of 8
// neighboring rows then lie in 32 banks.  What is contiguous along m or n lies in 16 rows of 64,
// padded to 68.  3 x (5 or 4.25 KiB + the same), at most 30 KiB.
//
// Per step of 16 a block loads 2 x 4 KiB and multiplies 64 x 64 x 16: 8 multiply-adds a byte; a
// thread reads 32 quads of shared memory for 256 multiply-adds.  Sums run in rising k, and long
// sums are cut into pieces, added in order by sum_pieces: both depend on the shapes alone. Expected
// bound: arithmetic.  Not yet measured.
#pragma once

#include "cuda/async_copy.h"
#include "cuda/operand.h"
#include "cuda/product_mma.h"

namespace satin::cuda {

inline constexpr int kProductTile = 64, kProductStep = 16, kProductThreads = 256;

/// The pieces into which sums of k terms are cut: enough blocks to fill a device, never short sums.
inline int64_t product_pieces(int64_t batch, int64_t m, int64_t n, int64_t k) {
  const auto tiles = [](int64_t x) { return (x + kProductTile - 1) / kProductTile; };
  const int64_t blocks = batch * tiles(m) * tiles(n), wanted = blocks > 0 ? 512 / blocks : 1;
  const int64_t most = k / 512, pieces = wanted < most ? wanted : most;
  return pieces < 1 ? 1 : pieces < 64 ? pieces : 64;
}

/// One step of an operand.
template <class X>
struct ProductTile {
  static constexpr bool kDeep = X::kAlong == Along::depth;
  static constexpr int kRow = kDeep ? kProductStep + 4 : 1;  ///< floats from a row to the next
  static constexpr int kK = kDeep ? 1 : kProductTile + 4;    ///< and along k
  alignas(16) float value[kDeep ? kProductTile * kRow : kProductStep * kK];

  __host__ __device__ float& at(int row, int k) { return value[row * kRow + k * kK]; }
  SATIN_DEVICE Quad quad(int row, int k) { return load_quad(&at(row, k)); }

  /// The i-th of the four rows (or columns) that thread `t` of 16 owns.
  static SATIN_DEVICE int row(int t, int i) { return kDeep ? t + 16 * i : 4 * t + i; }

  /// v[i][k] of the rows of thread t: the four of k from `k` on.
  SATIN_DEVICE void read(int t, int k, float (&v)[4][4]) {
    SATIN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Quad q = kDeep ? quad(row(t, i), k) : quad(row(t, 0), k + i);
      SATIN_UNROLL
      for (int j = 0; j < 4; ++j) (kDeep ? v[i][j] : v[j][i]) = q.v[j];
    }
  }

  /// Has this thread's quad of the step from k0 on written: when its group is there, or at once.
  SATIN_DEVICE void load(const X& x, int64_t g, int64_t i0, int64_t rows, int64_t k0, int64_t end) {
    const int t = static_cast<int>(threadIdx.x);
    const int i = kDeep ? t / (kProductStep / 4) : t % (kProductTile / 4) * 4;
    const int k = kDeep ? t % (kProductStep / 4) * 4 : t / (kProductTile / 4);
    float* const to = &at(i, k);
    constexpr bool kAsItLies = !requires(Quad q) { x.values(x.outer(g, i0), x.depth(k0), q); };
    if constexpr (kAsItLies) {
      if (x.quads) {
        const bool inside = i0 + i < rows && k0 + k < end;
        copy_async(to, inside ? x.find(x.outer(g, i0 + i), x.depth(k0 + k)) : nullptr);
        return;
      }
    }
    const Quad q = read_quad(x, g, i0 + i, rows, k0 + k, end);
    *reinterpret_cast<float4*>(to) = float4{q.v[0], q.v[1], q.v[2], q.v[3]};
  }
};

inline constexpr int kProductBuffers = 3;

template <class A, class B>
struct ProductTiles {
  struct {
    ProductTile<A> a;
    ProductTile<B> b;
  } buffer[kProductBuffers];
};

/// c(g, i, j) = sum over k of a(g, i, k) b(g, j, k) [+ bias(j)].  A, B: operands (operand.h); C:
/// `int64_t operator()(g, i, j)` is where an element goes, `column(g, j)` its bias; what else it
/// may say stands at finished() and RowSums.
template <class A, class B, class C>
__global__ void __launch_bounds__(kProductThreads, 2)
    product_kernel(Product p, A a, B b, C c, float* y, float* partial) {
  auto& s = shared<ProductTiles<A, B>>();
  const int64_t tiles_n = (p.n + kProductTile - 1) / kProductTile;
  const int64_t i0 = blockIdx.x / tiles_n * kProductTile, j0 = blockIdx.x % tiles_n * kProductTile;
  const int64_t piece = blockIdx.y, begin = p.begin(piece), end = p.begin(piece + 1);
  const int t = static_cast<int>(threadIdx.x), ti = t / 16, tj = t % 16;
  for (int64_t g = blockIdx.z; g < p.batch; g += gridDim.z) {
    float sum[4][4] = {};
    int64_t next = begin;  // the step to be loaded
    int into = 0;
    const auto load = [&] {
      if (next < end) {
        auto& tile = s.buffer[into];
        tile.a.load(a, g, i0, p.m, next, end);
        tile.b.load(b, g, j0, p.n, next, end);
      }
      close_copies();
      next += kProductStep;
      into = into + 1 < kProductBuffers ? into + 1 : 0;
    };
    for (int i = 0; i + 1 < kProductBuffers; ++i) load();
    int now = 0;
    for (int64_t k0 = begin; k0 < end; k0 += kProductStep) {
      wait_copies<kProductBuffers - 2>();
      __syncthreads();  // the step is there; and everybody has multiplied the one before it,
      load();           // whose buffer is free
      auto& tile = s.buffer[now];
      SATIN_UNROLL
      for (int k = 0; k < kProductStep; k += 4) {
        float rows[4][4], cols[4][4];
        tile.a.read(ti, k, rows);
        tile.b.read(tj, k, cols);
        SATIN_UNROLL
        for (int e = 0; e < 4; ++e) SATIN_UNROLL
        for (int i = 0; i < 4; ++i) SATIN_UNROLL
        for (int j = 0; j < 4; ++j) sum[i][j] += rows[i][e] * cols[j][e];
      }
      now = now + 1 < kProductBuffers ? now + 1 : 0;
    }
    wait_copies<0>();
    __syncthreads();  // buffers are free
    const auto row = [&](int i) { return ProductTile<A>::row(ti, i); };
    const auto column = [&](int j) { return ProductTile<B>::row(tj, j); };
    RowSums<C, 4, 16> sums;
    SATIN_UNROLL
    for (int i = 0; i < 4; ++i) SATIN_UNROLL
    for (int j = 0; j < 4; ++j)
      put(p, c, y, partial, piece, g, i0 + row(i), j0 + column(j), sum[i][j], sums, j);
    sums.store(p, c, &s, ti, g * ((p.m + kProductTile - 1) / kProductTile) + i0 / kProductTile, j0,
               kProductTile, column);
  }
}

template <class C>
__global__ void sum_pieces_kernel(Product p, C c, float* y, const float* partial) {
  const int64_t size = p.batch * p.m * p.n;
  for (int64_t e = thread_index(); e < size; e += thread_count()) {
    float sum = 0;
    for (int64_t piece = 0; piece < p.pieces; ++piece) sum += partial[piece * size + e];
    const int64_t col = e % p.n, row = e / p.n % p.m, g = e / p.n / p.m;
    const int64_t at = c(g, row, col);
    y[at] = finished(p, c, at, g, col, sum);
  }
}

inline int64_t product_scratch(const Product& p) {
  return p.pieces > 1 ? p.pieces * p.batch * p.m * p.n * static_cast<int64_t>(sizeof(float)) : 0;
}

/// Rows of c that a block computes.
inline int64_t product_rows(Precision precision) {
  return precision == Precision::f32 ? kProductTile : kMmaTileM;
}

template <class A, class B, class C>
void multiply(const Call& call, const char* name, const Product& p, A a, B b, C c, float* y) {
  if (p.batch * p.m * p.n == 0) return;
  auto* partial = static_cast<float*>(call.scratch);
  const auto run = [&](auto kernel, int64_t rows, int64_t cols, int threads, size_t shared_bytes) {
    const int64_t tiles = (p.m + rows - 1) / rows * ((p.n + cols - 1) / cols);
    const Launch shape{dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(p.pieces),
                            static_cast<unsigned>(p.batch < 65535 ? p.batch : 65535)),
                       static_cast<unsigned>(threads), static_cast<int64_t>(shared_bytes)};
    launch(call, name, shape, kernel, p, a, b, c, y, partial);
  };
  switch (call.precision) {
    case Precision::f32:
      run(product_kernel<A, B, C>, kProductTile, kProductTile, kProductThreads,
          sizeof(ProductTiles<A, B>));
      break;
    case Precision::tf32:
      run(product_mma_kernel<MmaTf32, A, B, C>, kMmaTileM, kMmaTileN, kMmaThreads,
          sizeof(MmaTiles<A, B>));
      break;
    case Precision::bf16:
      run(product_mma_kernel<MmaBf16, A, B, C>, kMmaTileM, kMmaTileN, kMmaThreads,
          sizeof(MmaTiles<A, B>));
      break;
  }
  if (p.pieces > 1)
    launch(call, "sum_pieces", over(p.batch * p.m * p.n), sum_pieces_kernel<C>, p, c, y,
           static_cast<const float*>(partial));
}

}  // namespace satin::cuda
