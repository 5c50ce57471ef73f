#include "tensor/conv2d.h"

#include "tensor/cost.h"

namespace satin {
namespace {

int64_t output_extent(int64_t input, int64_t kernel, const Conv2dAttrs& a) {
  const int64_t reach = a.dilation * (kernel - 1) + 1;
  return input + 2 * a.pad < reach ? -1 : (input + 2 * a.pad - reach) / a.stride + 1;
}

/// Checks input and kernel against each other and returns the output shape.
Shape output_shape(Op op, const Conv2dAttrs& a) {
  const Shape &x = a.input, &w = a.kernel;
  if (x.rank() != 4 || w.rank() != 4)
    fail(op, cat("x must be [N,H,W,C] and w [KH,KW,CIN/groups,COUT]; x is ", x, ", w is ", w));
  if (a.stride < 1 || a.dilation < 1 || a.groups < 1 || a.pad < 0)
    fail(op, cat("stride ", a.stride, ", dilation ", a.dilation, ", groups ", a.groups, ", pad ",
                 a.pad, ": stride, dilation and groups start at 1, pad at 0"));
  if (x[3] != w[2] * a.groups)
    fail(op, cat("input has ", x[3], " channels, the weight expects ", w[2] * a.groups, "; x is ",
                 x, ", w is ", w));
  if (w[3] % a.groups != 0)
    fail(op, cat(w[3], " output channels do not divide into ", a.groups, " groups"));
  const int64_t oh = output_extent(x[1], w[0], a), ow = output_extent(x[2], w[1], a);
  if (w[0] < 1 || w[1] < 1 || oh < 0 || ow < 0)
    fail(op, cat("the kernel does not fit into the padded input; x is ", x, " padded by ", a.pad,
                 ", w is ", w));
  return {x[0], oh, ow, w[3]};
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, Conv2dAttrs attrs, const Tensor& bias) {
  if (!x || !w) fail(Op::conv2d, "an operand is an empty Tensor");
  attrs.input = x.shape();
  attrs.kernel = w.shape();
  const Shape y = output_shape(Op::conv2d, attrs);
  Tensors inputs = {x, w};
  if (bias) {
    if (bias.shape() != Shape{y[3]})
      fail(Op::conv2d, cat("the bias is ", bias.shape(), ", y has ", y[3], " channels"));
    inputs.push_back(bias);
  }
  return make_tensor(Op::conv2d, attrs, inputs, y);
}

Tensor conv2d_input_grad(
    const Tensor& dy, const Tensor& w, Conv2dAttrs attrs, const Shape& input, const Tensor& bias) {
  if (!dy || !w) fail(Op::conv2d_input_grad, "an operand is an empty Tensor");
  attrs.input = input;
  attrs.kernel = w.shape();
  const Shape y = output_shape(Op::conv2d_input_grad, attrs);
  if (dy.shape() != y)
    fail(Op::conv2d_input_grad, cat("dy is ", dy.shape(), "; the convolution of ", input, " by ",
                                    w.shape(), " gives ", y));
  Tensors inputs = {dy, w};
  if (bias) {
    if (bias.shape() != Shape{input[3]})
      fail(Op::conv2d_input_grad,
           cat("the bias is ", bias.shape(), ", the result has ", input[3], " channels"));
    inputs.push_back(bias);
  }
  return make_tensor(Op::conv2d_input_grad, attrs, inputs, input);
}

Tensor conv2d_weight_grad(const Tensor& x,
                          const Tensor& dy,
                          Conv2dAttrs attrs,
                          const Shape& kernel) {
  if (!x || !dy) fail(Op::conv2d_weight_grad, "an operand is an empty Tensor");
  attrs.input = x.shape();
  attrs.kernel = kernel;
  const Shape y = output_shape(Op::conv2d_weight_grad, attrs);
  if (dy.shape() != y)
    fail(Op::conv2d_weight_grad, cat("dy is ", dy.shape(), "; the convolution of ", x.shape(),
                                     " by ", kernel, " gives ", y));
  return make_tensor(Op::conv2d_weight_grad, attrs, {x, dy}, kernel);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& w, Conv2dAttrs attrs, const Tensor& bias) {
  if (!x || !w || x.rank() != 4 || w.rank() != 4)
    fail(Op::conv2d_input_grad,
         "conv_transpose2d takes x [N,H,W,CIN] and w [KH,KW,COUT/groups,CIN]");
  const auto extent = [&](int axis) {
    const int64_t reach = attrs.dilation * (w.shape()[axis - 1] - 1) + 1;
    return (x.shape()[axis] - 1) * attrs.stride - 2 * attrs.pad + reach;
  };
  if (extent(1) < 0 || extent(2) < 0)
    fail(Op::conv2d_input_grad,
         cat("conv_transpose2d: the padding ", attrs.pad, " leaves nothing of ", x.shape()));
  const Shape y = {x.shape()[0], extent(1), extent(2), w.shape()[2] * attrs.groups};
  return conv2d_input_grad(x, w, attrs, y, bias);
}

namespace {

/// Every output value is a sum of KH KW CIN / groups products, whichever member computes it.
int64_t macs(const Conv2dAttrs& a) {
  const Shape y = output_shape(Op::conv2d, a);
  return y.size() * a.kernel[0] * a.kernel[1] * a.kernel[2];
}

}  // namespace

int64_t cost::conv2d(const Node& node) { return macs(node.as<Conv2dAttrs>()); }
int64_t cost::conv2d_input_grad(const Node& node) { return macs(node.as<Conv2dAttrs>()); }
int64_t cost::conv2d_weight_grad(const Node& node) { return macs(node.as<Conv2dAttrs>()); }

}  // namespace satin
