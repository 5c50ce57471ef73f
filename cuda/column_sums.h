// The sums of a matrix's columns: how kernels add what their blocks summed alone.
#pragma once

#include "cuda/block.h"

namespace satin::cuda {

struct BlockSums {
  float thread[kBlockThreads];
};

/// y[j] = the sum over i < rows of x[i * stride + j]; so for each of gridDim.y matrices, one behind
/// the other.  A block takes 8 columns, 32 threads each in rising rows; then a tree.  Bound by
/// memory.
template <int = 0>
__global__ void add_rows_kernel(float* y, const float* x, int64_t rows, int64_t n, int64_t stride) {
  x += blockIdx.y * rows * stride;
  y += blockIdx.y * n;
  auto& sums = shared<BlockSums>().thread;
  const int t = static_cast<int>(threadIdx.x);
  const int64_t j = int64_t{blockIdx.x} * 8 + t % 8;
  float sum = 0;
  if (j < n)
    for (int64_t i = t / 8; i < rows; i += kBlockThreads / 8) sum += x[i * stride + j];
  sums[t] = sum;
  __syncthreads();
  for (int half = kBlockThreads / 2; half >= 8; half /= 2) {
    if (t < half) sums[t] += sums[t + half];
    __syncthreads();
  }
  if (t < 8 && j < n) y[j] = sums[t];
}

inline void add_rows(const Call& call,
                     const char* name,
                     float* y,
                     const float* x,
                     int64_t rows,
                     int64_t n,
                     int64_t stride,
                     int64_t matrices = 1) {
  if (n == 0 || matrices == 0) return;
  launch(call, name,
         Launch{dim3(static_cast<unsigned>((n + 7) / 8), static_cast<unsigned>(matrices)),
                kBlockThreads, sizeof(BlockSums)},
         add_rows_kernel<>, y, x, rows, n, stride);
}

}  // namespace satin::cuda
