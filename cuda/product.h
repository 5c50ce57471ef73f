// One matrix product for all: matmul and the three convolutions differ only in where the elements
// of their operands lie, which small structs say (operand.h).  multiply() takes the kernel for the
// call's precision: the one below for f32, tensor cores for tf32 and bf16 (product_mma.h).
//
// Who owns what.  A block computes 64 x 64 elements of c and keeps 64 x 16 of a and 16 x 64 of b in
// shared memory; each of its 256 threads reads one quad of both and sums 4 x 4 elements in
// registers. Per step of 16 a block loads 2 x 4 KiB and multiplies 64 x 64 x 16: 8 multiply-adds a
// byte.  Sums run in rising k, and long sums are cut into pieces, added in order by sum_pieces:
// both depend on the shapes alone.  Not yet measured.
#pragma once

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

/// [k][row or column], padded so that quads along k are written to different banks.
struct ProductTiles {
  float a[kProductStep][kProductTile + 4];
  float b[kProductStep][kProductTile + 4];
};

/// This thread's quad of an operand's step.
template <class X>
SATIN_DEVICE void load_step(float (&tile)[kProductStep][kProductTile + 4],
                            const X& x,
                            int64_t g,
                            int64_t i0,
                            int64_t outer,
                            int64_t k0,
                            int64_t end) {
  const int t = static_cast<int>(threadIdx.x);
  constexpr bool kDeep = X::kAlong == Along::depth;
  const int i = kDeep ? t / (kProductStep / 4) : t % (kProductTile / 4) * 4;
  const int k = kDeep ? t % (kProductStep / 4) * 4 : t / (kProductTile / 4);
  const Quad q = read_quad(x, g, i0 + i, outer, k0 + k, end);
  if constexpr (kDeep) {
    SATIN_UNROLL
    for (int r = 0; r < 4; ++r) tile[k + r][i] = q.v[r];
  } else {
    *reinterpret_cast<float4*>(&tile[k][i]) = float4{q.v[0], q.v[1], q.v[2], q.v[3]};
  }
}

/// c(g, i, j) = sum over k of a(g, i, k) b(g, j, k) [+ bias(j)].  A, B: operands (operand.h); C:
/// `int64_t operator()(g, i, j)` is where an element goes, `column(g, j)` its bias.
template <class A, class B, class C>
__global__ void product_kernel(Product p, A a, B b, C c, float* y, float* partial) {
  auto& s = shared<ProductTiles>();
  const int64_t tiles_n = (p.n + kProductTile - 1) / kProductTile;
  const int64_t i0 = blockIdx.x / tiles_n * kProductTile, j0 = blockIdx.x % tiles_n * kProductTile;
  const int64_t piece = blockIdx.y, begin = p.begin(piece), end = p.begin(piece + 1);
  const int t = static_cast<int>(threadIdx.x), ti = t / 16, tj = t % 16;
  for (int64_t g = blockIdx.z; g < p.batch; g += gridDim.z) {
    float sum[4][4] = {};
    for (int64_t k0 = begin; k0 < end; k0 += kProductStep) {
      load_step(s.a, a, g, i0, p.m, k0, end);
      load_step(s.b, b, g, j0, p.n, k0, end);
      __syncthreads();
      const int steps = static_cast<int>(end - k0 < kProductStep ? end - k0 : kProductStep);
      for (int k = 0; k < steps; ++k) {
        float row[4], col[4];
        for (int i = 0; i < 4; ++i) row[i] = s.a[k][ti + 16 * i];
        for (int j = 0; j < 4; ++j) col[j] = s.b[k][tj + 16 * j];
        for (int i = 0; i < 4; ++i)
          for (int j = 0; j < 4; ++j) sum[i][j] += row[i] * col[j];
      }
      __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        put(p, c, y, partial, piece, g, i0 + ti + 16 * i, j0 + tj + 16 * j, sum[i][j]);
  }
}

template <class C>
__global__ void sum_pieces_kernel(Product p, C c, float* y, const float* partial) {
  const int64_t size = p.batch * p.m * p.n;
  for (int64_t e = thread_index(); e < size; e += thread_count()) {
    float sum = 0;
    for (int64_t piece = 0; piece < p.pieces; ++piece) sum += partial[piece * size + e];
    const int64_t col = e % p.n, row = e / p.n % p.m, g = e / p.n / p.m;
    y[c(g, row, col)] = p.bias ? sum + p.bias[c.column(g, col)] : sum;
  }
}

inline int64_t product_scratch(const Product& p) {
  return p.pieces > 1 ? p.pieces * p.batch * p.m * p.n * static_cast<int64_t>(sizeof(float)) : 0;
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
          sizeof(ProductTiles));
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
