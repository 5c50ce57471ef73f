// What one block computes inside a kernel: matrix products, moments of rows, sums of columns.  The
// fused kernels are written in these.  Operands are functors of (row, column), so that a
// normalization or an activation may stand where an element is read, and results go to functors of
// (row, column, value).
//
// Who owns what in a product.  The block of 256 threads takes tiles of 64 x 64 results one after
// the other; of a and b 16 words along k at a time lie in shared memory.  What multiplies is a
// template argument:
//   Fma                 a word is an f32; a thread sums 4 x 4 neighboring results, in rising k,
//   with
//                       two vectors of four from shared memory for 16 multiply-adds
//   MmaBf16, MmaTf32    a word is two bf16 or one tf32 (mma.h); a warp sums 16 x 32 results, four
//                       mma for three ldmatrix
// Either way a thread holds 16 sums and reads 2 x 4 words a step.
//
// All threads of a block call these together.  What is read must have been written before a
// barrier; a product and a sum of columns end with one.
#pragma once

#include "cuda/mma.h"

namespace satin::cuda {

inline constexpr int kBlockThreads = 256, kTile = 64, kTileStep = 16;

/// Products of f32 by fused multiply-adds.
struct Fma {
  static constexpr int kPerWord = 1;
};

/// f(Fma{}), f(MmaTf32{}) or f(MmaBf16{}).
template <class F>
void with_math(Precision precision, F f) {
  if (precision == Precision::bf16)
    f(MmaBf16{});
  else if (precision == Precision::tf32)
    f(MmaTf32{});
  else
    f(Fma{});
}

/// What lies in shared memory of a step; the rows start in different banks.
template <class M>
struct alignas(16) Stage {
  uint32_t a[kTile][kTileStep + 4];  ///< by row of a
  uint32_t b[kTile][kTileStep + 4];  ///< by column of b
};
template <>
struct alignas(16) Stage<Fma> {
  float a[kTileStep][kTile + 4];
  float b[kTileStep][kTile + 4];
};

/// In which order the threads read an operand: the one that is contiguous in memory.
enum class Reads { rows, columns };

/// The word of a step's operand that begins at k.
template <class M, class F>
SATIN_DEVICE uint32_t word_at(int k, F f) {
  if constexpr (M::kPerWord == 2)
    return M::pack(f(k), f(k + 1));
  else
    return M::pack(f(k));
}

/// Adds to this thread's sums of a tile, for every result (i, j) the sum over c < k of a(i, c)
/// b(c, j); i from i0, j from j0 on.  Beyond m and n nothing is read and the sums are 0.
template <class M, Reads kA, Reads kB, class A, class B>
SATIN_DEVICE void tile_product(
    Stage<M>& s, int i0, int m, int j0, int n, int k, A a, B b, float (&sum)[4][4]) {
  const int t = static_cast<int>(threadIdx.x);
  SATIN_NO_UNROLL
  for (int k0 = 0; k0 < k; k0 += kTileStep * M::kPerWord) {
    for (int e = t; e < kTile * kTileStep; e += kBlockThreads) {
      const int row = kA == Reads::rows ? e / kTileStep : e % kTile;
      const int ka = kA == Reads::rows ? e % kTileStep : e / kTile;
      const int col = kB == Reads::rows ? e % kTile : e / kTileStep;
      const int kb = kB == Reads::rows ? e / kTile : e % kTileStep;
      const auto a_at = [&](int c) { return i0 + row < m && c < k ? a(i0 + row, c) : 0.0f; };
      const auto b_at = [&](int c) { return j0 + col < n && c < k ? b(c, j0 + col) : 0.0f; };
      if constexpr (std::is_same_v<M, Fma>) {
        s.a[ka][row] = a_at(k0 + ka);
        s.b[kb][col] = b_at(k0 + kb);
      } else {
        s.a[row][ka] = word_at<M>(k0 + ka * M::kPerWord, a_at);
        s.b[col][kb] = word_at<M>(k0 + kb * M::kPerWord, b_at);
      }
    }
    __syncthreads();
    if constexpr (std::is_same_v<M, Fma>) {
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
    } else {
      const int lane = t % kWarp, warp = t / kWarp;
      const int a_row = warp % 4 * kMmaRows + lane % 16, b_col = warp / 4 * 32 + lane % 16;
      SATIN_UNROLL
      for (int word = 0; word < kTileStep; word += kMmaWords) {
        const FragmentA of_a = load_rows(&s.a[a_row][word + lane / 16 * 4]);
        SATIN_UNROLL
        for (int pair = 0; pair < 2; ++pair) {
          const FragmentA two = load_rows(&s.b[b_col + 16 * pair][word + lane / 16 * 4]);
          SATIN_UNROLL
          for (int one = 0; one < 2; ++one) {
            float(&to)[4] = sum[2 * pair + one];
            const FragmentC d = M::multiply(of_a, {{two.word[one], two.word[one + 2]}},
                                            {{to[0], to[1], to[2], to[3]}});
            SATIN_UNROLL
            for (int q = 0; q < 4; ++q) to[q] = d.value[q];
          }
        }
      }
    }
    __syncthreads();
  }
}

/// f(p, q, i, j) for the places of this thread's results in a tile: sum[p][q] is of (i, j).
template <class M, class F>
SATIN_DEVICE void each_result(int i0, int m, int j0, int n, F f) {
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp;
  SATIN_UNROLL
  for (int p = 0; p < 4; ++p) {
    SATIN_UNROLL
    for (int q = 0; q < 4; ++q) {
      const bool fma = std::is_same_v<M, Fma>;
      const int i = i0 + (fma ? t / 16 * 4 + p : warp % 4 * kMmaRows + c_row(lane, q));
      const int j = j0 + (fma ? t % 16 * 4 + q : warp / 4 * 32 + p * kMmaCols + c_col(lane, q));
      if (i < m && j < n) f(p, q, i, j);
    }
  }
}

/// f(i, j, sum over c of a(i, c) b(c, j)) for i0 <= i < m, j < n, each by the same thread every
/// time.
template <Reads kA = Reads::rows, Reads kB = Reads::rows, class M, class A, class B, class F>
SATIN_DEVICE void block_product(Stage<M>& s, int i0, int m, int n, int k, A a, B b, F f) {
  SATIN_NO_UNROLL
  for (; i0 < m; i0 += kTile) {
    SATIN_NO_UNROLL
    for (int j0 = 0; j0 < n; j0 += kTile) {
      float sum[4][4] = {};
      tile_product<M, kA, kB>(s, i0, m, j0, n, k, a, b, sum);
      each_result<M>(i0, m, j0, n, [&](int p, int q, int i, int j) { f(i, j, sum[p][q]); });
    }
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
/// rising i; then a tree in `sums`, shared memory of kBlockThreads floats.
template <class X, class F>
SATIN_DEVICE void column_sums(float* sums, int rows, int n, X x, F f) {
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
