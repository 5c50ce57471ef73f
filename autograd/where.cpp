#include "tensor/where.h"

#include "autograd/grad.h"
#include "tensor/binary.h"

namespace satin {

// z = x or y;  dx = dz where x was chosen, dy = dz where y was
Tensors vjp::where(const NodePtr& node, const Tensors& dz) {
  const Tensor& condition = node->inputs[0];
  const Tensor zero = scalar_like(dz[0], 0.0);
  return {Tensor(), satin::where(condition, dz[0], zero), satin::where(condition, zero, dz[0])};
}

}  // namespace satin
