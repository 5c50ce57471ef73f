#include "tensor/reduce.h"

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/broadcast.h"

namespace satin {

// y = max x;  dx = [x = y] dy / #{x = y}
Tensors vjp::amax(const NodePtr& node, const Tensors& dy) {
  const Tensor& x = node->inputs[0];
  const Tensor y(node, 0);
  const Tensor is_largest = equal(x, y);
  const Tensor count = sum_to(is_largest, y.shape());
  return {is_largest * (dy[0] / count)};
}

}  // namespace satin
