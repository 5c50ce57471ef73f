// The precision of products: how a Program trades the last digits of what it multiplies for speed.
#pragma once

#include <cstdint>

#include "tensor/node.h"

namespace satin {

/// bf16: the kernels of matmul, conv2d, conv2d_input_grad, concat_linear, multi_axis_gmlp and rcab
/// round what they multiply to bf16 (8 bits of mantissa, to nearest even) and add in f32.  They
/// may, but need not: a backend without such a kernel for a shape computes in f32.  Everything
/// else, values between operations included, stays f32.
///
/// numerics: an operand errs by 2^-8 of itself at most, so a sum of products errs by 2^-7 of the
/// sum of their sizes at most; NMSE against f64 is about 5e-6, as errors are independent.
enum class Precision : uint8_t { f32, bf16 };

/// The graph with its products in that precision.
Tensors in_precision(const Tensors& outputs, Precision precision);

}  // namespace satin
