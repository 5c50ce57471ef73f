#include "tensor/cast.h"

#include "autograd/grad.h"

namespace satin {

// y = x in another dtype;  dx = dy back in x's
Tensors vjp::cast(const NodePtr& node, const Tensors& dy) {
  return {satin::cast(dy[0], node->inputs[0].dtype())};
}

}  // namespace satin
