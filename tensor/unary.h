// The unary family: y[i] = f(x[i]).  x, y: any shape; f32, f64.  A member is a row of ops.def and a
// line in tensor/scalar.h, tensor/unary.cpp, autograd/unary.cpp, cpu/unary.cpp and tests/unary.cpp.
// NaN in gives NaN out.  errors: never.
// numerics: f64 as the C library.  f32 on the CPU (tests/vector_math.cpp, over all floats with
// SATIN_ALL_FLOATS=name), in ulp: exp, log, tanh, erf 2; sigmoid 3; silu 4; rsqrt 1.5; gelu 2.6e-7
// |x|.
#pragma once

#include "tensor/node.h"

namespace satin {

struct UnaryAttrs {
  double a = 0;  ///< leaky_relu: slope; clamp: the lower bound
  double b = 0;  ///< clamp: the upper bound
};

Tensor neg(const Tensor& x);         ///< -x                        dx = -dy
Tensor abs(const Tensor& x);         ///< |x|                       dx = dy sign(x), 0 at 0
Tensor sign(const Tensor& x);        ///< -1, 0 or 1                no gradient
Tensor square(const Tensor& x);      ///< x^2                       dx = 2 x dy
Tensor reciprocal(const Tensor& x);  ///< 1 / x                     dx = -y^2 dy
Tensor sqrt(const Tensor& x);        ///< x^(1/2)                   dx = dy / (2 y)
Tensor rsqrt(const Tensor& x);       ///< x^(-1/2)                  dx = -y^3 dy / 2
Tensor exp(const Tensor& x);         ///< e^x                       dx = y dy
Tensor log(const Tensor& x);         ///< natural logarithm         dx = dy / x
Tensor sin(const Tensor& x);         ///< x in radians              dx = cos(x) dy
Tensor cos(const Tensor& x);         ///< x in radians              dx = -sin(x) dy
Tensor tanh(const Tensor& x);        ///< hyperbolic tangent        dx = (1 - y^2) dy
Tensor erf(const Tensor& x);         ///< error function            dx = 2 / sqrt(pi) e^(-x^2) dy
Tensor sigmoid(const Tensor& x);     ///< s = 1 / (1 + e^-x)        dx = s (1 - s) dy
Tensor silu(const Tensor& x);        ///< x / (1 + e^-x)            dx = (s + y (1 - s)) dy
Tensor relu(const Tensor& x);        ///< max(x, 0)                 dx = dy where x > 0, else 0

/// x where x > 0, else slope x.  gradient: dx = dy where x > 0, else slope dy
Tensor leaky_relu(const Tensor& x, double slope = 0.01);

/// x Phi(x), Phi the normal distribution function (the exact erf form; Hendrycks and Gimpel 2016)
/// gradient: dx = (Phi(x) + x phi(x)) dy, phi the normal density
Tensor gelu(const Tensor& x);

/// x limited to [low, high].  gradient: dx = dy where low <= x <= high, else 0.  errors: low > high
Tensor clamp(const Tensor& x, double low, double high);

}  // namespace satin
