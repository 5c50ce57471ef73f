// slice: a regular part of a tensor, and its adjoint, which puts the part back among zeros.
#pragma once

#include "tensor/node.h"

namespace satin {

struct SliceAttrs {
  int64_t start[kMaxRank] = {};
  int64_t step[kMaxRank] = {1, 1, 1, 1, 1, 1};
};

/// y[i, j, ...] = x[start0 + i step0, start1 + j step1, ...]
/// x: any shape, any dtype.  y: shape, of x's rank
/// gradient: dx = slice_adjoint(dy, attrs, shape of x)
/// errors: ranks that differ, a step below 1, a part that reaches outside x
/// example: slice({1, 2, 3, 4}, {.start = {1}, .step = {2}}, {2}) -> {2, 4}
Tensor slice(const Tensor& x, const SliceAttrs& attrs, const Shape& shape);

/// The elements begin, begin + step, ... before `end` along one axis, all of the others.
/// Negative axis, begin and end count from the back; end beyond the extent means the extent.
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end, int64_t step = 1);

/// x[start0 + i step0, ...] = y[i, j, ...], zero elsewhere: the adjoint of slice.
/// y: any shape.  x: shape, of y's rank
/// gradient: dy = slice(dx, attrs, shape of y)
/// errors: as slice
/// example: slice_adjoint({7}, {.start = {1}}, {3}) -> {0, 7, 0}
Tensor slice_adjoint(const Tensor& y, const SliceAttrs& attrs, const Shape& shape);

}  // namespace satin
