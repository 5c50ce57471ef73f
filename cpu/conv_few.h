// A convolution with few output channels.  On the register tile its outputs would fill a corner of
// a vector.  Here the taps of all outputs are columns of one product over the input's pixels,
//
//   t(i, j)[kh, kw, co] = sum over ci of x(i, j)[ci] w[kh, kw, ci, co],
//
// and an output is the sum of KH KW of these: y(i, j) = bias + sum over kh, kw of
// t(i + kh - pad, j + kw - pad)[kh, kw].  Rows of t exist as a ring of KH, zeros beside them.
// Stride and dilation are 1, and there is one group.
#pragma once

#include "cpu/gemm.h"

namespace satin::cpu::SATIN_ISA {

/// Four values of T next to each other.
template <class T>
struct Four;
template <>
struct Four<float> {
  using Vector = float __attribute__((vector_size(16)));
  using Packed = float __attribute__((vector_size(16), aligned(4), may_alias));
};
template <>
struct Four<double> {
  using Vector = double __attribute__((vector_size(32)));
  using Packed = double __attribute__((vector_size(32), aligned(8), may_alias));
};

template <class T>
struct FewOutputs {
  int64_t n, h, w, cin, oh, ow, cout, kh, kw, pad;

  static constexpr int64_t kMost = 4, kRows = 24,
                           kCols = 512;  ///< of y: channels; about, in a task

  int64_t columns() const { return kh * kw * cout; }
  /// Of t's pixels; sums read kMost values from the first of every tap on.
  int64_t width() const { return whole_vectors<T>(columns() + kMost - cout); }
  bool pays() const {
    return cout > 0 && cout <= kMost && cin >= 8 &&
           2 * width() <= kh * kw * static_cast<int64_t>(kLanes<T>) && n * oh * ow > 0;
  }

  int64_t packed_size() const { return ceil_div(cin * width(), 16) * 16; }
  /// from: w [KH, KW, CIN, COUT].
  void pack(const Call& call, const T* from, T* to) const {
    parallel_for(call, ceil_div(width(), kTileCols<T>), [&](int64_t panel) {
      const int64_t first = panel * kTileCols<T>, cols = min_of(kTileCols<T>, width() - first);
      T* p = to + first * cin;
      for (int64_t ci = 0; ci < cin; ++ci)
        for (int64_t j = first; j < first + cols; ++j)
          *p++ = j < columns() ? from[(j / cout * cin + ci) * cout + j % cout] : T{0};
    });
  }

  int64_t row_blocks() const { return ceil_div(oh, kRows); }
  int64_t col_blocks() const { return ceil_div(ow, kCols); }
  int64_t tasks() const { return n * row_blocks() * col_blocks(); }
  int64_t workers() const { return min_of(16, tasks()); }
  int64_t ring_row() const {
    return (ceil_div(ow, max_of(1, col_blocks())) + kw - 1) * width() + kLanes<T>;
  }
  int64_t scratch() const { return workers() * ceil_div(kh * ring_row(), 16) * 16; }

  void run(const Call& call, const T* x, const T* packed, const T* bias, T* y, T* rings) const {
    parallel_workers(call, workers(), tasks(), [&](int64_t worker, int64_t task) {
      const int64_t row = task / col_blocks() % row_blocks(), col = task % col_blocks();
      Part part{*this, x, packed, rings + worker * (ceil_div(kh * ring_row(), 16) * 16)};
      part.image = task / (col_blocks() * row_blocks());
      part.u0 = ow * col / col_blocks(), part.u1 = ow * (col + 1) / col_blocks();
      const int64_t t0 = oh * row / row_blocks(), t1 = oh * (row + 1) / row_blocks();
      int64_t done = max_of(0, t0 - pad);  // rows of t
      for (int64_t t = t0; t < t1; ++t) {
        for (; done < min_of(h, t - pad + kh); ++done) part.products(done);
        part.sums(t, bias, y + ((part.image * oh + t) * ow + part.u0) * cout);
      }
    });
  }

 private:
  /// Columns [u0, u1) of y in one image.
  struct Part {
    const FewOutputs& p;
    const T* x;
    const T* packed;
    T* ring;
    int64_t image = 0, u0 = 0, u1 = 0;

    /// Row i of t: pixels u0 - pad ... u1 - 1 - pad + KW - 1.
    void products(int64_t i) const {
      const int64_t width = p.width(), first = u0 - p.pad, end = u1 - p.pad + p.kw - 1;
      const int64_t begin = min_of(end, max_of(first, 0)), stop = max_of(begin, min_of(end, p.w));
      T* to = ring + i % p.kh * p.ring_row();
      for (int64_t k = 0; k < (begin - first) * width; ++k) to[k] = T{0};
      for (int64_t k = (stop - first) * width; k < (end - first) * width; ++k) to[k] = T{0};
      const T* row = x + (image * p.h + i) * p.w * p.cin;
      for_even(begin, stop, kTileRows, [&](int64_t j, int64_t count) {
        for (int64_t col = 0; col < width; col += kTileCols<T>) {
          Tile<T> t{};
          t.a = row + j * p.cin;
          t.a_row = p.cin;
          t.a_k = 1;
          t.cols = static_cast<int>(min_of(kTileCols<T>, width - col));
          t.b = packed + col * p.cin;
          t.b_k = t.cols;
          t.len = p.cin;
          t.c = to + (j - first) * width + col;
          t.c_row = width;
          t.rows = static_cast<int>(count);
          if (col == 0 && i + 1 < p.h) t.ahead = t.a + p.w * p.cin;  // the row below
          tile(t);
        }
      });
    }

    void sums(int64_t t, const T* bias, T* y) const {
      using Vector = typename Four<T>::Vector;
      using Packed = typename Four<T>::Packed;
      const int64_t width = p.width(), low = max_of(0, p.pad - t),
                    high = min_of(p.kh, p.h + p.pad - t);
      Vector start{};
      if (bias)
        for (int64_t k = 0; k < p.cout; ++k) start[k] = bias[k];
      for (int64_t u = u0; u < u1; ++u, y += p.cout) {
        Vector sum = start;
        for (int64_t kh = low; kh < high; ++kh) {
          const T* from =
              ring + (t - p.pad + kh) % p.kh * p.ring_row() + (u - u0) * width + kh * p.kw * p.cout;
          for (int64_t kw = 0; kw < p.kw; ++kw, from += width + p.cout)
            sum += *reinterpret_cast<const Packed*>(from);
        }
        if ((u1 - u) * p.cout >= kMost)  // what is too much, the next pixels write over
          *reinterpret_cast<Packed*>(y) = sum;
        else
          for (int64_t k = 0; k < p.cout; ++k) y[k] = sum[k];
      }
    }
  };
};

}  // namespace satin::cpu::SATIN_ISA
