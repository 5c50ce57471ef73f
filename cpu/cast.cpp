// Every pair of dtypes meets in f32 or f64: a storage type is widened exactly, then rounded once.
#include "tensor/cast.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {
namespace {

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(Bf16 x) { return to_f32(x); }
inline float widen(F16 x) { return to_f32(x); }

inline float once(float x) { return x; }
inline float once(double x) { return to_odd(x); }

template <class To, class Wide>
inline To narrow(Wide x) {
  if constexpr (sizeof(To) >= 4)
    return static_cast<To>(x);
  else if constexpr (static_cast<bool>(__is_same(To, Bf16)))
    return to_bf16(once(x));
  else
    return to_f16(once(x));
}

template <class To, class From>
void convert(const Call& call) {
  const From* x = call.in[0].as<From>();
  To* y = call.out[0].as<To>();
  parallel_chunks(call, call.out[0].shape.size(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = narrow<To>(widen(x[i]));
  });
}

template <class From>
void convert_from(const Call& call) {
  switch (call.out[0].dtype) {
    case DType::f32:
      return convert<float, From>(call);
    case DType::f64:
      if constexpr (SATIN_BASELINE != 0) return convert<double, From>(call);
      return;
    case DType::bf16:
      return convert<Bf16, From>(call);
    case DType::f16:
      return convert<F16, From>(call);
  }
}

}  // namespace

void cast(const Call& call) {
  switch (call.in[0].dtype) {
    case DType::f32:
      return convert_from<float>(call);
    case DType::f64:
      if constexpr (SATIN_BASELINE != 0) return convert_from<double>(call);
      return;
    case DType::bf16:
      return convert_from<Bf16>(call);
    case DType::f16:
      return convert_from<F16>(call);
  }
}

}  // namespace satin::cpu::SATIN_ISA
