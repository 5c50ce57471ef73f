// Losses: how far values y are from their targets t, as one number to minimize.
#pragma once

#include "tensor/node.h"

namespace satin {

/// L = mean |y - t|
/// y, t: equal shapes -> []
/// gradient: dy = dL * sign(y - t) / n, 0 where y = t
/// errors: shapes or dtypes that differ
/// example: l1_loss({1, 2}, {3, 1}) -> 1.5
Tensor l1_loss(const Tensor& y, const Tensor& t);

/// L = mean (y - t)^2
/// y, t: equal shapes -> []
/// gradient: dy = dL * 2 (y - t) / n
/// errors: shapes or dtypes that differ
/// example: l2_loss({1, 2}, {3, 1}) -> 2.5
Tensor l2_loss(const Tensor& y, const Tensor& t);

}  // namespace satin
