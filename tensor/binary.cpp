#include "tensor/binary.h"

#include "tensor/broadcast.h"
#include "tensor/full.h"
#include "tensor/unary.h"

namespace satin {
namespace {

Tensor binary(Op op, const Tensor& x, const Tensor& y, BinaryAttrs attrs = {}) {
  if (!x || !y) fail(op, "an operand is an empty Tensor");
  Shape shape;
  try {
    shape = broadcast_shape(x.shape(), y.shape());
  } catch (const Error& e) {
    fail(op, e.what());
  }
  return make_tensor(op, attrs, {broadcast_to(x, shape), broadcast_to(y, shape)}, shape);
}

}  // namespace

Tensor add(const Tensor& x, const Tensor& y) { return binary(Op::add, x, y); }
Tensor sub(const Tensor& x, const Tensor& y) { return binary(Op::sub, x, y); }
Tensor mul(const Tensor& x, const Tensor& y) { return binary(Op::mul, x, y); }
Tensor div(const Tensor& x, const Tensor& y) { return binary(Op::div, x, y); }
Tensor maximum(const Tensor& x, const Tensor& y) { return binary(Op::maximum, x, y); }
Tensor minimum(const Tensor& x, const Tensor& y) { return binary(Op::minimum, x, y); }
Tensor less(const Tensor& x, const Tensor& y) { return binary(Op::less, x, y); }
Tensor less_equal(const Tensor& x, const Tensor& y) { return binary(Op::less_equal, x, y); }
Tensor equal(const Tensor& x, const Tensor& y) { return binary(Op::equal, x, y); }
Tensor leaky_relu_grad(const Tensor& x, const Tensor& dy, double slope) {
  return binary(Op::leaky_relu_grad, x, dy, {.a = slope});
}
Tensor gelu_grad(const Tensor& x, const Tensor& dy) { return binary(Op::gelu_grad, x, dy); }

Tensor scalar_like(const Tensor& x, double value) { return full({}, value, x.dtype()); }
Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace satin
