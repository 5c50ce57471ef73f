#include "tensor/layer_norm.h"

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/full.h"

namespace satin {

// y = gamma (x - m) r + beta: the three cotangents come from one pass over x
// (docs/derivations/layer_norm.md).
Tensors vjp::layer_norm(const NodePtr& node, const Tensors& dy) {
  return satin::layer_norm_grad(node->inputs[0], node->inputs[1], dy[0],
                                node->as<LayerNormAttrs>());
}

// What layer_norm_grad means: the derivative of what layer_norm means.  beta does not matter to it.
Tensors compose::layer_norm_grad(const Node& node) {
  const Tensor &x = node.inputs[0], &dy = node.inputs[2];
  // A tensor that serves as both has two cotangents all the same.
  const Tensor gamma = node.inputs[1] == x ? x * 1.0 : node.inputs[1];
  const Tensor beta = full(gamma.shape(), 0.0, gamma.dtype());
  const Tensor y = satin::layer_norm(x, gamma, beta, node.as<LayerNormAttrs>());
  return vjp_of(composition_of(y.node()), {dy}, {x, gamma, beta});
}

}  // namespace satin
