// amax: a thread per result goes through its elements in their order.
// Bytes: 4 an element read: bound by memory where there are many results, by one thread's loads
// where there are few.  Not yet measured on a device.
//
// l2_norm: x is read once, nothing of its size is written.  A block sums the squares of 16,384
// elements: a thread every 256th quad, in rising order, then a tree; one more block adds the
// blocks' sums the same way and takes the root.  Both orders follow from the size alone.  That
// second launch is what the order costs: without it blocks would have to agree who is the last.
// Bytes: 4 an element: for MGPNet's 3.7 million 15 MB, as composition 45 MB in four launches. Bound
// by memory.  Not yet measured on a device.
#include "cuda/block.h"
#include "cuda/loop.h"
#include "tensor/reduce.h"

namespace satin::cuda {
namespace {

/// One thread per result.
__global__ void amax_kernel(const __grid_constant__ Loop<1> kept,
                            const __grid_constant__ Loop<1> reduced,
                            float* y,
                            const float* x) {
  for (int64_t r = thread_index(); r < kept.size; r += thread_count()) {
    int64_t start[1], at[1];
    kept.offsets(r, start);
    float largest = x[start[0]];
    for (int64_t k = 1; k < reduced.size; ++k) {
      reduced.offsets(k, at);
      const float value = x[start[0] + at[0]];
      if (value > largest || value != value) largest = value;
      if (largest != largest) break;
    }
    y[r] = largest;
  }
}

constexpr int64_t kSquares = 16384;

struct Sums {
  float thread[kBlockThreads];
};

/// The sum of the block's threads' x, for thread 0.
SATIN_DEVICE float block_sum(float x) {
  auto& s = shared<Sums>();
  const auto t = static_cast<int>(threadIdx.x);
  s.thread[t] = x;
  __syncthreads();
  for (int half = kBlockThreads / 2; half > 0; half /= 2) {
    if (t < half) s.thread[t] += s.thread[t + half];
    __syncthreads();
  }
  return s.thread[0];
}

__global__ void squares_kernel(float* sums, const float* x, int64_t n, bool quads) {
  const int64_t begin = int64_t{blockIdx.x} * kSquares;
  const int64_t end = begin + kSquares < n ? begin + kSquares : n;
  float sum = 0;
  for (int64_t i = begin + 4 * int64_t{threadIdx.x}; i < end; i += 4 * kBlockThreads) {
    if (quads && i + 4 <= end) {
      const float4 v = *reinterpret_cast<const float4*>(x + i);
      sum += v.x * v.x;
      sum += v.y * v.y;
      sum += v.z * v.z;
      sum += v.w * v.w;
    } else {
      for (int64_t k = i; k < i + 4 && k < end; ++k) sum += x[k] * x[k];
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void root_kernel(float* y, const float* sums, int64_t blocks) {
  float sum = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += kBlockThreads) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *y = ::sqrtf(sum);
}

int64_t square_blocks(const Call& call) {
  return (call.in[0].shape.size() + kSquares - 1) / kSquares;
}

}  // namespace

int64_t l2_norm_scratch(const Call& call) {
  return square_blocks(call) * static_cast<int64_t>(sizeof(float));
}

void l2_norm(const Call& call) {
  const auto* x = call.in[0].as<float>();
  auto* sums = static_cast<float*>(call.scratch);
  const int64_t blocks = square_blocks(call);
  if (blocks > 0)
    launch(call, "l2_norm: squares",
           Launch{dim3(static_cast<unsigned>(blocks)), kBlockThreads, sizeof(Sums)}, squares_kernel,
           sums, x, call.in[0].shape.size(), reinterpret_cast<uintptr_t>(x) % sizeof(float4) == 0);
  launch(call, "l2_norm: root", Launch{dim3(1), kBlockThreads, sizeof(Sums)}, root_kernel,
         call.out[0].as<float>(), sums, blocks);
}

void amax(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  if (y.shape.size() == 0) return;
  Loop<1> kept, reduced;
  const auto xs = x.shape.strides();
  for (int i = 0; i < x.shape.rank(); ++i)
    (y.shape[i] == x.shape[i] ? kept : reduced).axis(x.shape[i], {xs[static_cast<size_t>(i)]});
  launch(call, "amax", over(kept.size), amax_kernel, kept, reduced, y.as<float>(), x.as<float>());
}

}  // namespace satin::cuda
