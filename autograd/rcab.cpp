#include "tensor/rcab.h"

#include "autograd/flat_grad.h"
#include "autograd/grad.h"
#include "tensor/compose.h"

namespace satin {

// All cotangents come from one operation, which computes between x and y again what it needs.
Tensors vjp::rcab(const NodePtr& node, const Tensors& dy) {
  return split_flat_grad(node, satin::rcab_grad(node->inputs[0], rcab_weights(node->inputs, 1),
                                                dy[0], node->as<RcabAttrs>()));
}

Tensors compose::rcab_grad(const Node& node) {
  return compose_flat_grad(node, [&](const Tensors& x) {
    return satin::rcab(x[0], rcab_weights(x, 1), node.as<RcabAttrs>());
  });
}

}  // namespace satin
