#include "tensor/unary.h"

#include "cpu/kernel.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA {
namespace {

template <class T, class F>
void map(const Call& call, F f) {
  const T* x = call.in[0].as<T>();
  T* y = call.out[0].as<T>();
  parallel_chunks(call, call.out[0].shape.size(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

}  // namespace

#define SATIN_UNARY(name)                                                         \
  void name(const Call& call) {                                                   \
    const auto attrs = call.as<UnaryAttrs>();                                     \
    with_type(call.out[0].dtype, [&](auto t) {                                    \
      map<decltype(t)>(call, [attrs](auto x) { return scalar::name(x, attrs); }); \
    });                                                                           \
  }

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

}  // namespace satin::cpu::SATIN_ISA
