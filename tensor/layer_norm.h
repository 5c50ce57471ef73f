// Layer normalization along the last axis (Ba, Kiros, Hinton 2016).
#pragma once

#include "tensor/node.h"

namespace satin {

struct LayerNormAttrs {
  double eps = 1e-5;
};

/// y = gamma (x - m) / sqrt(v + eps) + beta,  m and v the mean and (biased) variance along the last
/// axis x: [..., C]; gamma, beta: [C]; f32, f64 gradient: layer_norm_grad numerics: two passes over
/// a row; v never cancels errors: rank 0, an empty last axis, gamma or beta not [C] example:
/// layer_norm({1, 3}, gamma {1, 1}, beta {0, 0}) -> {-1, 1} (to within eps)
Tensor layer_norm(const Tensor& x,
                  const Tensor& gamma,
                  const Tensor& beta,
                  LayerNormAttrs attrs = {});

/// {dx, dgamma, dbeta} of layer_norm.  With h = (x - m) r, r = 1 / sqrt(v + eps), g = gamma dy and
/// means along the last axis:
///   dx = r (g - mean(g) - h mean(g h)),  dgamma = sum of dy h,  dbeta = sum of dy  (over all rows)
/// x, dy: [..., C]; gamma: [C]
/// gradient: by its composition, the derivative of layer_norm's (so second order works)
Tensors layer_norm_grad(const Tensor& x,
                        const Tensor& gamma,
                        const Tensor& dy,
                        LayerNormAttrs attrs = {});

}  // namespace satin
