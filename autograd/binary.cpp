// The rules of the binary family, one line each: z = f(x, y).  Operands have equal shapes here:
// broadcasting is a node of its own.
#include "tensor/binary.h"

#include "autograd/grad.h"
#include "tensor/scalar.h"
#include "tensor/unary.h"

namespace satin {

#define SATIN_RULE(name, dx, dy)                                                                 \
  Tensors vjp::name([[maybe_unused]] const NodePtr& node, [[maybe_unused]] const Tensors& dzs) { \
    [[maybe_unused]] const Tensor &x = node->inputs[0], &y = node->inputs[1], &dz = dzs[0];      \
    [[maybe_unused]] const Tensor z(node, 0);                                                    \
    return {dx, dy};                                                                             \
  }

SATIN_RULE(add, dz, dz)
SATIN_RULE(sub, dz, -dz)
SATIN_RULE(mul, dz* y, dz* x)
SATIN_RULE(div, dz / y, -(dz* z) / y)
SATIN_RULE(less, Tensor(), Tensor())
SATIN_RULE(less_equal, Tensor(), Tensor())
SATIN_RULE(equal, Tensor(), Tensor())
SATIN_RULE(leaky_relu_grad, Tensor(), satin::leaky_relu_grad(x, dz, node->as<BinaryAttrs>().a))
// d/dx (Phi + x phi) = phi (2 - x^2)
SATIN_RULE(gelu_grad,
           dz* y*(satin::exp(satin::square(x) * -0.5) * scalar::kInvSqrt2Pi) *
               -(satin::square(x) - 2.0),
           satin::gelu_grad(x, dz))
// The larger (smaller) operand takes dz; equal ones take half each, as in PyTorch.
SATIN_RULE(maximum,
           dz*(satin::less(y, x) + satin::equal(x, y) * 0.5),
           dz*(satin::less(x, y) + satin::equal(x, y) * 0.5))
SATIN_RULE(minimum,
           dz*(satin::less(x, y) + satin::equal(x, y) * 0.5),
           dz*(satin::less(y, x) + satin::equal(x, y) * 0.5))

#undef SATIN_RULE

}  // namespace satin
