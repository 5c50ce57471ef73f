// permute: the axes in another order.
#pragma once

#include "tensor/node.h"

namespace satin {

struct PermuteAttrs {
  int order[kMaxRank] = {0, 1, 2, 3, 4, 5};
};

/// axis i of y is axis order[i] of x
/// x: any shape, any dtype
/// gradient: dx = permute(dy, inverse order)
/// errors: order is not a permutation of 0 .. rank-1
/// example: permute({{1, 2, 3}, {4, 5, 6}}, {1, 0}) -> {{1, 4}, {2, 5}, {3, 6}}
Tensor permute(const Tensor& x, const std::vector<int>& order);

}  // namespace satin
