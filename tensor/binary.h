// The binary family: z[i] = f(x[i], y[i]).  x, y: shapes that broadcast as in NumPy; f32, f64 (both
// the same).  A member is a row of ops.def and a line in tensor/scalar.h, tensor/binary.cpp,
// autograd/binary.cpp, cpu/binary.cpp and tests/binary.cpp.
// Shapes that differ are joined by broadcast_to nodes, so rules never undo a broadcast; the
// compiler of Programs lets kernels read the small operand in place. errors: shapes that do not
// broadcast, dtypes that differ.
#pragma once

#include "tensor/node.h"

namespace satin {

struct BinaryAttrs {
  double a = 0;  ///< leaky_relu_grad: slope
};

Tensor add(const Tensor& x, const Tensor& y);  ///< x + y     dx = dz, dy = dz
Tensor sub(const Tensor& x, const Tensor& y);  ///< x - y     dx = dz, dy = -dz
Tensor mul(const Tensor& x, const Tensor& y);  ///< x y       dx = dz y, dy = dz x
Tensor div(const Tensor& x, const Tensor& y);  ///< x / y     dx = dz / y, dy = -dz z / y
Tensor maximum(const Tensor& x,
               const Tensor& y);  ///< the larger, NaN if either is;  dz to it, half each if equal
Tensor minimum(const Tensor& x,
               const Tensor& y);  ///< the smaller, NaN if either is; dz to it, half each if equal
Tensor less(const Tensor& x, const Tensor& y);        ///< 1 where x < y, else 0; no gradient
Tensor less_equal(const Tensor& x, const Tensor& y);  ///< 1 where x <= y, else 0; no gradient
Tensor equal(const Tensor& x, const Tensor& y);       ///< 1 where x = y, else 0; no gradient

/// dx of leaky_relu: dy where x > 0, else slope dy.  gradient: to dy the same; none to x
Tensor leaky_relu_grad(const Tensor& x, const Tensor& dy, double slope);
/// dx of gelu: (Phi(x) + x phi(x)) dy.  gradient: to dy the same; to x dz dy phi(x) (2 - x^2)
/// numerics: f32 on the CPU within 2.6e-7 |dy|
Tensor gelu_grad(const Tensor& x, const Tensor& dy);

/// A rank-0 constant of x's dtype.
Tensor scalar_like(const Tensor& x, double value);

inline Tensor operator+(const Tensor& x, const Tensor& y) { return add(x, y); }
inline Tensor operator-(const Tensor& x, const Tensor& y) { return sub(x, y); }
inline Tensor operator*(const Tensor& x, const Tensor& y) { return mul(x, y); }
inline Tensor operator/(const Tensor& x, const Tensor& y) { return div(x, y); }
inline Tensor operator+(const Tensor& x, double y) { return add(x, scalar_like(x, y)); }
inline Tensor operator-(const Tensor& x, double y) { return sub(x, scalar_like(x, y)); }
inline Tensor operator*(const Tensor& x, double y) { return mul(x, scalar_like(x, y)); }
inline Tensor operator/(const Tensor& x, double y) { return div(x, scalar_like(x, y)); }
Tensor operator-(const Tensor& x);

}  // namespace satin
