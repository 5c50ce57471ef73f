#include "tensor/multi_axis_gmlp.h"

#include "autograd/flat_grad.h"
#include "autograd/grad.h"
#include "tensor/compose.h"

namespace satin {

// All cotangents come from one pass over x and dy (docs/derivations/gmlp_gate.md has the gate's,
// worked out by hand).
Tensors vjp::multi_axis_gmlp(const NodePtr& node, const Tensors& dy) {
  if (!is_zero(dy[1])) return vjp_of(composition_of(*node), dy, node->inputs);
  const auto attrs = node->as<MultiAxisGmlpAttrs>();
  return split_flat_grad(
      node, satin::multi_axis_gmlp_grad(node->inputs[0],
                                        multi_axis_gmlp_weights(node->inputs, 1, attrs.branches),
                                        dy[0], attrs, Tensor(node, 0)));
}

Tensors compose::multi_axis_gmlp_grad(const Node& node) {
  const auto attrs = node.as<MultiAxisGmlpAttrs>();
  return compose_flat_grad(
      node,
      [&](const Tensors& x) {
        return satin::multi_axis_gmlp(x[0], multi_axis_gmlp_weights(x, 1, attrs.branches), attrs);
      },
      1);
}

}  // namespace satin
