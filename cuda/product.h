// One matrix product for all: matmul and the three convolutions differ only in where the elements
// of their operands lie, which small structs say (At, below).
//
// Who owns what.  A block computes 64 x 64 elements of c and keeps 64 x 16 of a and 16 x 64 of b in
// shared memory; each of its 256 threads sums 4 x 4 elements in registers.  Per step of 16 a block
// loads 2 x 4 KiB and multiplies 64 x 64 x 16: 8 multiply-adds a byte.  Sums run in rising k, and
// long sums are cut into pieces of kPiece terms, added in order by sum_pieces: both depend on the
// shapes alone.  Not yet measured on a device.
#pragma once

#include "cuda/kernel.h"

namespace satin::cuda {

struct Product {
  int64_t batch, m, n, k;
  int64_t pieces;     ///< of k
  const float* bias;  ///< null: none
};

inline constexpr int kProductTile = 64, kProductStep = 16, kProductThreads = 256;

/// The pieces into which sums of k terms are cut: enough blocks to fill a device, never short sums.
inline int64_t product_pieces(int64_t batch, int64_t m, int64_t n, int64_t k) {
  const auto tiles = [](int64_t x) { return (x + kProductTile - 1) / kProductTile; };
  const int64_t blocks = batch * tiles(m) * tiles(n), wanted = blocks > 0 ? 512 / blocks : 1;
  const int64_t most = k / 512, pieces = wanted < most ? wanted : most;
  return pieces < 1 ? 1 : pieces < 64 ? pieces : 64;
}

struct ProductTiles {
  float a[kProductStep][kProductTile];
  float b[kProductStep][kProductTile];
};

/// c(g, i, j) = sum over k of a(g, i, k) b(g, k, j) [+ bias(j)].  A, B: `float operator()(g, row,
/// col)`; C: `int64_t operator()(g, i, j)` is where an element goes, `column(g, j)` its bias.  With
/// several pieces, piece p of sums goes to partial [p, batch, m, n] instead.
template <class A, class B, class C>
__global__ void product_kernel(Product p, A a, B b, C c, float* y, float* partial) {
  auto& s = shared<ProductTiles>();
  const int64_t tiles_n = (p.n + kProductTile - 1) / kProductTile;
  const int64_t i0 = blockIdx.x / tiles_n * kProductTile, j0 = blockIdx.x % tiles_n * kProductTile;
  const int64_t piece = blockIdx.y, g0 = blockIdx.z;
  const int64_t begin = p.k * piece / p.pieces, end = p.k * (piece + 1) / p.pieces;
  const int t = static_cast<int>(threadIdx.x), ti = t / 16, tj = t % 16;
  for (int64_t g = g0; g < p.batch; g += gridDim.z) {
    float sum[4][4] = {};
    for (int64_t k0 = begin; k0 < end; k0 += kProductStep) {
      for (int e = t; e < kProductTile * kProductStep; e += kProductThreads) {
        const int row = e / kProductStep, ka = e % kProductStep;
        const int col = e % kProductTile, kb = e / kProductTile;
        s.a[ka][row] = i0 + row < p.m && k0 + ka < end ? a(g, i0 + row, k0 + ka) : 0;
        s.b[kb][col] = j0 + col < p.n && k0 + kb < end ? b(g, k0 + kb, j0 + col) : 0;
      }
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
      for (int j = 0; j < 4; ++j) {
        const int64_t row = i0 + ti + 16 * i, col = j0 + tj + 16 * j;
        if (row >= p.m || col >= p.n) continue;
        if (p.pieces > 1)
          partial[((piece * p.batch + g) * p.m + row) * p.n + col] = sum[i][j];
        else
          y[c(g, row, col)] = p.bias ? sum[i][j] + p.bias[c.column(g, col)] : sum[i][j];
      }
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
  const auto tiles = [](int64_t x) { return (x + kProductTile - 1) / kProductTile; };
  auto* partial = static_cast<float*>(call.scratch);
  const Launch shape{
      dim3(static_cast<unsigned>(tiles(p.m) * tiles(p.n)), static_cast<unsigned>(p.pieces),
           static_cast<unsigned>(p.batch < 65535 ? p.batch : 65535)),
      kProductThreads, sizeof(ProductTiles)};
  launch(call, name, shape, product_kernel<A, B, C>, p, a, b, c, y, partial);
  if (p.pieces > 1)
    launch(call, "sum_pieces", over(p.batch * p.m * p.n), sum_pieces_kernel<C>, p, c, y,
           static_cast<const float*>(partial));
}

}  // namespace satin::cuda
