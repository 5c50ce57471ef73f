#include "tensor/pad.h"

namespace satin {
namespace {

Shape padded(Op op, const PadAttrs& attrs, Shape shape) {
  for (int i = 0; i < shape.rank(); ++i) {
    if (attrs.before[i] < 0 || attrs.after[i] < 0)
      fail(op, cat("negative amounts (", attrs.before[i], ", ", attrs.after[i], ") along axis ", i,
                   "; use slice"));
    constexpr int64_t kMost = int64_t{1} << 59;
    if (attrs.before[i] > kMost || attrs.after[i] > kMost)
      fail(op, cat("amounts (", attrs.before[i], ", ", attrs.after[i], ") along axis ", i,
                   " are more than any machine can hold"));
    if (attrs.mode != PadMode::zero && shape[i] == 0 && attrs.before[i] + attrs.after[i] > 0)
      fail(op, cat("axis ", i, " of ", shape, " is empty: there is nothing to repeat"));
    shape = shape.with(i, shape[i] + attrs.before[i] + attrs.after[i]);
  }
  return shape;
}

}  // namespace

Tensor pad(const Tensor& x, const PadAttrs& attrs) {
  return make_tensor(Op::pad, attrs, {x}, padded(Op::pad, attrs, x.shape()));
}

Tensor pad_adjoint(const Tensor& y, const PadAttrs& attrs, const Shape& shape) {
  const Shape expected = padded(Op::pad_adjoint, attrs, shape);
  if (y.shape() != expected)
    fail(Op::pad_adjoint, cat("y is ", y.shape(), "; padding ", shape, " gives ", expected));
  return make_tensor(Op::pad_adjoint, attrs, {y}, shape);
}

}  // namespace satin
