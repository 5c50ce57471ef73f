// What the instrumented kernels call (hooks.cpp), as the scheduler implements it.
#pragma once

#include <cstddef>

namespace satin::cuda::sim {

extern bool watching;  ///< a thread of a kernel runs right now
/// Checks an access of the running thread.
void access(const void* p, size_t bytes, bool write);

}  // namespace satin::cuda::sim
