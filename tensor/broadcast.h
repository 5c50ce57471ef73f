// broadcast_to repeats, sum_to adds up what was repeated: a linear pair.
#pragma once

#include "tensor/node.h"

namespace satin {

/// y[..., i, ...] = x[..., i or 0, ...]: axes of extent 1 and missing leading axes are repeated
/// x: any shape that NumPy would broadcast to `shape`; f32, f64.  y: shape
/// gradient: dx = sum_to(dy, shape of x)
/// errors: an extent that is neither 1 nor that of `shape`
/// example: broadcast_to({1, 2}, {2, 2}) -> {{1, 2}, {1, 2}}
Tensor broadcast_to(const Tensor& x, const Shape& shape);

/// y = x summed over the axes where `shape` has extent 1 or none
/// x: any shape to which `shape` broadcasts; f32, f64.  y: shape
/// gradient: dx = broadcast_to(dy, shape of x)
/// numerics: pairwise sums in an order fixed by the shapes
/// errors: as broadcast_to
/// example: sum_to({{1, 2}, {3, 4}}, {2}) -> {4, 6}
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace satin
