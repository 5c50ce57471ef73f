// One step of Adam (Kingma and Ba 2015, algorithm 1) on a flat tensor of parameters.
#pragma once

#include "tensor/node.h"

namespace satin {

struct AdamAttrs {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
};

/// {p', m', v'}:  g = scale grad,  m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2,
///                p' = p - lr (m' / (1 - beta1^t)) / (sqrt(v' / (1 - beta2^t)) + eps)
/// p, grad, m, v: one shape; lr, t, scale: rank 0, so that one compiled step serves a whole
/// training.
///   t counts updates from 1.  All f32 or all f64.
/// A scale that is not finite leaves everything as it was: {p, m, v}.
/// gradient: none
/// errors: shapes that differ, lr, t or scale not of rank 0
/// example: adam_update(p {1}, grad {2}, m {0}, v {0}, lr 0.1, t 1, scale 1) -> p' {0.9}, m' {0.2},
/// v' {0.004}
Tensors adam_update(const Tensor& p,
                    const Tensor& grad,
                    const Tensor& m,
                    const Tensor& v,
                    const Tensor& lr,
                    const Tensor& t,
                    const Tensor& scale,
                    AdamAttrs attrs = {});

}  // namespace satin
