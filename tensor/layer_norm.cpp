#include "tensor/layer_norm.h"

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/reduce.h"
#include "tensor/unary.h"

namespace satin {
namespace {

void check(Op op, const Tensor& x, const Tensor& vector, const char* name) {
  if (!x || x.rank() < 1 || x.shape().at(-1) < 1)
    fail(op, "x needs a last axis of one element or more");
  if (!vector || vector.shape() != Shape{x.shape().at(-1)})
    fail(op, cat(name, " is ", vector ? vector.shape() : Shape{}, ", x is ", x.shape(),
                 ": it must be [", x.shape().at(-1), "]"));
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, LayerNormAttrs attrs) {
  check(Op::layer_norm, x, gamma, "gamma");
  check(Op::layer_norm, x, beta, "beta");
  return make_tensor(Op::layer_norm, attrs, {x, gamma, beta}, x.shape());
}

Tensors layer_norm_grad(const Tensor& x,
                        const Tensor& gamma,
                        const Tensor& dy,
                        LayerNormAttrs attrs) {
  check(Op::layer_norm_grad, x, gamma, "gamma");
  if (!dy || dy.shape() != x.shape())
    fail(Op::layer_norm_grad, cat("dy must have the shape of x, ", x.shape()));
  const DType t = x.dtype();
  return outputs_of(make_node(Op::layer_norm_grad, Attrs(attrs), {x, gamma, dy},
                              {{x.shape(), t}, {gamma.shape(), t}, {gamma.shape(), t}}));
}

Tensors compose::layer_norm(const Node& node) {
  const Tensor &x = node.inputs[0], &gamma = node.inputs[1], &beta = node.inputs[2];
  const Tensor centered = x - mean(x, {-1}, ReducedAxes::keep_as_one);
  const Tensor variance = mean(square(centered), {-1}, ReducedAxes::keep_as_one);
  return {centered * rsqrt(variance + node.as<LayerNormAttrs>().eps) * gamma + beta};
}

}  // namespace satin
