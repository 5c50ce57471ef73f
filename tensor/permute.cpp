#include "tensor/permute.h"

namespace satin {

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  if (static_cast<int>(order.size()) != x.rank())
    fail(Op::permute, cat("the order names ", order.size(), " axes, x is ", x.shape()));
  PermuteAttrs attrs;
  Shape shape = x.shape();
  unsigned seen = 0;
  for (int i = 0; i < x.rank(); ++i) {
    if (order[i] < 0 || order[i] >= x.rank() || (seen >> order[i] & 1u))
      fail(Op::permute,
           cat("axis ", order[i], " is out of range or named twice; x is ", x.shape()));
    seen |= 1u << order[i];
    attrs.order[i] = order[i];
    shape = shape.with(i, x.shape()[order[i]]);
  }
  return make_tensor(Op::permute, attrs, {x}, shape);
}

}  // namespace satin
