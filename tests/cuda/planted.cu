#include "cuda/async_copy.h"
#include "tests/cuda/planted.h"

using namespace satin::cuda;

namespace planted {
namespace {

const satin::Call kCall{};

struct Row {
  float x[64];
};

__global__ void sums_kernel(float* out, const float* in, int64_t n, bool barrier_missing) {
  auto& s = shared<Row>();
  const int64_t i = thread_index();
  s.x[threadIdx.x] = i < n ? in[i] : 0;
  if (!barrier_missing) __syncthreads();
  float sum = 0;
  for (float x : s.x) sum += x;
  if (i < n) out[i] = sum;
}

__global__ void warp_sum_kernel(float* out, const float* in, bool lane_missing) {
  float x = in[threadIdx.x];
  if (lane_missing && threadIdx.x == 7) return;
  for (int bits = 16; bits > 0; bits /= 2) x += __shfl_xor_sync(~0u, x, bits);
  if (threadIdx.x == 0) out[0] = x;
}

__global__ void parted_kernel(float* out, bool leave) {
  if (threadIdx.x % 2) {
    if (leave) return;
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

__global__ void one_too_many_kernel(float* out, int64_t n) {
  for (int64_t i = thread_index(); i <= n; i += thread_count()) out[i] = 0;
}

__global__ void vector_load_kernel(float* out, const float* in, int64_t offset) {
  const float4 v = *reinterpret_cast<const float4*>(in + offset);
  out[0] = v.x + v.y + v.z + v.w;
}

__global__ void blocks_race_kernel(float* out) {
  if (threadIdx.x == 0) out[0] += 1;
}

__global__ void vectors_race_kernel(float* out, int64_t step) {
  if (threadIdx.x < 2) *reinterpret_cast<float4*>(out + threadIdx.x * step) = float4{1, 2, 3, 4};
}

__global__ void warp_hand_over_kernel(float* out, bool sync_missing) {
  auto& s = shared<Row>();
  s.x[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!sync_missing) __syncwarp();
  out[threadIdx.x] = s.x[threadIdx.x ^ 1];
}

__global__ void unwritten_kernel(float* out) { out[threadIdx.x] = shared<Row>().x[threadIdx.x]; }

__global__ void past_shared_kernel(float* out) {
  const float* x = shared<Row>().x;
  out[threadIdx.x] = x[threadIdx.x + 1];
}

__global__ void halves_kernel(uint16_t* out, const uint16_t* in, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) out[i] = in[i];
}

__global__ void host_memory_kernel(float* out, const float* in) { *out = *in; }

struct Quads {
  alignas(16) float x[2][36];
};

__global__ void async_copies_kernel(float* out, const float* in, Slip slip) {
  auto& s = shared<Quads>();
  const auto t = static_cast<int>(threadIdx.x);
  float early = 0;
  if (t < 8)
    for (int group = 0; group < 2; ++group) {
      float* to = s.x[group] + 4 * t;
      if (slip == Slip::misaligned) ++to;
      if (slip == Slip::to_global) to = out;
      copy_async(to, in + 32 * group + 4 * t);
      close_copies();
    }
  if (slip == Slip::overwritten && t == 9) early = s.x[0][0];  // while thread 0 copies
  wait_copies<1>();
  if (slip != Slip::wait_missing) wait_copies<0>();
  if (slip != Slip::barrier_missing) __syncthreads();
  const int from = (t + 4) % 32;
  out[t] = s.x[0][from] + s.x[1][from] + early;
}

__global__ void nothing_kernel() {}

}  // namespace

void sums(float* out, const float* in, int64_t n, bool barrier_missing) {
  const dim3 grid(static_cast<unsigned>((n + 63) / 64));
  launch(kCall, "sums", {grid, 64, sizeof(Row)}, sums_kernel, out, in, n, barrier_missing);
}
void warp_sum(float* out, const float* in, bool lane_missing) {
  launch(kCall, "warp_sum", {1, 32}, warp_sum_kernel, out, in, lane_missing);
}
void parted(float* out, bool leave) { launch(kCall, "parted", {1, 64}, parted_kernel, out, leave); }
void one_too_many(float* out, int64_t n) {
  launch(kCall, "one_too_many", over(n), one_too_many_kernel, out, n);
}
void vector_load(float* out, const float* in, int64_t offset) {
  launch(kCall, "vector_load", {1, 1}, vector_load_kernel, out, in, offset);
}
void blocks_race(float* out) { launch(kCall, "blocks_race", {4, 32}, blocks_race_kernel, out); }
void vectors_race(float* out, bool overlap) {
  launch(kCall, "vectors_race", {1, 32}, vectors_race_kernel, out, overlap ? 0 : 4);
}
void warp_hand_over(float* out, bool sync_missing) {
  launch(kCall, "warp_hand_over", {1, 64, sizeof(Row)}, warp_hand_over_kernel, out, sync_missing);
}
void unwritten(float* out) {
  launch(kCall, "unwritten", {1, 64, sizeof(Row)}, unwritten_kernel, out);
}
void past_shared(float* out) {
  launch(kCall, "past_shared", {1, 64, sizeof(Row)}, past_shared_kernel, out);
}
void halves(uint16_t* out, const uint16_t* in, int64_t n) {
  launch(kCall, "halves", over(n, 64, 64), halves_kernel, out, in, n);
}
void host_memory(float* out, const float* in) {
  launch(kCall, "host_memory", {1, 1}, host_memory_kernel, out, in);
}
void async_copies(float* out, const float* in, Slip slip) {
  launch(kCall, "async_copies", {1, 32, sizeof(Quads)}, async_copies_kernel, out, in, slip);
}
void launch_of(unsigned threads, int64_t shared_bytes) {
  launch(kCall, "nothing", {1, threads, shared_bytes}, nothing_kernel);
}

}  // namespace planted
