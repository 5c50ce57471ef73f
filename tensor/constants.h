// What a graph computes from constants and parameters alone.
#pragma once

#include <functional>

#include "tensor/schedule.h"

namespace satin {

/// Replaces what follows from constants and parameters alone, and is not larger than they are, by
/// the leaf that `leaf_of` gives for it: packed weights, sums of biases.  Parameters that a run
/// updates are no constants, views stay views, outputs stay computed.
Tensors hoist_constants(const Tensors& outputs,
                        const std::vector<Alias>& alias,
                        const std::function<Tensor(const Tensor&)>& leaf_of);

/// Equal for values computed in the same way from the same leaves.
std::string structure_of(const Tensor& t);

}  // namespace satin
