// The CUDA backend.  It computes in f32; bf16 and f16 are stored.
#pragma once

#include "tensor/backend.h"

namespace satin::cuda {

/// The kernels of this build: on the simulator (cuda/sim) or on a device (not yet).
const Backend& backend();

}  // namespace satin::cuda
