// What one block computes inside a kernel: matrix products, moments of rows, sums of columns.  The
// fused kernels are written in these.  Operands are functors of (row, column), so that a
// normalization or an activation may stand where an element is read, and results go to functors of
// (row, column, value).
//
// Who owns what in a product.  The block takes tiles of 64 x 64 results one after the other; 16
// columns of a and 16 rows of b at a time lie in shared memory; each of 256 threads sums 4 x 4
// neighboring results in registers, in rising k.  Per step: 2 x 1024 elements read, 65,536
// multiply-adds, two vectors of four read from shared memory for 16 of them.
//
// All threads of a block call these together.  What is read must have been written before a
// barrier; a product and a sum of columns end with one.
#pragma once

#include "cuda/kernel.h"

namespace satin::cuda {

inline constexpr int kBlockThreads = 256, kTile = 64, kTileStep = 16;

struct alignas(16) Stage {
  float a[kTileStep][kTile + 4];  ///< rows stay aligned to vectors and start in other banks
  float b[kTileStep][kTile + 4];
};

/// In which order the threads read an operand: the one that is contiguous in memory.
enum class Reads { rows, columns };

/// sum[p][q] += the sum over c < k of a(i, c) b(c, j), i = i0 + 4 (thread / 16) + p, j = j0 + 4
/// (thread % 16) + q.  Beyond m and n nothing is read and the sums are 0.
template <Reads kA, Reads kB, class A, class B>
SATIN_DEVICE void tile_product(
    Stage& s, int i0, int m, int j0, int n, int k, A a, B b, float (&sum)[4][4]) {
  const int t = static_cast<int>(threadIdx.x);
  for (int k0 = 0; k0 < k; k0 += kTileStep) {
    for (int e = t; e < kTile * kTileStep; e += kBlockThreads) {
      const int row = kA == Reads::rows ? e / kTileStep : e % kTile;
      const int ka = kA == Reads::rows ? e % kTileStep : e / kTile;
      const int col = kB == Reads::rows ? e % kTile : e / kTileStep;
      const int kb = kB == Reads::rows ? e / kTile : e % kTileStep;
      s.a[ka][row] = i0 + row < m && k0 + ka < k ? a(i0 + row, k0 + ka) : 0.0f;
      s.b[kb][col] = j0 + col < n && k0 + kb < k ? b(k0 + kb, j0 + col) : 0.0f;
    }
    __syncthreads();
    for (int c = 0; c < kTileStep; ++c) {
      const float4 row = *reinterpret_cast<const float4*>(&s.a[c][t / 16 * 4]);
      const float4 col = *reinterpret_cast<const float4*>(&s.b[c][t % 16 * 4]);
      const float rows[4] = {row.x, row.y, row.z, row.w}, cols[4] = {col.x, col.y, col.z, col.w};
      SATIN_UNROLL
      for (int p = 0; p < 4; ++p) {
        SATIN_UNROLL
        for (int q = 0; q < 4; ++q) sum[p][q] += rows[p] * cols[q];
      }
    }
    __syncthreads();
  }
}

/// f(p, q, i, j) for the places of this thread's results in a tile: sum[p][q] is of (i, j).
template <class F>
SATIN_DEVICE void each_result(int i0, int m, int j0, int n, F f) {
  const int t = static_cast<int>(threadIdx.x);
  SATIN_UNROLL
  for (int p = 0; p < 4; ++p) {
    SATIN_UNROLL
    for (int q = 0; q < 4; ++q) {
      const int i = i0 + t / 16 * 4 + p, j = j0 + t % 16 * 4 + q;
      if (i < m && j < n) f(p, q, i, j);
    }
  }
}

/// f(i, j, sum over c of a(i, c) b(c, j)) for i0 <= i < m, j < n, each by the same thread every
/// time.
template <Reads kA = Reads::rows, Reads kB = Reads::rows, class A, class B, class F>
SATIN_DEVICE void block_product(Stage& s, int i0, int m, int n, int k, A a, B b, F f) {
  for (; i0 < m; i0 += kTile)
    for (int j0 = 0; j0 < n; j0 += kTile) {
      float sum[4][4] = {};
      tile_product<kA, kB>(s, i0, m, j0, n, k, a, b, sum);
      each_result(i0, m, j0, n, [&](int p, int q, int i, int j) { f(i, j, sum[p][q]); });
    }
  __syncthreads();
}

// --- rows ---------------------------------------------------------------------------------------

/// How many neighboring lanes share a row of n elements: a power of two.
SATIN_DEVICE int row_lanes(int n) {
  int lanes = 1;
  while (lanes < kWarp && lanes * 4 < n) lanes *= 2;
  return lanes;
}

/// The sum over the lanes of a row, the same bits in each.
SATIN_DEVICE float sum_lanes(float x, int lanes) {
  for (int bits = lanes / 2; bits > 0; bits /= 2) x += __shfl_xor_sync(~0u, x, bits);
  return x;
}

struct Moments {
  float mean, rstd;  ///< rstd = 1 / sqrt(variance + eps)
};

/// Of x(0) ... x(n - 1), which `lanes` neighbors share; the whole warp calls it.  Two passes: the
/// variance never cancels.
template <class X>
SATIN_DEVICE Moments row_moments(X x, int n, int lane, int lanes, float eps) {
  float sum = 0, squares = 0;
  for (int c = lane; c < n; c += lanes) sum += x(c);
  const float mean = sum_lanes(sum, lanes) / static_cast<float>(n);
  for (int c = lane; c < n; c += lanes) {
    const float d = x(c) - mean;
    squares += d * d;
  }
  const float variance = sum_lanes(squares, lanes) / static_cast<float>(n);
  return {mean, 1.0f / ::sqrtf(variance + eps)};
}

/// f(row, lane, lanes) for every row; rows beyond the last are repeated and told apart by
/// `row < rows`, so that whole warps stay together for shuffles.
template <class F>
SATIN_DEVICE void each_row(int rows, int n, F f) {
  const int lanes = row_lanes(n), at_once = kBlockThreads / lanes;
  const int t = static_cast<int>(threadIdx.x), lane = t % lanes;
  for (int row = t / lanes; row - t / lanes < rows; row += at_once) f(row, lane, lanes);
}

// --- columns ------------------------------------------------------------------------------------

/// f(j, sum over i < rows of x(i, j)) for j < n: 32 columns at a time, 8 threads a column, each in
/// rising i; then a tree.
template <class X, class F>
SATIN_DEVICE void column_sums(Stage& s, int rows, int n, X x, F f) {
  float* const sums = &s.a[0][0];
  const int t = static_cast<int>(threadIdx.x), part = t / 32;
  for (int j0 = 0; j0 < n; j0 += 32) {
    const int j = j0 + t % 32;
    float sum = 0;
    if (j < n)
      for (int i = part; i < rows; i += kBlockThreads / 32) sum += x(i, j);
    sums[t] = sum;
    __syncthreads();
    for (int half = kBlockThreads / 2; half >= 32; half /= 2) {
      if (t < half) sums[t] += sums[t + half];
      __syncthreads();
    }
    if (t < 32 && j < n) f(j, sums[t]);
    __syncthreads();
  }
}

}  // namespace satin::cuda
