// What the element-wise operations compute, written once for host and device, f32 and f64.
// The functions have internal linkage on purpose: kernel files are compiled for several instruction
// sets, and a function shared by the linker could carry instructions the processor lacks.
#pragma once

#include <cmath>

#include "tensor/binary.h"
#include "tensor/unary.h"

#ifdef __CUDACC__
#define SATIN_SCALAR \
  template <class T> \
  static __host__ __device__ inline
#else
#define SATIN_SCALAR \
  template <class T> \
  [[maybe_unused]] static inline
#endif

namespace satin::scalar {

constexpr double kSqrtHalf = 0.70710678118654752440;    // 1 / sqrt(2)
constexpr double kInvSqrt2Pi = 0.39894228040143267794;  // 1 / sqrt(2 pi): the normal density at 0

// --- unary: T f(T x, UnaryAttrs) ---------------------------------------------------------------
SATIN_SCALAR T neg(T x, UnaryAttrs) { return -x; }
SATIN_SCALAR T abs(T x, UnaryAttrs) { return std::abs(x); }
SATIN_SCALAR T sign(T x, UnaryAttrs) { return x != x ? x : T((x > 0) - (x < 0)); }
SATIN_SCALAR T square(T x, UnaryAttrs) { return x * x; }
SATIN_SCALAR T reciprocal(T x, UnaryAttrs) { return T(1) / x; }
SATIN_SCALAR T sqrt(T x, UnaryAttrs) { return std::sqrt(x); }
SATIN_SCALAR T rsqrt(T x, UnaryAttrs) { return T(1) / std::sqrt(x); }
SATIN_SCALAR T exp(T x, UnaryAttrs) { return std::exp(x); }
SATIN_SCALAR T log(T x, UnaryAttrs) { return std::log(x); }
SATIN_SCALAR T sin(T x, UnaryAttrs) { return std::sin(x); }
SATIN_SCALAR T cos(T x, UnaryAttrs) { return std::cos(x); }
SATIN_SCALAR T tanh(T x, UnaryAttrs) { return std::tanh(x); }
SATIN_SCALAR T erf(T x, UnaryAttrs) { return std::erf(x); }
SATIN_SCALAR T sigmoid(T x, UnaryAttrs) { return T(1) / (T(1) + std::exp(-x)); }
SATIN_SCALAR T silu(T x, UnaryAttrs) { return x / (T(1) + std::exp(-x)); }
SATIN_SCALAR T relu(T x, UnaryAttrs) { return x > 0 || x != x ? x : T(0); }
SATIN_SCALAR T leaky_relu(T x, UnaryAttrs a) { return x > 0 ? x : T(a.a) * x; }
// erfc keeps the far negative side exact, where 1 + erf cancels.
SATIN_SCALAR T gelu(T x, UnaryAttrs) { return T(0.5) * x * std::erfc(-x * T(kSqrtHalf)); }
SATIN_SCALAR T clamp(T x, UnaryAttrs a) { return x < T(a.a) ? T(a.a) : x > T(a.b) ? T(a.b) : x; }

// --- binary: T f(T x, T y, BinaryAttrs) --------------------------------------------------------
SATIN_SCALAR T add(T x, T y, BinaryAttrs) { return x + y; }
SATIN_SCALAR T sub(T x, T y, BinaryAttrs) { return x - y; }
SATIN_SCALAR T mul(T x, T y, BinaryAttrs) { return x * y; }
SATIN_SCALAR T div(T x, T y, BinaryAttrs) { return x / y; }
SATIN_SCALAR T maximum(T x, T y, BinaryAttrs) { return x > y || x != x ? x : y; }
SATIN_SCALAR T minimum(T x, T y, BinaryAttrs) { return x < y || x != x ? x : y; }
SATIN_SCALAR T less(T x, T y, BinaryAttrs) { return T(x < y); }
SATIN_SCALAR T less_equal(T x, T y, BinaryAttrs) { return T(x <= y); }
SATIN_SCALAR T equal(T x, T y, BinaryAttrs) { return T(x == y); }
SATIN_SCALAR T leaky_relu_grad(T x, T dy, BinaryAttrs a) { return x > 0 ? dy : T(a.a) * dy; }
SATIN_SCALAR T gelu_grad(T x, T dy, BinaryAttrs) {
  const T cdf = T(0.5) * std::erfc(-x * T(kSqrtHalf));
  const T density = T(kInvSqrt2Pi) * std::exp(T(-0.5) * x * x);
  return dy * (cdf + x * density);
}

}  // namespace satin::scalar
