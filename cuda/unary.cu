// Element by element: the functions of tensor/scalar.h, in f32.
//
// Who owns what.  A thread takes every n-th element, neighbors in a warp neighbors in memory.
// Bytes: 8 an element: bound by memory.  Not yet measured on a device.
#include "cuda/kernel.h"
#include "tensor/scalar.h"
#include "tensor/unary.h"

namespace satin::cuda {
namespace {

template <class F>
__global__ void map_kernel(float* y, const float* x, int64_t n, UnaryAttrs attrs, F f) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) y[i] = f(x[i], attrs);
}

template <class F>
void map(const Call& call, const char* name, F f) {
  const int64_t n = call.out[0].shape.size();
  if (n == 0) return;
  launch(call, name, over(n), map_kernel<F>, call.out[0].as<float>(),
         static_cast<const float*>(call.in[0].as<float>()), n, call.as<UnaryAttrs>(), f);
}

}  // namespace

// A struct, because a pointer to a device function would not be inlined.
#define SATIN_UNARY(name)                                                                   \
  namespace {                                                                               \
  struct name##_function {                                                                  \
    __device__ float operator()(float x, UnaryAttrs a) const { return scalar::name(x, a); } \
  };                                                                                        \
  }                                                                                         \
  void name(const Call& call) { map(call, #name, name##_function{}); }

SATIN_UNARY(neg)
SATIN_UNARY(abs)
SATIN_UNARY(sign)
SATIN_UNARY(square)
SATIN_UNARY(reciprocal)
SATIN_UNARY(sqrt)
SATIN_UNARY(rsqrt)
SATIN_UNARY(exp)
SATIN_UNARY(log)
SATIN_UNARY(sin)
SATIN_UNARY(cos)
SATIN_UNARY(tanh)
SATIN_UNARY(erf)
SATIN_UNARY(sigmoid)
SATIN_UNARY(silu)
SATIN_UNARY(relu)
SATIN_UNARY(leaky_relu)
SATIN_UNARY(gelu)
SATIN_UNARY(clamp)

#undef SATIN_UNARY

}  // namespace satin::cuda
