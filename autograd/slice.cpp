#include "tensor/slice.h"

#include "autograd/grad.h"

namespace satin {

// A linear pair: each is the other's adjoint.
Tensors vjp::slice(const NodePtr& node, const Tensors& dy) {
  return {satin::slice_adjoint(dy[0], node->as<SliceAttrs>(), node->inputs[0].shape())};
}
Tensors vjp::slice_adjoint(const NodePtr& node, const Tensors& dx) {
  return {satin::slice(dx[0], node->as<SliceAttrs>(), node->inputs[0].shape())};
}

}  // namespace satin
