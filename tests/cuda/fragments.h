// Kernels around cuda/mma.h for tests/mma.cpp: a warp whose lanes bring what the test says.
#pragma once

#include <cstdint>

namespace fragments {

/// What a lane brings to an mma.
struct Lane {
  uint32_t a[4], b[2];
  float c[4];
};

enum class Mistake {
  none,
  lane_missing,     ///< one lane has left
  half_warp,        ///< a block of 16 threads
  parted,           ///< half of the lanes at another mma
  barrier_missing,  ///< rows are read while others still write them
  misaligned,       ///< a row in the middle of 16 bytes
  past_the_end,     ///< a row behind the last one
};

/// d [32 lanes, 4] of one mma in bf16 or tf32.
void multiply(float* d, const Lane* lanes, bool bf16, Mistake mistake);
/// words [n / 2] of bf16 or [n] of tf32: x rounded.
void pack(uint32_t* words, const float* x, int n, bool bf16);
/// words [32 lanes, 4] that load_rows gives of the rows x [32, 4] of shared memory.
void rows(uint32_t* words, const uint32_t* x, Mistake mistake);
/// quotients and remainders [n, 4] of x [n] by d: of both ways of Divisor.
void divide(int64_t* y, const int64_t* x, int n, int64_t d);

}  // namespace fragments
