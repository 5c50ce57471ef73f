#include "tensor/slice.h"

#include <algorithm>

namespace satin {
namespace {

void check(Op op, const SliceAttrs& attrs, const Shape& whole, const Shape& part) {
  if (whole.rank() != part.rank())
    fail(op, cat(part, " is no part of ", whole, ": the ranks differ"));
  for (int i = 0; i < whole.rank(); ++i) {
    if (attrs.step[i] < 1)
      fail(op, cat("step ", attrs.step[i], " along axis ", i, "; steps are 1 or more"));
    if (attrs.start[i] < 0 || attrs.start[i] > whole[i] ||
        (part[i] > 0 && (part[i] - 1 > (whole[i] - 1 - attrs.start[i]) / attrs.step[i] ||
                         attrs.start[i] >= whole[i])))
      fail(op, cat(part[i], " elements from ", attrs.start[i], " in steps of ", attrs.step[i],
                   " along axis ", i, " reach outside ", whole));
  }
}

/// Steps that are never taken as 1, so that they take part in no arithmetic.
SliceAttrs tidied(SliceAttrs attrs, const Shape& part) {
  for (int i = 0; i < part.rank(); ++i)
    if (part[i] <= 1) attrs.step[i] = 1;
  return attrs;
}

}  // namespace

Tensor slice(const Tensor& x, const SliceAttrs& attrs, const Shape& shape) {
  check(Op::slice, attrs, x.shape(), shape);
  if (shape == x.shape()) return x;
  return make_tensor(Op::slice, tidied(attrs, shape), {x}, shape);
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end, int64_t step) {
  axis = normalize_axis(axis, x.rank(), "slice");
  const int64_t extent = x.shape()[axis];
  if (begin < 0) begin += extent;
  if (end < 0) end += extent;
  end = std::min(end, extent);
  if (begin < 0 || begin > end || step < 1)
    fail(Op::slice, cat("from ", begin, " to ", end, " in steps of ", step, " along axis ", axis,
                        " of ", x.shape()));
  SliceAttrs attrs;
  attrs.start[axis] = begin;
  attrs.step[axis] = step;
  return slice(x, attrs, x.shape().with(axis, end > begin ? (end - begin - 1) / step + 1 : 0));
}

Tensor slice_adjoint(const Tensor& y, const SliceAttrs& attrs, const Shape& shape) {
  check(Op::slice_adjoint, attrs, shape, y.shape());
  if (shape == y.shape()) return y;
  return make_tensor(Op::slice_adjoint, tidied(attrs, y.shape()), {y}, shape);
}

}  // namespace satin
