// One loop; a member is the vector expression of f32 beside its name.  f64 and the plain path run
// the scalar function of the same name.
#include "tensor/unary.h"

#include "cpu/kernel.h"
#include "cpu/vmath.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA {
namespace {

using vmath::F;

template <class Run>
void pieces(const Call& call, Run run) {
  parallel_chunks(call, call.out[0].shape.size(), 1 << 14, run);
}

template <class T, class Function>
void map(const Call& call, Function f) {
  const T* x = call.in[0].as<T>();
  T* y = call.out[0].as<T>();
  pieces(call, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

template <class Function>
void map_vectors(const Call& call, Function f) {
  constexpr int kStep = kLanes<float>;
  const float* x = call.in[0].as<float>();
  float* y = call.out[0].as<float>();
  pieces(call, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + kStep <= end; i += kStep) store(y + i, f(load(x + i)));
    if (i < end) store_part(y + i, f(load_part(x + i, end - i)), end - i);
  });
}

}  // namespace

// `vector` is an expression in x, and in a and b where the attributes matter.
#define SATIN_UNARY(name, vector)                                                 \
  void name(const Call& call) {                                                   \
    const auto attrs = call.as<UnaryAttrs>();                                     \
    [[maybe_unused]] const float a = static_cast<float>(attrs.a);                 \
    [[maybe_unused]] const float b = static_cast<float>(attrs.b);                 \
    const auto scalar_f = [attrs](auto x) { return scalar::name(x, attrs); };     \
    if (is_f64(call.out[0]))                                                      \
      map<double>(call, scalar_f);                                                \
    else if (wants_plain(call))                                                   \
      map<float>(call, scalar_f);                                                 \
    else                                                                          \
      map_vectors(                                                                \
          call, [ a, b ](F x) __attribute__((always_inline)) { return vector; }); \
  }

SATIN_UNARY(neg, -x)
SATIN_UNARY(abs, vmath::absolute(x))
SATIN_UNARY(sign, x == 0 ? F{} : x != x ? x : vmath::with_sign(vmath::broadcast(1), x))
SATIN_UNARY(square, x* x)
SATIN_UNARY(reciprocal, 1.0f / x)
SATIN_UNARY(sqrt, square_root<float>(x))
SATIN_UNARY(rsqrt, 1.0f / square_root<float>(x))
SATIN_UNARY(exp, vmath::exp(x))
SATIN_UNARY(log, vmath::log(x))
SATIN_UNARY(sin, vmath::lanewise(x, [](float v) { return std::sin(v); }))
SATIN_UNARY(cos, vmath::lanewise(x, [](float v) { return std::cos(v); }))
SATIN_UNARY(tanh, vmath::tanh(x))
SATIN_UNARY(erf, vmath::erf(x))
SATIN_UNARY(sigmoid, vmath::sigmoid(x))
SATIN_UNARY(silu, vmath::silu(x))
SATIN_UNARY(relu, vmath::at_least(x, 0.0f))
SATIN_UNARY(leaky_relu, x > 0 ? x : a * x)
SATIN_UNARY(gelu, vmath::gelu(x))
SATIN_UNARY(clamp, vmath::at_most(vmath::at_least(x, a), b))

#undef SATIN_UNARY

}  // namespace satin::cpu::SATIN_ISA
