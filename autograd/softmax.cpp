#include "tensor/softmax.h"

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/reduce.h"

namespace satin {

// y = softmax(x);  dx = y (dy - <dy, y>)
Tensors vjp::softmax(const NodePtr& node, const Tensors& dy) {
  const Tensor y(node, 0);
  return {y * (dy[0] - sum(dy[0] * y, {-1}, ReducedAxes::keep_as_one))};
}

}  // namespace satin
