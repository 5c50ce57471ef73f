#include "tensor/unary.h"

namespace satin {
namespace {

Tensor unary(Op op, const Tensor& x, UnaryAttrs attrs = {}) {
  if (!x) fail(op, "x is an empty Tensor");
  return make_tensor(op, attrs, {x}, x.shape());
}

}  // namespace

Tensor neg(const Tensor& x) { return unary(Op::neg, x); }
Tensor abs(const Tensor& x) { return unary(Op::abs, x); }
Tensor sign(const Tensor& x) { return unary(Op::sign, x); }
Tensor square(const Tensor& x) { return unary(Op::square, x); }
Tensor reciprocal(const Tensor& x) { return unary(Op::reciprocal, x); }
Tensor sqrt(const Tensor& x) { return unary(Op::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return unary(Op::rsqrt, x); }
Tensor exp(const Tensor& x) { return unary(Op::exp, x); }
Tensor log(const Tensor& x) { return unary(Op::log, x); }
Tensor sin(const Tensor& x) { return unary(Op::sin, x); }
Tensor cos(const Tensor& x) { return unary(Op::cos, x); }
Tensor tanh(const Tensor& x) { return unary(Op::tanh, x); }
Tensor erf(const Tensor& x) { return unary(Op::erf, x); }
Tensor sigmoid(const Tensor& x) { return unary(Op::sigmoid, x); }
Tensor silu(const Tensor& x) { return unary(Op::silu, x); }
Tensor relu(const Tensor& x) { return unary(Op::relu, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return unary(Op::leaky_relu, x, {.a = slope}); }
Tensor gelu(const Tensor& x) { return unary(Op::gelu, x); }
Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high))
    fail(Op::clamp, cat("the lower bound ", low, " is above the upper bound ", high));
  return unary(Op::clamp, x, {.a = low, .b = high});
}

}  // namespace satin
