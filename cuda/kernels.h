// The kernels of tensor/ops.def as host code sees them: what cuda.cpp calls and every .cu defines.
#pragma once

#include "tensor/backend.h"

namespace satin::cuda {

// One per row that has one: cuda::name.
#define SATIN_CUDA_plain(name) void name(const Call& call);
#define SATIN_CUDA_scratch(name) \
  void name(const Call& call);   \
  int64_t name##_scratch(const Call& call);
#define SATIN_CUDA_none(name)
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_CUDA_##cuda(name)
#include "tensor/ops.def"
#undef SATIN_OP
#undef SATIN_CUDA_plain
#undef SATIN_CUDA_scratch
#undef SATIN_CUDA_none

/// What launch() tells of each kernel.  Throws DeviceError if the kernel did not start, with
/// debug_sync also if it failed (gpu/device.cpp).
void launched(const Call& call, const char* kernel);

/// The bytes of shared memory that a block may have on the GPU this thread uses.
int64_t shared_limit();

}  // namespace satin::cuda
