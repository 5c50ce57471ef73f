// Gradients in 3x3 kernels in bf16: for every tap, the products of two pictures summed over pixels,
//
//   sums[tap, i, o] += sum over pixels p  left[p, i] right[p - tap, o],   tap = (-1, -1) ... (1, 1)
//
// some rows at a time, so that sums are read and written once for all of these.  The left rows are
// turned, a row for a channel, tile behind tile.  The right rows are in pairs of pixels, twice:
// from an even pixel on for the middle taps, from an odd one on for the others, which read them a
// pair apart.  Thus every tile begins at a cache line (one that does not takes twice as long to
// load), and rows beside the ones at hand are needed on one side only.
#pragma once

#include "cpu/bf16.h"

namespace satin::cpu::SATIN_ISA::bf16 {

struct PixelProduct {
  static constexpr int64_t kTaps = 9, kStepsAtOnce = 16, kMostRows = 16;

  int64_t w, cols;  ///< of a row in pixels; channels, whole tiles
  int64_t steps = steps_of(w);
  int64_t rows = max_of(2, min_of(kMostRows, kStepsAtOnce / steps));  ///< at once

  struct Memory {
    Half *left, *right, *some;
    int64_t *left_at, *right_at;
  };
  Memory take(bf16::Memory& from) const {
    const int64_t places = rows * steps;
    return {from.take<Half>(up_to(cols, kDepth) * places * kDepth),
            from.take<Half>(2 * cols / kSide * panel()), from.take<Half>(kDepth * cols),
            from.take<int64_t>(places), from.take<int64_t>(3 * places)};
  }

  /// Row r of the rows at once: w pixels, zeros up to whole steps, `channels` apart.
  void left(const Memory& m, int64_t r, const Half* row, int64_t channels) const {
    for (int64_t s = 0; s < steps; ++s, row += kDepth * channels) {
      pair_rows(row, channels, kDepth, cols, m.some, 1);
      for (int64_t j = 0; j < cols; j += kSide)
        turn_pairs(m.some + j * kDepth, kDepth, left_tile(m, r * steps + s, j), kDepth);
    }
  }

  /// Row i of the picture, from -1 on; the rows at once and the ones beside them are kept.
  /// at(pixel, channel): a vector.
  template <class At>
  SATIN_INLINE void right(const Memory& m, int64_t i, At at) const {
    constexpr int64_t kL = kLanes<float>;
    const int64_t pairs = pairs_of_row(), width = w, odd_panels = cols / kSide * panel();
    for (int64_t j = 0; j < cols; j += kL) {
      Half* even = m.right + j / kSide * panel() + place(i) + j % kSide * 2;
      Half* odd = even + odd_panels;
      F before{};
      int64_t k = 0;
      for (; 2 * k + 1 < width; ++k) {
        const F one = at(2 * k, j), two = at(2 * k + 1, j);
        store_pairs(odd + k * kDepth, before, one);
        store_pairs(even + k * kDepth, one, two);
        before = two;
      }
      const F last = 2 * k < width ? at(2 * k, j) : F{};
      store_pairs(odd + k * kDepth, before, last);
      store_pairs(even + k * kDepth, last, F{});
      for (++k; k < pairs; ++k) {
        store_pairs(odd + k * kDepth, F{}, F{});
        store_pairs(even + k * kDepth, F{}, F{});
      }
    }
  }
  void no_right(const Memory& m, int64_t i) const {
    right(
        m, i, [](int64_t, int64_t) __attribute__((always_inline)) { return F{}; });
  }

  /// Of products, when `count` rows are added.
  int64_t product_steps(int64_t count) const {
    const int64_t blocks = ceil_div(cols, kDepth);
    return kTaps * blocks * blocks * count * steps;
  }

  /// The sums over `count` rows from row i of the picture on.
  void add(const Memory& m, int64_t i, int64_t count, float* sums, bool onto, Fetch* fetch) const {
    const int64_t places = count * steps;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t s = 0; s < steps; ++s) {
        m.left_at[r * steps + s] = (r * steps + s) * kDepth * kDepth;
        for (int64_t row = 0; row < 3; ++row)
          m.right_at[row * places + r * steps + s] = place(i + r + 1 - row) + s * kStep;
      }
    for (int64_t a = 0; a < cols; a += kDepth)
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        Block block{};
        block.a = left_tile(m, 0, a), block.a_row = kDepth, block.a_at = m.left_at;
        block.b = m.right + (tap % 3 == 1 ? 0 : cols / kSide * panel()) + (tap % 3 == 0) * kDepth;
        block.b_at = m.right_at + tap / 3 * places, block.b_panel = panel();
        block.steps = places;
        block.c = sums + (tap * cols + a) * cols, block.c_row = cols;
        block.add = onto;
        block.fetch = fetch;
        block.b_once = true;
        block.rows = cols - a > kSide ? 2 : 1;
        for (int64_t o = 0; o < cols; o += kDepth) {
          block.cols = cols - o > kSide ? 2 : 1;
          multiply(block);
          block.b += 2 * panel();
          block.c += kDepth;
        }
      }
  }

 private:
  int64_t pairs_of_row() const { return steps * kSide + 1; }
  int64_t panel() const { return (rows + 2) * pairs_of_row() * kDepth; }
  int64_t place(int64_t i) const { return (i + 1) % (rows + 2) * pairs_of_row() * kDepth; }
  Half* left_tile(const Memory& m, int64_t step, int64_t channel) const {
    return m.left + (channel / kDepth * rows * steps + step) * kDepth * kDepth +
           channel % kDepth * kDepth;
  }
};

}  // namespace satin::cpu::SATIN_ISA::bf16
