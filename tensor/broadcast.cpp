#include "tensor/broadcast.h"

namespace satin {
namespace {

void check(Op op, const Shape& small, const Shape& large) {
  bool fits = small.rank() <= large.rank();
  for (int i = 1; fits && i <= small.rank(); ++i)
    fits = small.at(-i) == 1 || small.at(-i) == large.at(-i);
  if (!fits) fail(op, cat(small, " does not broadcast to ", large));
}

}  // namespace

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  check(Op::broadcast_to, x.shape(), shape);
  if (x.shape() == shape) return x;
  return make_tensor(Op::broadcast_to, NoAttrs{}, {x}, shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check(Op::sum_to, shape, x.shape());
  if (x.shape() == shape) return x;
  return make_tensor(Op::sum_to, NoAttrs{}, {x}, shape);
}

}  // namespace satin
