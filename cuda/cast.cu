// Every pair of dtypes meets in f32 or f64: a storage type is widened exactly, then rounded once.
#include "cuda/kernel.h"
#include "tensor/cast.h"

namespace satin::cuda {
namespace {

SATIN_DEVICE float bits_as_float(uint32_t bits) {
#if defined(__CUDACC__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
SATIN_DEVICE uint32_t float_as_bits(float x) {
#if defined(__CUDACC__)
  return __float_as_uint(x);
#else
  return std::bit_cast<uint32_t>(x);
#endif
}

SATIN_DEVICE float widen(float x) { return x; }
SATIN_DEVICE double widen(double x) { return x; }
SATIN_DEVICE float widen(Bf16 x) { return bits_as_float(uint32_t{x.bits} << 16); }
/// binary16: the bits moved into place and scaled, which also serves subnormals.
SATIN_DEVICE float widen(F16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return bits_as_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  return bits_as_float(sign | float_as_bits(bits_as_float(rest << 13) * 0x1p112f));
}

/// As to_odd of tensor/dtype.h: rounding again to 16 bits then rounds as if from the original.
SATIN_DEVICE float once(float x) { return x; }
SATIN_DEVICE float once(double x) {
  const float y = static_cast<float>(x);
  if (static_cast<double>(y) == x || y != y) return y;
  uint32_t bits = float_as_bits(y);
  if (::fabs(static_cast<double>(y)) > ::fabs(x)) --bits;
  return bits_as_float(bits | 1u);
}

SATIN_DEVICE void narrow(float x, float& y) { y = x; }
SATIN_DEVICE void narrow(double x, float& y) { y = static_cast<float>(x); }
SATIN_DEVICE void narrow(float x, double& y) { y = x; }
SATIN_DEVICE void narrow(double x, double& y) { y = x; }
template <class Wide>
SATIN_DEVICE void narrow(Wide x, Bf16& y) {
  const uint32_t b = float_as_bits(once(x));
  const bool nan = (b & 0x7fffffffu) > 0x7f800000u;
  y.bits = static_cast<uint16_t>(nan ? (b >> 16) | 0x40u : (b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}
template <class Wide>
SATIN_DEVICE void narrow(Wide x, F16& y) {
  const uint32_t b = float_as_bits(once(x)), sign = (b >> 16) & 0x8000u, rest = b & 0x7fffffffu;
  uint32_t bits;
  if (rest > 0x7f800000u) {
    bits = 0x7e00u | ((rest >> 13) & 0x3ffu);
  } else if (rest >= 0x477ff000u) {  // 65520 and more round to infinity
    bits = 0x7c00u;
  } else if (rest < 0x38800000u) {  // below 2^-14: the sum of a float rounds where f16 would
    bits = float_as_bits(bits_as_float(rest) + 0.5f) - 0x3f000000u;
  } else {
    bits = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  }
  y.bits = static_cast<uint16_t>(sign | bits);
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
