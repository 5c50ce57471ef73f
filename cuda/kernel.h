// What every .cu file includes.  nvcc compiles it for the device; any C++ compiler compiles the
// same text for the simulator (cuda/sim/sim.h), which is how every test run on every machine sees
// it.
//
// The subset.  Kernels are free functions or function templates with plain arguments.  Shared
// memory is one struct per kernel: `auto& s = shared<Name>();`, its size given to launch().  Nobody
// else writes <<<>>>.  Indices that may pass 2^31 are int64_t.
#pragma once

#include <cstdint>

#include "cuda/kernels.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define SATIN_DEVICE    __device__ __forceinline__
#define SATIN_UNROLL    _Pragma("unroll")
#define SATIN_NO_UNROLL _Pragma("unroll 1")
#else
#include "cuda/sim/sim.h"
#define SATIN_DEVICE inline
#define SATIN_UNROLL
#define SATIN_NO_UNROLL
#endif

namespace satin::cuda {

inline constexpr int kWarp = 32;

/// The block's shared memory as an S.
template <class S>
SATIN_DEVICE S& shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char memory[];
  return *reinterpret_cast<S*>(memory);
#else
  return *static_cast<S*>(sim::shared_memory());
#endif
}

/// This thread among all of a one-dimensional grid, and how many there are.
SATIN_DEVICE int64_t thread_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
SATIN_DEVICE int64_t thread_count() { return int64_t{gridDim.x} * blockDim.x; }

struct Launch {
  dim3 grid, block;
  int64_t shared_bytes = 0;
};

/// Starts kernel(arguments...) on the call's stream.  The only place with <<<>>>.
template <class... Parameters, class... Arguments>
void launch(const Call& call,
            const char* name,
            const Launch& shape,
            void (*kernel)(Parameters...),
            Arguments... arguments) {
#if defined(__CUDACC__)
  auto stream = static_cast<cudaStream_t>(call.exec->stream);
  if (shape.shared_bytes > 48 * 1024)
    cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                         cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shape.shared_bytes));
  kernel<<<shape.grid, shape.block, static_cast<size_t>(shape.shared_bytes), stream>>>(
      static_cast<Parameters>(arguments)...);
  launched(call, name);
#else
  (void)call;
  sim::launch(sim::launch_of(name, shape.grid, shape.block, static_cast<size_t>(shape.shared_bytes),
                             kernel, static_cast<Parameters>(arguments)...));
#endif
}

/// Blocks for n elements, `per_block` of them each: enough to fill a device, never more than
/// needed.
inline Launch over(int64_t n, int threads = 256, int64_t per_block = 1024) {
  int64_t blocks = (n + per_block - 1) / per_block;
  if (blocks > 1 << 16) blocks = 1 << 16;
  Launch l;
  l.grid = dim3(static_cast<unsigned>(blocks > 0 ? blocks : 1));
  l.block = dim3(static_cast<unsigned>(threads));
  return l;
}

}  // namespace satin::cuda
