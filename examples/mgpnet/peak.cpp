// The chains are inline assembly: no compiler merges, hoists or vectorizes them in another way, and
// the path that is measured does not depend on the flags of this file.
#include "mgpnet/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mgpnet {
namespace {

using satin::cpu::Isa;

constexpr int kTurns = 8;
constexpr int64_t kRounds = 400'000;  // some milliseconds
constexpr int64_t kTileRounds = 100'000;
// Latency 4 times two units is 8 chains in flight; 12 leave room for wider machines and fit 16
// registers.
constexpr int kChains = 12;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

#if defined(__x86_64__)

// x = x / 2 + 1 runs to 2: no infinities, no subnormals.
#define MGPNET_CHAINS(step) \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

__attribute__((target("avx512f"))) void chains_avx512() {
  const __m512 half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1.0f);
#define MGPNET_DECLARE(i) __m512 x##i = one;
#define MGPNET_STEP(i)    asm volatile("vfmadd213ps %2, %1, %0" : "+v"(x##i) : "v"(half), "v"(one));
  MGPNET_CHAINS(MGPNET_DECLARE)
  for (int64_t r = 0; r < kRounds; ++r) {
    MGPNET_CHAINS(MGPNET_STEP)
  }
#undef MGPNET_DECLARE
#undef MGPNET_STEP
}

__attribute__((target("avx2,fma"))) void chains_avx2() {
  const __m256 half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1.0f);
#define MGPNET_DECLARE(i) __m256 x##i = one;
#define MGPNET_STEP(i)    asm volatile("vfmadd213ps %2, %1, %0" : "+x"(x##i) : "x"(half), "x"(one));
  MGPNET_CHAINS(MGPNET_DECLARE)
  for (int64_t r = 0; r < kRounds; ++r) {
    MGPNET_CHAINS(MGPNET_STEP)
  }
#undef MGPNET_DECLARE
#undef MGPNET_STEP
}

// Even chains multiply, odd ones add.
void chains_baseline() {
  const __m128 one = _mm_set1_ps(1.0f);
#define MGPNET_DECLARE(i) __m128 x##i = one;
#define MGPNET_STEP(i)                                    \
  if constexpr (i % 2 == 0)                               \
    asm volatile("mulps %1, %0" : "+x"(x##i) : "x"(one)); \
  else                                                    \
    asm volatile("addps %1, %0" : "+x"(x##i) : "x"(one));
  MGPNET_CHAINS(MGPNET_DECLARE)
  for (int64_t r = 0; r < kRounds; ++r) {
    MGPNET_CHAINS(MGPNET_STEP)
  }
#undef MGPNET_DECLARE
#undef MGPNET_STEP
}
#undef MGPNET_CHAINS

// Tiles of 16 x 32 by 32 x 16; the assembler needs no flags for them.  What is multiplied is 0.
void chains_amx() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const config;
  asm volatile("ldtilecfg %0" ::"m"(config));
  for (int64_t r = 0; r < kTileRounds; ++r)
    asm volatile(
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\ttdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm5, %%tmm3" ::);
  asm volatile("tilerelease" ::);
}

struct Chains {
  void (*run)();
  double flops;  // of one run
};

Chains chains_of(Isa isa, bool bf16) {
  const auto of_lanes = [](int flops) { return static_cast<double>(flops * kChains * kRounds); };
  if (bf16 && isa == Isa::amx)
    return {&chains_amx, 4.0 * 2 * 16 * 16 * 32 * static_cast<double>(kTileRounds)};
  switch (isa) {
    case Isa::amx:
    case Isa::avx512:
      return {&chains_avx512, of_lanes(32)};
    case Isa::avx2:
      return {&chains_avx2, of_lanes(16)};
    default:
      return {&chains_baseline, of_lanes(4)};
  }
}

#else

// Elsewhere the compiler chooses the instructions; without fast-math it cannot merge the rounds.
struct Chains {
  void (*run)();
  double flops;
};

volatile float g_half = 0.5f, g_one = 1.0f, g_sink;

void chains_portable() {
  constexpr int kLanes = 4;
  const float half = g_half, one = g_one;
  float x[kChains][kLanes] = {};
  for (int64_t r = 0; r < kRounds; ++r)
    for (auto& chain : x)
      for (float& lane : chain) lane = lane * half + one;
  float sum = 0;
  for (const auto& chain : x)
    for (const float lane : chain) sum += lane;
  g_sink = sum;
}

Chains chains_of(Isa, bool) {
  return {&chains_portable, 8.0 * kChains * static_cast<double>(kRounds)};
}

#endif

}  // namespace

double peak_gflops(Isa isa, satin::ThreadPool& pool, satin::Precision precision) {
  Chains chains = chains_of(isa, precision == satin::Precision::bf16);
  double best = 1e9;
  for (int turn = 0; turn < kTurns; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel(
        pool.threads(), [](void* context, int64_t) { static_cast<const Chains*>(context)->run(); },
        &chains);
    best = std::min(best, seconds_since(start));
  }
  return 1e-9 * chains.flops * pool.threads() / best;
}

double triad_bandwidth(satin::ThreadPool& pool, int64_t bytes) {
  constexpr int64_t kPiece = 1 << 15;  // elements a thread takes at a time
  const int64_t pieces = std::max<int64_t>(1, bytes / (3 * 4 * kPiece));
  const auto n = static_cast<size_t>(pieces * kPiece);
  std::vector<float> a(n), b(n, 1.0f), c(n, 2.0f);
  struct Job {
    float* a;
    const float *b, *c;
  } job{a.data(), b.data(), c.data()};
  double best = 1e9;
  for (int turn = 0; turn < 5; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel(
        pieces,
        [](void* context, int64_t piece) {
          const Job& j = *static_cast<const Job*>(context);
          const int64_t from = piece * kPiece;
          for (int64_t i = from; i < from + kPiece; ++i) j.a[i] = j.b[i] + 0.5f * j.c[i];
        },
        &job);
    best = std::min(best, seconds_since(start));
  }
  return 1e-9 * 12.0 * static_cast<double>(n) / best;
}

double roofline(double peak, double bandwidth, int64_t macs, int64_t bytes) {
  if (bytes <= 0) return peak;
  const double intensity = 2.0 * static_cast<double>(macs) / static_cast<double>(bytes);
  return std::min(peak, intensity * bandwidth);
}

}  // namespace mgpnet
