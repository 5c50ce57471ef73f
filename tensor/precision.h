// The precision of products: how a Program trades the last digits of what it multiplies for speed.
#pragma once

#include <cstdint>

namespace satin {

/// What the kernels of matmul, the convolutions, concat_linear, multi_axis_gmlp, rcab and of their
/// gradients do with the numbers they multiply: take them as they are, or round them to tf32 (10
/// bits of mantissa, ties away from 0) or to bf16 (7 bits, ties to even).  They always add in f32.
/// They may round, but need not: a backend without such a kernel for a shape computes in f32.
/// Everything else, values between operations included, stays f32.
///
/// numerics: with u = 2^-8 in bf16 and 2^-11 in tf32, an operand errs by u of itself at most, so a
/// sum of products by 2u + u^2 of the sum of their sizes, and by what adding in f32 costs. Errors
/// are independent: NMSE against f64 is about 5e-6 in bf16, 1/64 of that in tf32.
enum class Precision : uint8_t { f32, tf32, bf16 };

}  // namespace satin
