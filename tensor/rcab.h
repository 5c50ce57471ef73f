// Residual channel attention block (Zhang et al. 2018, with the normalization of MAXIM).
#pragma once

#include "tensor/node.h"

namespace satin {

struct RcabAttrs {
  double slope = 0.2;  ///< of the leaky ReLU between the convolutions
};

struct RcabWeights {
  Tensor norm_gamma, norm_beta;  ///< [C]
  Tensor w1, b1, w2, b2;         ///< [3, 3, C, C], [C] twice
  Tensor k1, kb1, k2, kb2;       ///< [C, R], [R], [R, C], [C]: channel attention of reduced width R
};

/// y = x + CA(conv(LeakyReLU(conv(LN(x))))),  CA(z) = z sigmoid(K2 ReLU(K1 mean of z over H and W))
/// x, y: [N, H, W, C]; both convolutions 3x3, pad 1; f32, f64
/// gradient: rcab_grad
/// errors: x not of rank 4; weights whose shapes do not fit
Tensor rcab(const Tensor& x, const RcabWeights& w, RcabAttrs attrs = {});

/// {dx, dw} of rcab: dw holds the cotangents of all weights, flat, one behind the other in the
/// order of the struct
/// x, dy: [N, H, W, C]; f32, f64
/// gradient: by its composition, the derivative of rcab's (so second order works)
/// errors: those of rcab; dy not of the shape of x
Tensors rcab_grad(const Tensor& x, const RcabWeights& w, const Tensor& dy, RcabAttrs attrs = {});

/// The weights as a list in the operations' order, and back from position `first` of a list.
Tensors list_of(const RcabWeights& w);
RcabWeights rcab_weights(const Tensors& list, size_t first);

}  // namespace satin
