// The gradient of a convolution in w, on the register tile: for every tap a product of the pixels
// of x and of dy that it brings together, both read in place, the sum of a tile being a chunk of
// pixels.
#pragma once

#include "cpu/conv_pass.h"

namespace satin::cpu::SATIN_ISA {

/// Pixels of dy in one sum of a tile, about: so few that its panel of dy stays in the L1 cache, and
/// more where the sums are too many for L2, which are read and written with every step.
inline constexpr int64_t kSumPixels = 64, kManySumPixels = 512, kManySums = 512 << 10;

struct WeightGradSums {
  int64_t rows_per_step, steps_per_image, steps, pieces;
};

template <class T>
WeightGradSums weight_grad_sums(const ConvProblem& p) {
  WeightGradSums s{};
  const int64_t bytes = p.kh * p.kw * p.group_in() * p.cout * static_cast<int64_t>(sizeof(T));
  const int64_t pixels = bytes > kManySums ? kManySumPixels : kSumPixels;
  s.rows_per_step = max_of(1, min_of(p.oh, pixels / max_of(1, p.ow)));
  s.steps_per_image = ceil_div(p.oh, s.rows_per_step);
  s.steps = p.n * s.steps_per_image;
  s.pieces = max_of(1, min_of(min_of(32, s.steps), (int64_t{8} << 20) / max_of(1, bytes)));
  return s;
}

/// Columns of dy that do not fill vectors are copied, a step at a time.
template <class T>
int64_t weight_grad_tail(const ConvProblem& p, const WeightGradSums& s) {
  return p.group_out() % kLanes<T> ? s.rows_per_step * p.ow * kLanes<T> : 0;
}

template <class T>
struct ConvWeightGrad {
  const ConvProblem p;
  const WeightGradSums s;
  const T* x;
  const T* dy;

  /// Rows [first, last) of dy in image n.
  struct Step {
    int64_t n, first, last;
  };
  Step step(int64_t i) const {
    const int64_t first = i % s.steps_per_image * s.rows_per_step;
    return {i / s.steps_per_image, first, min_of(p.oh, first + s.rows_per_step)};
  }
  const T* image(const Step& t) const { return x + t.n * p.h * p.w * p.cin; }
  const T* dy_of(const Step& t) const { return dy + (t.n * p.oh + t.first) * p.ow * p.cout; }

  /// What a step is the first to read.
  Ahead ahead_of(const Step& t) const {
    const auto behind =
        [&](int64_t row) {  // the row of x behind those that dy's rows up to this meet
          return max_of(0, min_of(p.h, row * p.stride - p.pad + p.dilation * (p.kh - 1) + 1));
        };
    const int64_t from = t.first ? behind(t.first - 1) : 0, row = p.w * p.cin;
    Ahead ahead;
    ahead.add(image(t) + from * row, (behind(t.last - 1) - from) * row);
    ahead.add(dy_of(t), (t.last - t.first) * p.ow * p.cout);
    return ahead;
  }

  /// dw = (or += if `add`) the products of one step.  tail: weight_grad_tail elements.
  void run(const Step& now, T* dw, bool add, T* tail, Ahead ahead) const {
    const int64_t ci_n = p.group_in(), co_n = p.group_out(), whole = co_n / kLanes<T> * kLanes<T>;
    for (int64_t group = 0; group < p.groups; ++group) {
      const T* dy_group = dy_of(now) + group * co_n;
      if (whole < co_n)
        pack_panel(tail, dy_group + whole, p.cout, 1, (now.last - now.first) * p.ow,
                   static_cast<int>(co_n - whole), kLanes<T>);
      for (int64_t tap = 0; tap < p.kh * p.kw; ++tap) {
        // The pixels of dy that this tap takes to pixels inside x: an axis with a single tap.
        const Axis row{p.oh, p.h, p.stride, tap / p.kw * p.dilation - p.pad, 1, 1};
        const Axis col{p.ow, p.w, p.stride, tap % p.kw * p.dilation - p.pad, 1, 1};
        const int64_t r0 = max_of(now.first, row.inner_begin());
        const int64_t r1 = max_of(r0, min_of(now.last, row.inner_end()));
        const int64_t c0 = col.inner_begin(), c1 = max_of(c0, col.inner_end());
        const T* from = image(now) + group * ci_n +
                        ((r0 * p.stride + row.first) * p.w + c0 * p.stride + col.first) * p.cin;
        T* to = dw + tap * ci_n * p.cout + group * co_n;
        for (int64_t j = 0, width = 0; j < co_n; j += width) {
          width = j + kTileCols<T> <= whole ? kTileCols<T> : kLanes<T>;
          const bool in_tail = j >= whole;
          const int64_t pixel = in_tail ? kLanes<T> : p.cout;
          for_even(0, ci_n, kTileRows, [&](int64_t i, int64_t count) {
            Tile<T> t{};
            t.a = from + i;
            t.a_row = 1;
            t.a_k = p.stride * p.cin;
            t.outer = r1 - r0;
            t.inner = 1;
            t.len = c1 - c0;
            t.a_outer = p.stride * p.w * p.cin;
            t.b = (in_tail ? tail : dy_group + j) + ((r0 - now.first) * p.ow + c0) * pixel;
            t.b_k = pixel;
            t.b_outer = p.ow * pixel;
            t.c = to + i * p.cout + j;
            t.c_row = p.cout;
            t.rows = static_cast<int>(count);
            t.cols = static_cast<int>(min_of(width, co_n - j));
            t.add = add;
            t.ahead = ahead.take(t.outer * t.len);
            tile(t);
          });
        }
      }
    }
  }
};

}  // namespace satin::cpu::SATIN_ISA
