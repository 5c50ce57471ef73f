// The element-wise mathematics in f32, a vector at a time.  The scalar functions of tensor/scalar.h
// say what is computed; these are polynomials of our own with a stated bound, measured over all
// floats by tests/vector_math.cpp on every instruction set.  NaN in gives NaN out.
// f64 has no such functions: it runs tensor/scalar.h.
#pragma once

#include "cpu/lanes.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA::vmath {

using F = Vec<float>;
using I = VecTypes<float>::Index;

SATIN_INLINE I bits(F x) { return reinterpret_cast<I>(x); }
SATIN_INLINE F floats(I x) { return reinterpret_cast<F>(x); }
SATIN_INLINE F broadcast(float x) { return splat<float>(x); }
SATIN_INLINE F absolute(F x) { return floats(bits(x) & 0x7fffffff); }
/// The magnitude of x (positive) with the sign of s.
SATIN_INLINE F with_sign(F x, F s) { return floats(bits(x) | (bits(s) & INT32_MIN)); }

// x limited by a bound; NaN stays (which is what the processor's instructions do with x second).
// Built-in functions rather than intrinsics, whose undefined inputs make g++ 12 warn.
SATIN_INLINE F at_most(F x, float bound) {
#if defined(__AVX512F__)
  return __builtin_ia32_minps512_mask(broadcast(bound), x, F{}, -1, 4);
#elif defined(__AVX2__)
  return __builtin_ia32_minps256(broadcast(bound), x);
#elif defined(__SSE2__)
  return __builtin_ia32_minps(broadcast(bound), x);
#else
  return x > bound ? broadcast(bound) : x;
#endif
}
SATIN_INLINE F at_least(F x, float bound) {
#if defined(__AVX512F__)
  return __builtin_ia32_maxps512_mask(broadcast(bound), x, F{}, -1, 4);
#elif defined(__AVX2__)
  return __builtin_ia32_maxps256(broadcast(bound), x);
#elif defined(__SSE2__)
  return __builtin_ia32_maxps(broadcast(bound), x);
#else
  return x < bound ? broadcast(bound) : x;
#endif
}

/// c0 + c1 x + c2 x^2 + ... by Horner's rule.
SATIN_INLINE F polynomial(F, float c0) { return broadcast(c0); }
template <class... C>
SATIN_INLINE F polynomial(F x, float c0, C... c) {
  return polynomial(x, c...) * x + c0;
}

/// f of every lane; for what has no polynomial here.
template <class Function>
SATIN_INLINE F lanewise(F x, Function f) {
  for (int i = 0; i < kLanes<float>; ++i) x[i] = f(x[i]);
  return x;
}

/// mask ? x : 0, for masks that comparisons give.
SATIN_INLINE F only(I mask, F x) { return floats(mask & bits(x)); }

/// e^x = scaled * rest, where neither overflows nor is subnormal: 2^n e^r with n whole and
/// |r| <= log(2) / 2, the power of two in halves.
struct ExpParts {
  F scaled, rest;
};
SATIN_INLINE ExpParts exp_parts(F x) {
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves a whole number in the low bits
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // n * high is exact
  x = at_least(at_most(x, 89.0f), -120.0f);                            // infinity and 0 long before
  const F shifted = x * kLog2E + kRound;
  const F n = shifted - kRound;
  const F r = x - n * kLn2High - n * kLn2Low;
  const F p =
      polynomial(r, 0.49999994f, 0.166665196f, 0.0416683927f, 0.00836878084f, 0.00138144672f) *
          (r * r) +
      r + 1.0f;
  const I whole = bits(shifted) - 0x4b400000, half = whole >> 1;
  return {p * floats((half + 127) << 23), floats((whole - half + 127) << 23)};
}

/// e^x.  Within 2 ulp, subnormal results included.
SATIN_INLINE F exp(F x) {
  const ExpParts e = exp_parts(x);
  return e.scaled * e.rest;
}

/// 1 / (1 + e^-x), from e^-|x| so that neither side cancels or overflows.  Within 3 ulp.
SATIN_INLINE F sigmoid(F x) {
  const F e = exp(-absolute(x));
  return (x < 0 ? e : broadcast(1)) / (1.0f + e);
}

/// x sigmoid(x).  Within 4 ulp: the product comes first where e^-|x| alone would be subnormal.
SATIN_INLINE F silu(F x) {
  x = at_least(x, -120.0f);  // 0 long before
  const ExpParts e = exp_parts(-absolute(x));
  return (x < 0 ? x * e.scaled * e.rest : x) / (1.0f + e.scaled * e.rest);
}

/// An odd polynomial near 0, 1 - 2 / (e^2x + 1) beyond.  Within 2 ulp.
SATIN_INLINE F tanh(F x) {
  const F z = absolute(x), y = x * x;
  const F near = polynomial(y, -0.333333313f, 0.133332103f, -0.0539472029f, 0.0217029676f,
                            -0.00818267278f, 0.00214753556f) *
                     y * x +
                 x;
  const F far = 1.0f - 2.0f / (exp(z + z) + 1.0f);
  return z <= 0.625f ? near : with_sign(far, x);
}

/// An odd polynomial near 0; beyond, 1 - erfc by the fourth power of a polynomial.  Within 2 ulp.
SATIN_INLINE F erf(F x) {
  const F z = at_most(absolute(x), 4.0f), y = x * x;
  const F near = polynomial(y, 0.128379166f, -0.37612626f, 0.112836003f, -0.0268544443f,
                            0.00518953567f, -0.000802084222f, 7.88912075e-05f) *
                     x +
                 x;
  const F p =
      polynomial(z, 1.00192904f, -0.292397708f, -0.0957471877f, -0.0147362556f, 0.0418942235f,
                 -0.0119111678f, 0.000551459612f, 0.000211522245f, -2.44179319e-05f);
  const F p2 = p * p;
  return z < 1.0f ? near : with_sign(1.0f - p2 * p2, x);
}

/// log(x) = k log(2) + log(1 + f) with 1 + f between sqrt(1/2) and sqrt(2).  Within 2 ulp.
SATIN_INLINE F log(F x) {
  const auto subnormal = x < 1.17549435e-38f;
  const F scaled = subnormal ? x * 33554432.0f : x;  // 2^25
  // Subtracting sqrt(1/2) in the integer domain splits at the right mantissa.
  const I shifted = bits(scaled) - 0x3f3504f3;
  const F k = __builtin_convertvector(shifted >> 23, F) - (subnormal ? broadcast(25) : F{});
  const F f = floats((shifted & 0x7fffff) + 0x3f3504f3) - 1.0f;
  const F f2 = f * f;
  const F tail =
      polynomial(f, 0.333333135f, -0.250000089f, 0.200021192f, -0.166679963f, 0.142195508f,
                 -0.124055885f, 0.118881755f, -0.116756633f, 0.0674662516f) *
          f * f2 +
      k * -2.12194440e-4f;
  F y = (tail - 0.5f * f2) + f + k * 0.693359375f;
  y = x < __builtin_inff() ? y : x;  // infinity and NaN
  y = x < 0 ? broadcast(__builtin_nanf("")) : y;
  return x == 0 ? broadcast(-__builtin_inff()) : y;
}

/// The fourth root of Phi(-z) for z = |x| up to 5.7: max(p(z), 0) with p of degree 8, which falls
/// through 0 at z = 5.65.
SATIN_INLINE F root_of_phi(F z) {
  return at_least(
      polynomial(z, 0.840896428f, -0.167734012f, -0.0501978137f, 0.00464987522f, 0.0037954459f,
                 -3.51471463e-05f, -0.000307397248f, 5.8395337e-05f, -3.39727035e-06f),
      0.0f);
}

/// x Phi(x) = relu(x) - z Phi(-z),  z = |x|.  From where Phi is 0 on, the result is x or 0 exactly.
/// Error <= 2.6e-7 |x|.
SATIN_INLINE F gelu(F x) {
  const F z = at_most(absolute(x), 5.7f), p = root_of_phi(z), p2 = p * p;
  return at_least(x, 0.0f) - z * (p2 * p2);
}

/// d/dx (x Phi(x)) is g(z) for negative x and 1 - g(z) for positive x, where z = |x| and
/// g(z) = d/dz (z p^4) = p^3 (p + 4 z p'): fitted as p^3 r with p of degree 8, falling through 0 at
/// 6.1, and r of degree 6.  Error <= 2.6e-7.
SATIN_INLINE F gelu_slope(F x) {
  const F z = at_most(absolute(x), 6.15f);
  const F p = at_least(
      polynomial(z, 0.833840549f, -0.185853228f, -0.0171816275f, -0.0152799264f, 0.010034564f,
                 -0.00110048382f, -0.000219936206f, 5.60570988e-05f, -3.37896131e-06f),
      0.0f);
  const F r = polynomial(z, 0.862424135f, -0.79954958f, -0.609931767f, 0.154098302f, 0.0745648593f,
                         -0.0261719916f, 0.00214417418f);
  const F g = (p * p) * (p * r);
  return x > 0 ? 1.0f - g : g;
}

/// gelu, and beside it what gelu_slope is, from the same root: g = p^3 r with r of degree 8.  A
/// quarter cheaper than both apart.  Error of the slope <= 7e-7.
SATIN_INLINE F gelu_and_slope(F x, F& slope) {
  const F z = at_most(absolute(x), 5.7f), p = root_of_phi(z), p2 = p * p;
  const F r = polynomial(z, 0.840897322f, -0.838705182f, -0.45154351f, 0.0598427057f, 0.0652691349f,
                         -0.00122542982f, -0.00751360459f, 0.00166303082f, -0.000109981316f);
  const F g = p2 * (p * r);
  slope = x > 0 ? 1.0f - g : g;
  return at_least(x, 0.0f) - z * (p2 * p2);
}

}  // namespace satin::cpu::SATIN_ISA::vmath
