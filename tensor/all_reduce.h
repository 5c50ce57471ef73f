// Data parallel training: every process holds the whole model and a part of the batch.
#pragma once

#include "tensor/node.h"

namespace satin {

/// y = the sum of x over all processes of Exec::communicator, in the order of their ranks, so that
/// all of them hold the same bits; x itself without a communicator
/// x: any shape; f32, f64
/// gradient: dx = all_reduce(dy): what is minimized is the sum of all processes' losses
/// example: all_reduce({1, 2}) -> {1, 2} in one process, {2, 4} in two
Tensor all_reduce(const Tensor& x);

}  // namespace satin
