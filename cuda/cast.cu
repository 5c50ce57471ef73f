// Every pair of dtypes meets in f32 or f64: a storage type is widened exactly, then rounded once.
// A thread takes every n-th element.  Bytes: the sizes of both dtypes an element: bound by memory.
// Not yet measured on a device.
#include "cuda/kernel.h"
#include "tensor/cast.h"

namespace satin::cuda {
namespace {

SATIN_DEVICE float widen(float x) { return x; }
SATIN_DEVICE double widen(double x) { return x; }
SATIN_DEVICE float widen(Bf16 x) { return to_f32(x); }
SATIN_DEVICE float widen(F16 x) { return to_f32(x); }

SATIN_DEVICE float once(float x) { return x; }
SATIN_DEVICE float once(double x) { return to_odd(x); }

template <class Wide>
SATIN_DEVICE void narrow(Wide x, float& y) {
  y = static_cast<float>(x);
}
template <class Wide>
SATIN_DEVICE void narrow(Wide x, double& y) {
  y = x;
}
template <class Wide>
SATIN_DEVICE void narrow(Wide x, Bf16& y) {
  y = to_bf16(once(x));
}
template <class Wide>
SATIN_DEVICE void narrow(Wide x, F16& y) {
  y = to_f16(once(x));
}

template <class To, class From>
__global__ void cast_kernel(To* y, const From* x, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    To value;
    narrow(widen(x[i]), value);
    y[i] = value;
  }
}

/// f(T{}) for the type that stores t.
template <class F>
void with_type(DType t, F f) {
  switch (t) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(Bf16{});
    case DType::f16:
      return f(F16{});
  }
}

}  // namespace

void cast(const Call& call) {
  const int64_t n = call.out[0].shape.size();
  if (n == 0) return;
  with_type(call.in[0].dtype, [&](auto from) {
    with_type(call.out[0].dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      launch(call, "cast", over(n), cast_kernel<To, From>, call.out[0].as<To>(),
             static_cast<const From*>(call.in[0].as<From>()), n);
    });
  });
}

}  // namespace satin::cuda
