// One loop nest, three operations, all derivatives.  With
//
//   L(x, w, d) = sum over n, oh, ow, kh, kw, ci, co of  x[n, i, j, ci] w[kh, kw, ci, co] d[n, oh,
//   ow, co],
//                i = oh stride + kh dilation - pad,  j = ow stride + kw dilation - pad,
//
// each operation is the derivative of L in one of its three arguments:
//
//   conv2d(x, w) = dL/dd        conv2d_input_grad(d, w) = dL/dx        conv2d_weight_grad(x, d) =
//   dL/dw
//
// L is linear in each argument, so the cotangent of an argument of any member is again a member:
// the triple is closed (docs/derivations/conv2d.md).
#include "tensor/conv2d.h"

#include "autograd/grad.h"
#include "tensor/broadcast.h"

namespace satin {

// y = dL/dd + bias:  dx = dL/dx, dw = dL/dw at d = dy
Tensors vjp::conv2d(const NodePtr& node, const Tensors& dys) {
  const Tensor &x = node->inputs[0], &w = node->inputs[1], &dy = dys[0];
  const auto attrs = node->as<Conv2dAttrs>();
  Tensors dx = {satin::conv2d_input_grad(dy, w, attrs, attrs.input),
                satin::conv2d_weight_grad(x, dy, attrs, attrs.kernel)};
  if (node->inputs.size() == 3) dx.push_back(sum_to(dy, node->inputs[2].shape()));
  return dx;
}

// g = dL/dx + bias:  dd = dL/dd, dw = dL/dw at x = dg
Tensors vjp::conv2d_input_grad(const NodePtr& node, const Tensors& dgs) {
  const Tensor &d = node->inputs[0], &w = node->inputs[1], &dg = dgs[0];
  const auto attrs = node->as<Conv2dAttrs>();
  Tensors ds = {satin::conv2d(dg, w, attrs), satin::conv2d_weight_grad(dg, d, attrs, attrs.kernel)};
  if (node->inputs.size() == 3) ds.push_back(sum_to(dg, node->inputs[2].shape()));
  return ds;
}

// g = dL/dw:  dx = dL/dx, dd = dL/dd at w = dg
Tensors vjp::conv2d_weight_grad(const NodePtr& node, const Tensors& dgs) {
  const Tensor &x = node->inputs[0], &d = node->inputs[1], &dg = dgs[0];
  const auto attrs = node->as<Conv2dAttrs>();
  return {satin::conv2d_input_grad(d, dg, attrs, attrs.input), satin::conv2d(x, dg, attrs)};
}

}  // namespace satin
