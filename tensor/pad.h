// pad: a border around a tensor, and its adjoint, which folds the border back.
#pragma once

#include "tensor/node.h"

namespace satin {

enum class PadMode : int {
  zero,     ///< 0 0 | a b c | 0 0
  edge,     ///< a a | a b c | c c
  reflect,  ///< c b | a b c | b a  and on: as often as needed; an extent of 1 repeats
};

struct PadAttrs {
  int64_t before[kMaxRank] = {};
  int64_t after[kMaxRank] = {};
  PadMode mode = PadMode::zero;
};

/// y = x with before[i] and after[i] elements added along axis i
/// x: any shape; f32, f64.  reflect and edge need at least one element along a padded axis
/// gradient: dx = pad_adjoint(dy): every dy goes back to the element that was copied
/// errors: negative amounts; an empty axis to reflect
/// example: pad({1, 2, 3}, {.before = {2}, .after = {3}, .mode = PadMode::reflect}) -> {3, 2, 1, 2,
/// 3, 2, 1, 2}
Tensor pad(const Tensor& x, const PadAttrs& attrs);

/// The adjoint of pad: sums every padded element into the one it was copied from.
/// y: the shape that pad returns.  x: shape
/// gradient: dy = pad(dx)
/// example: pad_adjoint({1, 1, 1}, {.after = {1}, .mode = PadMode::edge}, {2}) -> {1, 2}
Tensor pad_adjoint(const Tensor& y, const PadAttrs& attrs, const Shape& shape);

}  // namespace satin
