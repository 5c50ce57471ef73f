// Reductions.  sum and mean are sum_to; amax is an operation, l2_norm a composite.
#pragma once

#include "tensor/node.h"

namespace satin {

/// What becomes of the reduced axes.
enum class ReducedAxes : bool { drop, keep_as_one };

/// y = sum of x over `axes` (negative from the back); without axes over all of them
/// x: any shape; f32, f64.  gradient: dx = dy broadcast back.  numerics: as sum_to
/// errors: an axis out of range or named twice
/// example: sum({{1, 2}, {3, 4}}, {1}) -> {3, 7}
Tensor sum(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced = ReducedAxes::drop);
Tensor sum(const Tensor& x);

/// y = sum / number of elements summed;  gradient: dx = dy / number
/// example: mean({1, 2, 3, 6}) -> 3
Tensor mean(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced = ReducedAxes::drop);
Tensor mean(const Tensor& x);

/// y = the largest x over `axes`; NaN where one of them is
/// x: any shape with at least one element along each reduced axis; f32, f64
/// gradient: dy goes to the largest element, in equal parts where several are equal (as PyTorch's
/// amax) errors: as sum; a reduced axis that is empty example: amax({{1, 5}, {3, 2}}, {1}) -> {5,
/// 3}
Tensor amax(const Tensor& x, const std::vector<int>& axes, ReducedAxes reduced = ReducedAxes::drop);

/// y = sqrt(sum of x^2) over all elements, [];  gradient: dx = dy x / y
/// x: any shape; f32, f64.  numerics: as sum_to; a y of 0 has no derivative
/// errors: never
/// example: l2_norm({3, -4}) -> 5
Tensor l2_norm(const Tensor& x);

}  // namespace satin
