// Element by element over operands that may be broadcast: the functions of tensor/scalar.h, in f32.
//
// Who owns what.  A thread takes every n-th element of the result and finds its operands by the
// strides of loop.h.  Bytes: 12 an element, less where an operand is repeated, plus one division an
// axis that does not join its neighbor: bound by memory.  Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/binary.h"
#include "tensor/scalar.h"

namespace satin::cuda {
namespace {

template <class F>
__global__ void zip_kernel(
    Loop<3> loop, float* z, const float* x, const float* y, BinaryAttrs attrs, F f) {
  for (int64_t i = thread_index(); i < loop.size; i += thread_count()) {
    int64_t at[3];
    loop.offsets(i, at);
    z[at[0]] = f(x[at[1]], y[at[2]], attrs);
  }
}

template <class F>
void zip(const Call& call, const char* name, F f) {
  const Loop<3> loop = broadcast_loop<3>(call);
  if (loop.size == 0) return;
  launch(call, name, over(loop.size), zip_kernel<F>, loop, call.out[0].as<float>(),
         static_cast<const float*>(call.in[0].as<float>()),
         static_cast<const float*>(call.in[1].as<float>()), call.as<BinaryAttrs>(), f);
}

}  // namespace

#define SATIN_BINARY(name)                                               \
  namespace {                                                            \
  struct name##_function {                                               \
    __device__ float operator()(float x, float y, BinaryAttrs a) const { \
      return scalar::name(x, y, a);                                      \
    }                                                                    \
  };                                                                     \
  }                                                                      \
  void name(const Call& call) { zip(call, #name, name##_function{}); }

SATIN_BINARY(add)
SATIN_BINARY(sub)
SATIN_BINARY(mul)
SATIN_BINARY(div)
SATIN_BINARY(maximum)
SATIN_BINARY(minimum)
SATIN_BINARY(less)
SATIN_BINARY(less_equal)
SATIN_BINARY(equal)
SATIN_BINARY(leaky_relu_grad)
SATIN_BINARY(gelu_grad)

#undef SATIN_BINARY

}  // namespace satin::cuda
