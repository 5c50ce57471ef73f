// amax: a thread per result goes through its elements in their order.
// Bytes: 4 an element read: bound by memory where there are many results, by one thread's loads
// where there are few.  Not yet measured on a device.
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

}  // namespace

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
