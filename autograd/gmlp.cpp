#include "tensor/gmlp.h"

#include "autograd/flat_grad.h"
#include "autograd/grad.h"
#include "tensor/compose.h"

namespace satin {

// All cotangents come from one pass over x and dy; the rule of the gate, worked out by hand, is in
// docs/derivations/gmlp_gate.md.
Tensors vjp::gmlp(const NodePtr& node, const Tensors& dy) {
  if (!is_zero(dy[1])) return vjp_of(composition_of(*node), dy, node->inputs);
  return split_flat_grad(node, satin::gmlp_grad(node->inputs[0], gmlp_weights(node->inputs, 1),
                                                dy[0], node->as<GmlpAttrs>(), Tensor(node, 0)));
}

Tensors compose::gmlp_grad(const Node& node) {
  return compose_flat_grad(
      node,
      [&](const Tensors& x) { return satin::gmlp(x[0], gmlp_weights(x, 1), node.as<GmlpAttrs>()); },
      1);
}

}  // namespace satin
