// softmax along the last axis.
#pragma once

#include "tensor/node.h"

namespace satin {

/// y = e^(x - m) / sum of e^(x - m) along the last axis, m its largest element
/// x: any shape of rank 1 or more; f32, f64
/// gradient: dx = y (dy - sum of dy y along the last axis)
/// errors: rank 0
/// example: softmax({0, 0}) -> {0.5, 0.5}
Tensor softmax(const Tensor& x);

}  // namespace satin
