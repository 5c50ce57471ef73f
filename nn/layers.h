// Layers: functions that fetch their parameters by name and build the operation.  Names follow
// PyTorch
// ("conv.weight"), so that checkpoints of either side can be matched.
#pragma once

#include "nn/parameters.h"
#include "tensor/conv2d.h"

namespace satin {

/// The weight and bias of a layer that maps the last axis from cin to cout: NAME.weight [cin,
/// cout], NAME.bias.
struct Linear {
  Tensor weight, bias;
};
Linear linear_weights(Parameters& p, const std::string& name, int64_t cin, int64_t cout);

/// y = x W + b along the last axis (a 1x1 convolution on images).  x: [..., cin] -> [..., cout]
Tensor linear(Parameters& p, const std::string& name, const Tensor& x, int64_t cout);

/// The same of images side by side, each brought to h x w first (tensor/concat_linear.h).
/// x: [N, Hi, Wi, Ci] -> [N, h, w, cout]
Tensor linear(
    Parameters& p, const std::string& name, const Tensors& x, int64_t h, int64_t w, int64_t cout);

/// NAME.weight [k, k, cin, cout], NAME.bias [cout]
Linear conv_weights(Parameters& p, const std::string& name, int64_t k, int64_t cin, int64_t cout);

/// k x k convolution with bias.  x: [N, H, W, cin]
Tensor conv(Parameters& p,
            const std::string& name,
            const Tensor& x,
            int64_t k,
            int64_t cout,
            Conv2dAttrs attrs = {});

/// Transposed k x k convolution with bias.  x: [N, H, W, cin]
Tensor conv_transpose(Parameters& p,
                      const std::string& name,
                      const Tensor& x,
                      int64_t k,
                      int64_t cout,
                      Conv2dAttrs attrs = {});

/// NAME.weight (gain) and NAME.bias (shift), [c] each
struct Norm {
  Tensor gamma, beta;
};
Norm norm_weights(Parameters& p, const std::string& name, int64_t c);

}  // namespace satin
