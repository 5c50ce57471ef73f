// Two-dimensional convolution and its two adjoints: one loop nest, three operations, closed under
// differentiation.
#pragma once

#include "tensor/node.h"

namespace satin {

/// Trivially copyable; extents of the input and the kernel are kept so that each member of the
/// triple knows the shapes of the others.
struct Conv2dAttrs {
  int stride = 1;
  int pad = 0;
  int dilation = 1;
  int groups = 1;
  Shape input = {};   ///< [N, H, W, CIN]: set by the functions below
  Shape kernel = {};  ///< [KH, KW, CIN / groups, COUT]: set by the functions below
};

/// y[n,oh,ow,co] = sum over kh, kw, ci of x[n, oh*stride + kh*dilation - pad, ow*stride +
/// kw*dilation - pad, ci]
///                 * w[kh,kw,ci,co] [+ bias[co]];  x outside the image is 0
/// x: [N, H, W, CIN], w: [KH, KW, CIN / groups, COUT], bias: [COUT] or empty; f32, f64.
/// y: [N, OH, OW, COUT], OH = (H + 2 pad - dilation (KH - 1) - 1) / stride + 1
/// gradient: dx = conv2d_input_grad(dy, w), dw = conv2d_weight_grad(x, dy), dbias = sum of dy over
/// N, OH, OW errors: ranks, channels, groups or extents that do not fit; a kernel larger than the
/// padded input. example: conv2d of [1,1,3,1] {1, 2, 3} with [1,3,1,1] {1, 1, 1}, pad 0 -> {6}
Tensor conv2d(const Tensor& x, const Tensor& w, Conv2dAttrs attrs = {}, const Tensor& bias = {});

/// dx = the adjoint of conv2d in x, applied to dy [+ bias[ci]].  input: the shape of x; bias: [CIN]
/// or empty, for the operation as a transposed convolution.
Tensor conv2d_input_grad(const Tensor& dy,
                         const Tensor& w,
                         Conv2dAttrs attrs,
                         const Shape& input,
                         const Tensor& bias = {});

/// dw = the adjoint of conv2d in w, applied to dy.  kernel: the shape of w.
Tensor conv2d_weight_grad(const Tensor& x,
                          const Tensor& dy,
                          Conv2dAttrs attrs,
                          const Shape& kernel);

/// Transposed convolution ("deconvolution"): y = conv2d_input_grad of x.
/// x: [N, H, W, CIN], w: [KH, KW, COUT / groups, CIN] (the kernel of the convolution it is the
/// adjoint of), bias: [COUT] or empty. y: [N, (H - 1) stride - 2 pad + dilation (KH - 1) + 1, ...,
/// COUT] example: stride 2 with a 2x2 kernel doubles the sides.
Tensor conv_transpose2d(const Tensor& x,
                        const Tensor& w,
                        Conv2dAttrs attrs = {},
                        const Tensor& bias = {});

}  // namespace satin
