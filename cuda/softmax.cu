// A warp per row: its largest element, its sum and its quotients in three passes, which the caches
// serve.  Bytes: 8 an element; two exponentials: bound by memory.  Not yet measured on a device.
#include "cuda/kernel.h"
#include "tensor/softmax.h"

namespace satin::cuda {
namespace {

__global__ void softmax_kernel(float* y, const float* x, int64_t rows, int64_t n) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  // Whole warps go on together, so that all lanes meet at the shuffles.
  for (int64_t row = thread_index() / kWarp; row < rows; row += thread_count() / kWarp) {
    const float* from = x + row * n;
    float* to = y + row * n;
    float largest = from[0];
    for (int64_t i = lane; i < n; i += kWarp) largest = from[i] > largest ? from[i] : largest;
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
      const float other = __shfl_xor_sync(~0u, largest, bits);
      largest = other > largest ? other : largest;
    }
    float sum = 0;
    for (int64_t i = lane; i < n; i += kWarp) sum += ::expf(from[i] - largest);
    for (int bits = kWarp / 2; bits > 0; bits /= 2) sum += __shfl_xor_sync(~0u, sum, bits);
    for (int64_t i = lane; i < n; i += kWarp) to[i] = ::expf(from[i] - largest) / sum;
  }
}

}  // namespace

void softmax(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  const int64_t n = x.shape.at(-1), rows = n > 0 ? x.shape.size() / n : 0;
  if (rows == 0) return;
  launch(call, "softmax", over(rows * kWarp, 256, 256), softmax_kernel, y.as<float>(),
         x.as<float>(), rows, n);
}

}  // namespace satin::cuda
