#include "tensor/reshape.h"

#include "autograd/grad.h"

namespace satin {

// y = x under another shape;  dx = dy under x's
Tensors vjp::reshape(const NodePtr& node, const Tensors& dy) {
  return {satin::reshape(dy[0], node->inputs[0].shape())};
}

}  // namespace satin
