#include "tensor/where.h"

#include "tensor/broadcast.h"

namespace satin {

Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y) {
  if (!condition || !x || !y) fail(Op::where, "an operand is an empty Tensor");
  Shape shape;
  try {
    shape = broadcast_shape(condition.shape(), broadcast_shape(x.shape(), y.shape()));
  } catch (const Error& e) {
    fail(Op::where, e.what());
  }
  return make_tensor(
      Op::where, NoAttrs{},
      {broadcast_to(condition, shape), broadcast_to(x, shape), broadcast_to(y, shape)}, shape);
}

}  // namespace satin
