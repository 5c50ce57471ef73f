// What the gradients of multi_axis_gmlp and rcab in bf16 share: the way back through a layer norm.
#pragma once

#include "cpu/bf16.h"

namespace satin::cpu::SATIN_ISA::bf16 {

SATIN_INLINE void add_to(float* sum, F x) { store(sum, load(sum) + x); }

/// The derivative of a layer norm: from g (the cotangent of h, times gamma if given) and h in bf16,
/// to(r, j, d) gets rstd (g - mean(g) - h mean(g h)).
template <class To>
SATIN_INLINE void normalize_rows_back(const float* g,
                                      int64_t g_row,
                                      const Half* h,
                                      int64_t h_row,
                                      const float* rstds,
                                      const float* gamma,
                                      int64_t rows,
                                      int64_t c,
                                      To to) {
  constexpr int kL = kLanes<float>;
  const int64_t padded = whole_vectors<float>(c);
  const auto scaled = [&](int64_t r, int64_t j) __attribute__((always_inline)) {
    const F d = load(g + r * g_row + j);
    return gamma ? load(gamma + j) * d : d;
  };
  float mean_g[kL], mean_gh[kL];
  for (int64_t first = 0; first < rows; first += kL) {
    const int64_t count = min_of(kL, rows - first);
    F sums_g[kL], sums_gh[kL];
    for (int64_t r = 0; r < kL; ++r) {  // a last group that is not full reads its last row again
      const int64_t row = first + min_of(r, count - 1);
      F sum_g{}, sum_gh{};
      for (int64_t j = 0; j < padded; j += kL) {
        const F d = scaled(row, j);
        sum_g += d;
        sum_gh += d * load_half(h + row * h_row + j);
      }
      sums_g[r] = sum_g;
      sums_gh[r] = sum_gh;
    }
    store(mean_g, sum_across<float>(sums_g) / static_cast<float>(c));
    store(mean_gh, sum_across<float>(sums_gh) / static_cast<float>(c));
    for (int64_t r = 0; r < count; ++r) {
      const int64_t row = first + r;
      const F s = splat(rstds[row]), a = splat(mean_g[r]), b = splat(mean_gh[r]);
      for (int64_t j = 0; j < padded; j += kL)
        to(row, j, s * (scaled(row, j) - a - load_half(h + row * h_row + j) * b));
    }
  }
}

}  // namespace satin::cpu::SATIN_ISA::bf16
