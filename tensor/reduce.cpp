#include "tensor/reduce.h"

#include <numeric>

#include "tensor/binary.h"
#include "tensor/broadcast.h"
#include "tensor/compose.h"
#include "tensor/reshape.h"
#include "tensor/unary.h"

namespace satin {
namespace {

/// x.shape() with extent 1 along the reduced axes, and the shape without them.
struct Reduced {
  Shape kept;
  Shape dropped;
};

Reduced reduced_shape(const char* what, const Tensor& x, const std::vector<int>& axes) {
  unsigned seen = 0;
  for (int axis : axes) {
    axis = normalize_axis(axis, x.rank(), what);
    if (seen >> axis & 1u) throw Error(cat(what, ": axis ", axis, " is named twice"));
    seen |= 1u << axis;
  }
  Reduced shapes{x.shape(), {}};
  std::vector<int64_t> rest;
  for (int i = 0; i < x.rank(); ++i) {
    if (seen >> i & 1u)
      shapes.kept = shapes.kept.with(i, 1);
    else
      rest.push_back(x.shape()[i]);
  }
  shapes.dropped = Shape(rest);
  return shapes;
}

std::vector<int> all_axes(const Tensor& x) {
  std::vector<int> axes(static_cast<size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced) {
  const Reduced shapes = reduced_shape("sum", x, axes);
  const Tensor y = sum_to(x, shapes.kept);
  return reduced == ReducedAxes::drop ? reshape(y, shapes.dropped) : y;
}
Tensor sum(const Tensor& x) { return sum(x, all_axes(x)); }

Tensor mean(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced) {
  const Tensor y = sum(x, axes, reduced);
  return y.size() == 0 ? y : y * (static_cast<double>(y.size()) / static_cast<double>(x.size()));
}
Tensor mean(const Tensor& x) { return mean(x, all_axes(x)); }

Tensor amax(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced) {
  const Reduced shapes = reduced_shape("amax", x, axes);
  if (x.size() == 0 && shapes.kept.size() > 0)
    fail(Op::amax, cat("an empty axis of ", x.shape(), " has no largest element"));
  const Tensor y =
      shapes.kept == x.shape() ? x : make_tensor(Op::amax, NoAttrs{}, {x}, shapes.kept);
  return reduced == ReducedAxes::drop ? reshape(y, shapes.dropped) : y;
}

Tensor l2_norm(const Tensor& x) {
  if (!x) fail(Op::l2_norm, "an empty Tensor");
  return make_tensor(Op::l2_norm, NoAttrs{}, {x}, Shape{});
}

Tensors compose::l2_norm(const Node& node) { return {sqrt(sum(square(node.inputs[0])))}; }

}  // namespace satin
