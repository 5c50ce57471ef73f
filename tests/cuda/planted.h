// Kernels with a planted bug of each kind the simulator must see, and their healthy twins
// (planted.cu, compiled like every kernel).
#pragma once

#include <cstdint>

namespace planted {

/// Fills out[0, n) with the sums of 64 neighbors of in, over shared memory; without the barrier
/// each thread reads what others may not have written.
void sums(float* out, const float* in, int64_t n, bool barrier_missing);
/// Sum of a warp's lanes into out[0]: shuffles; in the other, one lane does not come.
void warp_sum(float* out, const float* in, bool lane_missing);
/// Half of the threads wait at one barrier, half at another; or half of them leave before it.
void parted(float* out, bool leave);
/// out[i] for i up to and including n.
void one_too_many(float* out, int64_t n);
/// Reads in[0, 4) from the element after `offset` as one vector.
void vector_load(float* out, const float* in, int64_t offset);
/// Every block adds to out[0].
void blocks_race(float* out);
/// Two threads write the same word as part of vectors of four.
void vectors_race(float* out, bool overlap);
/// Threads of a warp hand over by shared memory, with and without __syncwarp.
void warp_hand_over(float* out, bool sync_missing);
/// Reads shared memory that nobody wrote.
void unwritten(float* out);
/// Reads one float past the struct in shared memory.
void past_shared(float* out);
/// 16-bit neighbors, one thread each: healthy.
void halves(uint16_t* out, const uint16_t* in, int64_t n);
/// Copies one float from memory of the host.
void host_memory(float* out, const float* in);
/// A launch of this many threads a block and bytes of shared memory.
void launch_of(unsigned threads, int64_t shared_bytes);

/// out[i] = in[(i + 4) % 32] + in[(i + 4) % 32 + 32], in two groups of asynchronous copies of 8
/// threads; what may go wrong:
enum class Slip { none, wait_missing, barrier_missing, overwritten, misaligned, to_global };
void async_copies(float* out, const float* in, Slip slip);

}  // namespace planted
