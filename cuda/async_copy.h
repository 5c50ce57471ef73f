// Copies from global into shared memory that pass no register and that nobody waits for: cp.async
// (compute capability 8.0), behind three functions with a twin on the simulator.
//
// A thread asks for copies, closes them into a group, and later waits until at most so many of its
// groups are not there yet.  What others copied it may read behind a barrier that follows their
// waiting.  The twin does everything as late as is allowed: until waited for, the place holds NaN;
// and it takes both the asking and the arriving for a write, so that a race with either is red.
#pragma once

#include "cuda/kernel.h"

namespace satin::cuda {

#if !defined(__CUDACC__)
namespace sim {
void copy_async(void* to, const void* from);
void close_copies();
void wait_copies(int open);
}  // namespace sim
#endif

/// 16 bytes, both ends aligned to that; from null: zeros.
SATIN_DEVICE void copy_async(float* to, const float* from) {
#if defined(__CUDACC__)
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  // The address is not read where the size is 0.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
               "r"(from ? 16 : 0)
               : "memory");
#else
  sim::copy_async(to, from);
#endif
}

/// Closes what this thread asked for since the last time into a group, which may be empty.
SATIN_DEVICE void close_copies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  sim::close_copies();
#endif
}

/// Waits until all but this thread's last kOpen groups are there.
template <int kOpen>
SATIN_DEVICE void wait_copies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
#else
  sim::wait_copies(kOpen);
#endif
}

}  // namespace satin::cuda
