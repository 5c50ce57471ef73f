// The tiles of cpu/bf16.h: on AMX, and their scalar twin.
//
// On AMX a block of 2 x 2 tiles takes four loads and four products a step: products take 16 cycles,
// loads 8, so that products bound it; but not where both sides come from L2, which delivers a tile
// in some 20 cycles.  A right side that L1 does not hold from one block to the next is loaded past
// it.  Assembly rather than intrinsics, which in g++ 12 do not say that they read memory.
#include "cpu/bf16.h"

namespace satin::cpu::SATIN_ISA::bf16 {

#if defined(__AMX_BF16__)

#define SATIN_TILE_ZERO(tile) asm volatile("tilezero %%tmm" #tile ::)
#define SATIN_TILE_LOAD(tile, from, stride) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"(stride) : "memory")
#define SATIN_TILE_LOAD_ONCE(tile, from, stride) \
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm" #tile ::"r"(from), "r"(stride) : "memory")
#define SATIN_TILE_STORE(to, stride, tile) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"(stride) : "memory")
#define SATIN_TILE_PRODUCT(c, a, b) asm volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)

Session::Session() noexcept {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const config;
  asm volatile("ldtilecfg %0" ::"m"(config));
}

Session::~Session() { asm volatile("tilerelease" ::); }

namespace {

template <int R, int C>
void run(const Block& t) {
  const int64_t a_row = t.a_row * 2, c_row = t.c_row * 4, b_row = 64, same = 0;
  if (t.add) {
    SATIN_TILE_LOAD(0, t.c, c_row);
    if constexpr (C > 1) SATIN_TILE_LOAD(1, t.c + kSide, c_row);
    if constexpr (R > 1) SATIN_TILE_LOAD(2, t.c + kSide * t.c_row, c_row);
    if constexpr (R > 1 && C > 1) SATIN_TILE_LOAD(3, t.c + kSide * t.c_row + kSide, c_row);
  } else if (t.bias) {
    SATIN_TILE_LOAD(0, t.bias, same);
    if constexpr (C > 1) SATIN_TILE_LOAD(1, t.bias + kSide, same);
    if constexpr (R > 1) SATIN_TILE_LOAD(2, t.bias, same);
    if constexpr (R > 1 && C > 1) SATIN_TILE_LOAD(3, t.bias + kSide, same);
  } else {
    SATIN_TILE_ZERO(0);
    if constexpr (C > 1) SATIN_TILE_ZERO(1);
    if constexpr (R > 1) SATIN_TILE_ZERO(2);
    if constexpr (R > 1 && C > 1) SATIN_TILE_ZERO(3);
  }
  // Loads first: in phases when the unit is slow (probably another guest on the core) this is a
  // sixth faster than loads between products, otherwise the same.
  const int64_t panel = t.b_panel ? t.b_panel : t.steps * kStep;
  for (int64_t s = 0; s < t.steps; ++s) {
    const Half* a = t.a + (t.a_at ? t.a_at[s] : s * kDepth);
    const Half* b = t.b + (t.b_at ? t.b_at[s] : s * kStep);
    if (t.fetch) t.fetch->step();
    if (t.b_once) {
      SATIN_TILE_LOAD_ONCE(6, b, b_row);
      if constexpr (C > 1) SATIN_TILE_LOAD_ONCE(7, b + panel, b_row);
    } else {
      SATIN_TILE_LOAD(6, b, b_row);
      if constexpr (C > 1) SATIN_TILE_LOAD(7, b + panel, b_row);
    }
    SATIN_TILE_LOAD(4, a, a_row);
    if constexpr (R > 1) SATIN_TILE_LOAD(5, a + kSide * t.a_row, a_row);
    SATIN_TILE_PRODUCT(0, 4, 6);
    if constexpr (C > 1) SATIN_TILE_PRODUCT(1, 4, 7);
    if constexpr (R > 1) SATIN_TILE_PRODUCT(2, 5, 6);
    if constexpr (R > 1 && C > 1) SATIN_TILE_PRODUCT(3, 5, 7);
  }
  SATIN_TILE_STORE(t.c, c_row, 0);
  if constexpr (C > 1) SATIN_TILE_STORE(t.c + kSide, c_row, 1);
  if constexpr (R > 1) SATIN_TILE_STORE(t.c + kSide * t.c_row, c_row, 2);
  if constexpr (R > 1 && C > 1) SATIN_TILE_STORE(t.c + kSide * t.c_row + kSide, c_row, 3);
}

}  // namespace

void multiply(const Block& block) noexcept {
  if (block.rows > 1)
    block.cols > 1 ? run<2, 2>(block) : run<2, 1>(block);
  else
    block.cols > 1 ? run<1, 2>(block) : run<1, 1>(block);
}

#else

Session::Session() noexcept {}
Session::~Session() {}

void multiply(const Block& t) noexcept {
  using Unaligned = int32_t __attribute__((vector_size(kVectorBytes), aligned(2), may_alias));
  constexpr int kRows = 4;
  for (int64_t j = 0; j < t.cols * kSide; j += kLanes<float>) {
    const int64_t distance = t.b_panel ? t.b_panel : t.steps * kStep;
    const Half* panel = t.b + j / kSide * distance + j % kSide * 2;
    for (int64_t i = 0; i < t.rows * kSide; i += kRows) {
      F sum[kRows];
      for (int r = 0; r < kRows; ++r)
        sum[r] = t.add ? load(t.c + (i + r) * t.c_row + j) : t.bias ? load(t.bias + j) : F{};
      for (int64_t s = 0; s < t.steps; ++s) {
        const Half* a = t.a + i * t.a_row + (t.a_at ? t.a_at[s] : s * kDepth);
        const Half* b = panel + (t.b_at ? t.b_at[s] : s * kStep);
        F even[kRows] = {}, odd[kRows] = {};
        for (int64_t k = 0; k < kDepth; k += 2, b += kDepth) {
          const I pairs = *reinterpret_cast<const Unaligned*>(b);
          const F low = reinterpret_cast<F>(pairs << 16),
                  high = reinterpret_cast<F>(pairs & static_cast<int32_t>(0xffff0000));
          for (int r = 0; r < kRows; ++r) {
            fma(even[r], splat(to_f32(Bf16{a[r * t.a_row + k]})), low);
            fma(odd[r], splat(to_f32(Bf16{a[r * t.a_row + k + 1]})), high);
          }
        }
        for (int r = 0; r < kRows; ++r) sum[r] += even[r] + odd[r];
      }
      for (int r = 0; r < kRows; ++r) store(t.c + (i + r) * t.c_row + j, sum[r]);
    }
  }
}

#endif

}  // namespace satin::cpu::SATIN_ISA::bf16
