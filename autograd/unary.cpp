// The rules of the unary family, one line each: y = f(x), dx = f'(x) dy.
#include "tensor/unary.h"

#include <numbers>

#include "autograd/grad.h"
#include "tensor/binary.h"

namespace satin {

#define SATIN_RULE(name, dx)                                                                     \
  Tensors vjp::name([[maybe_unused]] const NodePtr& node, [[maybe_unused]] const Tensors& dys) { \
    [[maybe_unused]] const Tensor& x = node->inputs[0];                                          \
    [[maybe_unused]] const Tensor y(node, 0);                                                    \
    [[maybe_unused]] const Tensor& dy = dys[0];                                                  \
    return {dx};                                                                                 \
  }

SATIN_RULE(neg, -dy)
SATIN_RULE(abs, dy* satin::sign(x))
SATIN_RULE(sign, Tensor())
SATIN_RULE(square, dy*(x * 2.0))
SATIN_RULE(reciprocal, -(dy* satin::square(y)))
SATIN_RULE(sqrt, dy / (y * 2.0))
SATIN_RULE(rsqrt, dy*(satin::square(y) * y) * -0.5)
SATIN_RULE(exp, dy* y)
SATIN_RULE(log, dy / x)
SATIN_RULE(sin, dy* satin::cos(x))
SATIN_RULE(cos, -(dy* satin::sin(x)))
SATIN_RULE(tanh, dy - dy * satin::square(y))
SATIN_RULE(erf, dy* satin::exp(-satin::square(x)) * (2.0 * std::numbers::inv_sqrtpi))
SATIN_RULE(sigmoid, dy*(y - satin::square(y)))
SATIN_RULE(relu, satin::leaky_relu_grad(x, dy, 0.0))
SATIN_RULE(leaky_relu, satin::leaky_relu_grad(x, dy, node->as<UnaryAttrs>().a))
SATIN_RULE(gelu, satin::gelu_grad(x, dy))

#undef SATIN_RULE

// y = x s, s = sigmoid(x);  dx = (s + y (1 - s)) dy
Tensors vjp::silu(const NodePtr& node, const Tensors& dy) {
  const Tensor s = satin::sigmoid(node->inputs[0]);
  const Tensor y(node, 0);
  return {dy[0] * (s + y - y * s)};
}

// dx = dy where low <= x <= high
Tensors vjp::clamp(const NodePtr& node, const Tensors& dy) {
  const Tensor& x = node->inputs[0];
  const auto [low, high] = node->as<UnaryAttrs>();
  const Tensor inside = less_equal(scalar_like(x, low), x) * less_equal(x, scalar_like(x, high));
  return {dy[0] * inside};
}

}  // namespace satin
