// A thread takes every n-th element of the result.  Bytes: 16 an element, less where an operand is
// repeated: bound by memory.  Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/where.h"

namespace satin::cuda {
namespace {

__global__ void where_kernel(
    Loop<4> loop, float* z, const float* condition, const float* x, const float* y) {
  for (int64_t i = thread_index(); i < loop.size; i += thread_count()) {
    int64_t at[4];
    loop.offsets(i, at);
    z[at[0]] = condition[at[1]] != 0 ? x[at[2]] : y[at[3]];
  }
}

}  // namespace

void where(const Call& call) {
  const Loop<4> loop = broadcast_loop<4>(call);
  if (loop.size == 0) return;
  launch(call, "where", over(loop.size), where_kernel, loop, call.out[0].as<float>(),
         call.in[0].as<float>(), call.in[1].as<float>(), call.in[2].as<float>());
}

}  // namespace satin::cuda
