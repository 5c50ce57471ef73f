#include "tensor/pad.h"

#include "autograd/grad.h"

namespace satin {

// A linear pair: each is the other's adjoint.
Tensors vjp::pad(const NodePtr& node, const Tensors& dy) {
  return {satin::pad_adjoint(dy[0], node->as<PadAttrs>(), node->inputs[0].shape())};
}
Tensors vjp::pad_adjoint(const NodePtr& node, const Tensors& dx) {
  return {satin::pad(dx[0], node->as<PadAttrs>())};
}

}  // namespace satin
