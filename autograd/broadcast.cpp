#include "tensor/broadcast.h"

#include "autograd/grad.h"

namespace satin {

// A linear pair: each is the other's adjoint.
Tensors vjp::broadcast_to(const NodePtr& node, const Tensors& dy) {
  return {satin::sum_to(dy[0], node->inputs[0].shape())};
}
Tensors vjp::sum_to(const NodePtr& node, const Tensors& dy) {
  return {satin::broadcast_to(dy[0], node->inputs[0].shape())};
}

}  // namespace satin
