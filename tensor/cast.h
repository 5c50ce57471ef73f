// cast: the same values in another dtype.
#pragma once

#include "tensor/node.h"

namespace satin {

struct CastAttrs {
  DType to = DType::f32;
};

/// y[i] = x[i] rounded to nearest even in dtype `to`
/// x: any shape and dtype.  y: the shape of x
/// gradient: dx = cast(dy, dtype of x)
/// errors: never.  A cast to the dtype x has returns x itself.
/// example: cast({1.00390625}, bf16) -> {1}
Tensor cast(const Tensor& x, DType to);

}  // namespace satin
