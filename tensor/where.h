// where: a choice, element by element.
#pragma once

#include "tensor/node.h"

namespace satin {

/// z[i] = x[i] where condition[i] is not 0, else y[i]
/// condition, x, y: shapes that broadcast as in NumPy; f32, f64 (all the same)
/// gradient: dx = dz where chosen, dy = dz where not, none to the condition
/// errors: shapes that do not broadcast, dtypes that differ
/// example: where({1, 0}, {2, 3}, {4, 5}) -> {2, 5}
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y);

}  // namespace satin
