// The derivative of a composite that reads x and weights as one operation with two outputs, {dx,
// dw}, dw holding the cotangents of all weights flat (make_flat_grad in tensor/compose.h).
#pragma once

#include <functional>

#include "tensor/node.h"

namespace satin {

/// The rule of such a composite: d = {dx, dw} as cotangents of node's inputs; those of the weights
/// are views of dw.
Tensors split_flat_grad(const NodePtr& node, const Tensors& d);

/// What the gradient's row means: the derivative of what the composite means.  node: the
/// gradient's, whose inputs are x, the weights, `kept` values that follow from these, and dy;
/// composite(inputs): the composite of x and the weights.
Tensors compose_flat_grad(const Node& node,
                          const std::function<Tensor(const Tensors&)>& composite,
                          int kept = 0);

}  // namespace satin
