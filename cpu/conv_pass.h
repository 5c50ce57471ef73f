// A dense convolution of channels-last images as products on the register tile, without copies of
// images: the forward convolution is one Pass, its gradient in x one Pass per phase of the stride.
//
// Channels lie last, so the values one row of the kernel needs are one run of KW * CIN neighbors; a
// tile takes some neighboring pixels of one output row as its rows and reads these runs in the
// image.  Only tiles at the left and right edge, where runs leave the image, read a padded copy
// (strip) of the few pixels they need.  Weights are packed in panels of whole vectors.
#pragma once

#include "cpu/gemm.h"

namespace satin::cpu::SATIN_ISA {

/// The shapes of the triple.
struct ConvProblem {
  int64_t n, h, w, cin, oh, ow, cout, kh, kw;
  int64_t stride, pad, dilation, groups;

  int64_t group_in() const { return cin / groups; }
  int64_t group_out() const { return cout / groups; }
};

inline constexpr int64_t kMaxPieces = 64;   // tasks of one pass, each with a buffer for edges
inline constexpr int64_t kMinPixels = 256;  // in a task, about

/// Along one axis: output t reads inputs t * step + first + k * spacing for taps k in [0, taps).
struct Axis {
  int64_t out, in, step, first, spacing, taps;

  /// The taps of output t that lie inside: [low, high).
  int64_t low(int64_t t) const {
    return min_of(taps, max_of(0, ceil_div_signed(-(t * step + first), spacing)));
  }
  int64_t high(int64_t t) const {
    return max_of(0, min_of(taps, ceil_div_signed(in - (t * step + first), spacing)));
  }
  /// The first output none of whose taps lies before the input, and the first one of whose taps
  /// lies behind it.
  int64_t inner_begin() const { return min_of(out, max_of(0, ceil_div_signed(-first, step))); }
  int64_t inner_end() const {
    const int64_t reach = in - 1 - first - (taps - 1) * spacing;
    return reach < 0 ? 0 : min_of(out, reach / step + 1);
  }

  static int64_t ceil_div_signed(int64_t a, int64_t b) {
    return a > 0 ? (a + b - 1) / b : -(-a / b);
  }
};

/// A dense convolution of channels-last images; strides in elements.
struct Pass {
  int64_t images, groups, cin, cout;  ///< cin, cout: of one group
  Axis rows, cols;
  int64_t x_image, x_row, x_col, y_image, y_row, y_col;

  int64_t depth() const { return rows.taps * cols.taps * cin; }
  int64_t strip_cols() const {
    return (kTileRows - 1) * cols.step + (cols.taps - 1) * cols.spacing + 1;
  }
  int64_t strip_size() const { return ceil_div(rows.taps * strip_cols() * cin, 16) * 16; }
  template <class T>
  int64_t packed_cols() const {
    return whole_vectors<T>(cout);
  }
  /// Rows of output in one task, and the tasks.
  int64_t all_rows() const { return images * rows.out; }
  int64_t pieces() const {
    return max_of(1, min_of(min_of(kMaxPieces, all_rows()), all_rows() * cols.out / kMinPixels));
  }
  template <class T>
  int64_t packed_size() const {
    return ceil_div(groups * depth() * packed_cols<T>(), 16) * 16;
  }
  int64_t scratch() const { return pieces() * strip_size(); }  ///< elements: edge buffers of tasks
};

/// A pass on its memory.
template <class T>
struct PassRun {
  const Pass& p;
  const T* x;
  const T* packed;
  T* y;
  const T* bias;
  T* strips;

  const T* panel_of(int64_t group, int64_t j) const {
    return packed + group * p.depth() * p.packed_cols<T>() + p.depth() * j;
  }

  /// Copies the inputs of output pixels [u, u + count) of row t to `strip`, zeros where there are
  /// none.
  void copy_strip(T* strip,
                  const T* image,
                  int64_t t,
                  int64_t u,
                  int64_t count,
                  int64_t low,
                  int64_t high) const {
    const int64_t cols = (count - 1) * p.cols.step + (p.cols.taps - 1) * p.cols.spacing + 1;
    const int64_t from = u * p.cols.step + p.cols.first, to = from + cols;
    const int64_t begin = min_of(to, max_of(from, 0)), end = max_of(begin, min_of(to, p.cols.in));
    for (int64_t k = low; k < high; ++k) {
      const T* row = image + (t * p.rows.step + p.rows.first + k * p.rows.spacing) * p.x_row;
      const auto zeros = [&](int64_t n) {
        for (; n > 0; --n) *strip++ = T{0};
      };
      const auto copy = [&](const T* x_from, int64_t n) {
        for (int64_t i = 0; i < n; ++i) strip[i] = x_from[i];
        strip += n;
      };
      zeros((begin - from) * p.cin);
      if (p.x_col == p.cin)
        copy(row + begin * p.x_col, (end - begin) * p.cin);
      else
        for (int64_t v = begin; v < end; ++v) copy(row + v * p.x_col, p.cin);
      zeros((to - end) * p.cin);
    }
  }

  /// The rows of the input that output row t + 1 is the first to read.
  Ahead ahead_of(const T* image, int64_t t) const {
    const int64_t behind = t * p.rows.step + p.rows.first + (p.rows.taps - 1) * p.rows.spacing + 1;
    const int64_t from = min_of(p.rows.in, max_of(0, behind));
    const int64_t to = min_of(p.rows.in, max_of(from, behind + p.rows.step));
    Ahead ahead;
    ahead.add(image + from * p.x_row, (to - from) * p.x_row);
    return ahead;
  }

  /// Row t of an output image, the channels of one group.
  void row(int64_t image, int64_t t, int64_t group, T* strip) const {
    const T* in = x + image * p.x_image + group * p.cin;
    T* out = y + image * p.y_image + t * p.y_row + group * p.cout;
    const int64_t low = p.rows.low(t), high = max_of(low, p.rows.high(t));
    const int64_t inner_begin = p.cols.inner_begin(), inner_end = p.cols.inner_end();
    Ahead ahead;
    if (group == 0) ahead = ahead_of(in, t);
    for_even(0, p.cols.out, kTileRows, [&](int64_t u, int64_t count) {
      Tile<T> pixels{};
      const bool inner = u >= inner_begin && u + count <= inner_end;
      const bool one_run = p.cols.spacing == 1 && (p.groups == 1 || !inner);
      const int64_t pixel = inner ? p.x_col : p.cin;  // from one column of the input to the next
      if (inner) {
        pixels.a = in + (t * p.rows.step + p.rows.first + low * p.rows.spacing) * p.x_row +
                   (u * p.cols.step + p.cols.first) * p.x_col;
        pixels.a_outer = p.rows.spacing * p.x_row;
      } else {
        copy_strip(strip, in, t, u, count, low, high);
        pixels.a = strip;
        pixels.a_outer =
            ((count - 1) * p.cols.step + (p.cols.taps - 1) * p.cols.spacing + 1) * p.cin;
      }
      pixels.a_row = p.cols.step * pixel;
      pixels.a_k = 1;
      pixels.outer = high - low;
      pixels.inner = one_run ? 1 : p.cols.taps;
      pixels.len = one_run ? p.cols.taps * p.cin : p.cin;
      pixels.a_inner = p.cols.spacing * pixel;
      pixels.c_row = p.y_col;
      pixels.rows = static_cast<int>(count);
      for (int64_t j = 0; j < p.cout; j += kTileCols<T>) {
        const int cols = static_cast<int>(min_of(kTileCols<T>, p.cout - j)),
                  width = whole_vectors<T>(cols);
        alignas(64) T bias_panel[kTileCols<T>];
        if (bias) pack_panel(bias_panel, bias + group * p.cout + j, 0, 1, 1, cols, width);
        Tile<T> one = pixels;
        one.b = panel_of(group, j) + low * p.cols.taps * p.cin * width;
        one.b_k = width;
        one.b_inner = one.len * width;
        one.b_outer = p.cols.taps * p.cin * width;
        one.c = out + u * p.y_col + j;
        one.cols = cols;
        one.bias = bias ? bias_panel : nullptr;
        one.ahead = ahead.take(one.outer * one.inner * one.len);
        tile(one);
      }
    });
  }
};

/// w(kh, kw, ci, co) of one group as elements base + kh * row + kw * col + ci * in + co * out.
struct Weights {
  int64_t base, row, col, in, out, group;
};

/// Packs the weights of a pass; nothing but its channels, groups and taps matters.  to:
/// Pass::packed_size elements.
template <class T>
void pack_pass(const Call& call, const Pass& p, const T* w, const Weights& at, T* to) {
  const int64_t panels = ceil_div(p.cout, kTileCols<T>), taps = p.rows.taps * p.cols.taps;
  parallel_for(call, p.groups * panels * taps, [&](int64_t task) {
    const int64_t tap = task % taps, j = task / taps % panels * kTileCols<T>,
                  group = task / (taps * panels);
    const int cols = static_cast<int>(min_of(kTileCols<T>, p.cout - j)),
              width = whole_vectors<T>(cols);
    const T* from = w + at.base + tap / p.cols.taps * at.row + tap % p.cols.taps * at.col +
                    group * at.group + j * at.out;
    T* panel = to + group * p.depth() * p.packed_cols<T>() + p.depth() * j;
    pack_panel(panel + tap * p.cin * width, from, at.in, at.out, p.cin, cols, width);
  });
}

/// Runs a pass over all tasks.  strips: Pass::scratch elements.
template <class T>
void run_pass(
    const Call& call, const Pass& p, const T* x, const T* packed, T* y, const T* bias, T* strips) {
  if (p.all_rows() * p.cols.out * p.cout * p.groups == 0) return;
  const PassRun<T> run{p, x, packed, y, bias, strips};
  const int64_t pieces = p.pieces(), rows = p.all_rows();
  parallel_for(call, pieces, [&](int64_t piece) {
    T* strip = run.strips + piece * p.strip_size();
    for (int64_t row = rows * piece / pieces; row < rows * (piece + 1) / pieces; ++row)
      for (int64_t group = 0; group < p.groups; ++group)
        run.row(row / p.rows.out, row % p.rows.out, group, strip);
  });
}

}  // namespace satin::cpu::SATIN_ISA
