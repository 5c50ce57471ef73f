// The CUDA backend.  It computes in f32, its products in tf32 and bf16 where asked for
// (tensor/precision.h); bf16 and f16 are stored.
//
// Which kernels are behind it is decided when a program is linked: those that nvcc compiled
// (satin_cuda in a build with SATIN_CUDA), the same on the simulator (satin_sim), or none
// (satin_cuda otherwise), so that a program asks for a GPU in the same words everywhere.
#pragma once

#include <string>
#include <vector>

#include "tensor/backend.h"

namespace satin::cuda {

struct Gpu {
  int number = 0;  ///< N of --device cuda:N
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int64_t memory_bytes = 0;  ///< in all
};

/// What can be used here.
struct Gpus {
  std::vector<Gpu> list;
  bool built = true;       ///< this program holds kernels for GPUs
  bool simulated = false;  ///< by cuda/sim: right, and very slow
  std::string driver;      ///< the newest CUDA the driver knows, "13.0"; empty: no driver
  std::string problem;     ///< if the list is empty, why, and what to do
};

/// Never fails: what goes wrong is a problem.
Gpus gpus();

/// The cuBLAS that multiplies large matrices, or why there is none.
std::string blas();

inline constexpr int kFirst = -1;

/// Takes a GPU into use, the first or the one of this number; its memory and kernels are there
/// until the process ends. errors: DeviceError says why there is no such GPU
const Backend& backend(int number = kFirst);

}  // namespace satin::cuda
