// Layer normalization of rows and the way back, for kernels' hosts that need them inside
// (layer_norm.cu).
#pragma once

#include "tensor/backend.h"

namespace satin::cuda {

struct Rows {
  int64_t count;
  int length;
  float eps;
};

/// y = LN(x).
void normalize(
    const Call& call, float* y, const float* x, const float* gamma, const float* beta, Rows rows);

/// Floats of scratch for normalize_grad.
int64_t normalize_grad_floats(Rows rows);

/// dx = residual + LN'(dy), dgamma, dbeta.  residual: null for none; dx may lie over dy.
void normalize_grad(const Call& call,
                    float* dx,
                    float* dgamma,
                    float* dbeta,
                    const float* x,
                    const float* gamma,
                    const float* dy,
                    const float* residual,
                    Rows rows,
                    float* scratch);

}  // namespace satin::cuda
