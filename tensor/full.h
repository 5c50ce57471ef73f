// full: the same value everywhere.
#pragma once

#include "tensor/node.h"

namespace satin {

struct FullAttrs {
  double value = 0;
};

/// y[i] = value, rounded to dtype
/// y: shape; f32, f64, bf16, f16
/// gradient: none (no inputs)
/// errors: never
/// example: full({2}, 0.5) -> {0.5, 0.5}
Tensor full(const Shape& shape, double value, DType dtype = DType::f32);

}  // namespace satin
