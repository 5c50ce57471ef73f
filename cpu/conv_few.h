// A convolution with few output channels.  On the register tile its outputs would fill a corner of
// a vector.  Here the taps of all outputs are columns of one product over the input's pixels,
//
//   t(i, j)[kh, kw, co] = sum over ci of x(i, j)[ci] w[kh, kw, ci, co],
//
// and an output is the sum of KH KW of these: y(i, j) = bias + sum over kh, kw of
// t(i + kh - pad, j + kw - pad)[kh, kw].  Rows of t exist as a ring of KH, zeros beside them.
// Stride and dilation are 1, and there is one group.
//
// Its gradient in w turns that around: the rows of the product are taps and outputs, its columns
// input channels.  What a row of the kernel meets, KW pixels of dy, lies side by side there.
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
      const int64_t row = p.ring_row(), first = (t - p.pad + low) % p.kh;
      const T* of_first = ring + first * row + low * p.kw * p.cout;
      for (int64_t u = u0; u < u1; ++u, y += p.cout, of_first += width) {
        Vector sum = start;
        const T* from = of_first;
        for (int64_t kh = low, at = first; kh < high; ++kh) {
          const T* of_tap = from;
          for (int64_t kw = 0; kw < p.kw; ++kw, of_tap += width + p.cout)
            sum += *reinterpret_cast<const Packed*>(of_tap);
          from += row + p.kw * p.cout;
          if (++at == p.kh) at = 0, from -= p.kh * row;
        }
        if ((u1 - u) * p.cout >= kMost)  // what is too much, the next pixels write over
          *reinterpret_cast<Packed*>(y) = sum;
        else
          for (int64_t k = 0; k < p.cout; ++k) y[k] = sum[k];
      }
    }
  };
};

/// dw[kh, kw, ci, co] = sum over i, j of x(i, j)[ci] dy(i - kh + pad, j - kw + pad)[co].
template <class T>
struct FewOutputsWeightGrad {
  FewOutputs<T> p;

  bool pays() const { return p.pays() && p.cin % kLanes<T> == 0 && p.h * p.w > 0; }

  static constexpr int64_t kMostPieces = 32;
  int64_t pieces() const { return min_of(kMostPieces, p.n * p.h); }
  /// Of a row of the kernel: pixels in the order of dy, which is that of falling kw.
  int64_t height() const { return p.kw * p.cout; }
  int64_t size() const { return p.kh * height() * p.cin; }
  /// A row of dy, with zeros beside it.
  int64_t row_size() const { return ceil_div((p.w + p.kw - 1) * p.cout, 16) * 16; }
  int64_t scratch() const { return (pieces() + 1) * size() + pieces() * row_size(); }

  void run(const Call& call, const T* x, const T* dy, T* dw, T* scratch) const {
    T *all = scratch, *partial = all + size(), *dy_rows = partial + pieces() * size();
    parallel_for(call, pieces(), [&](int64_t piece) {
      T *sums = partial + piece * size(), *dy_row = dy_rows + piece * row_size();
      for (int64_t i = 0; i < size(); ++i) sums[i] = T{0};
      const int64_t rows = p.n * p.h;
      for (int64_t i = rows * piece / pieces(); i < rows * (piece + 1) / pieces(); ++i)
        for (int64_t kh = 0; kh < p.kh; ++kh) {
          const int64_t row = i % p.h - kh + p.pad;
          if (row < 0 || row >= p.oh) continue;
          copy_row(dy + (i / p.h * p.oh + row) * p.ow * p.cout, dy_row);
          add(x + i * p.w * p.cin, dy_row, kh == 0 && i + 1 < rows, sums + kh * height() * p.cin);
        }
    });
    sum_partials<T>(call, all, partial, pieces(), size(), nullptr, 1);
    for (int64_t kh = 0; kh < p.kh; ++kh)
      for (int64_t kw = 0; kw < p.kw; ++kw)
        for (int64_t ci = 0; ci < p.cin; ++ci)
          for (int64_t co = 0; co < p.cout; ++co)
            *dw++ = all[(kh * height() + (p.kw - 1 - kw) * p.cout + co) * p.cin + ci];
  }

 private:
  /// Columns pad - KW + 1 ... w - 1 + pad of dy.
  void copy_row(const T* from, T* to) const {
    const int64_t first = p.pad - p.kw + 1, end = p.w + p.pad,
                  begin = min_of(end, max_of(first, 0)), stop = max_of(begin, min_of(end, p.ow));
    for (int64_t i = first * p.cout; i < begin * p.cout; ++i) *to++ = T{0};
    for (int64_t i = begin * p.cout; i < stop * p.cout; ++i) *to++ = from[i];
    for (int64_t i = stop * p.cout; i < end * p.cout; ++i) *to++ = T{0};
  }

  /// sums += the products of a row of x with what a row of the kernel takes it to.
  void add(const T* x, const T* dy, bool more_rows, T* sums) const {
    for_even(0, height(), kTileRows, [&](int64_t i, int64_t count) {
      for (int64_t j = 0; j < p.cin; j += kTileCols<T>) {
        Tile<T> t{};
        t.a = dy + i;
        t.a_row = 1;
        t.a_k = p.cout;
        t.b = x + j;
        t.b_k = p.cin;
        t.len = p.w;
        t.c = sums + i * p.cin + j;
        t.c_row = p.cin;
        t.rows = static_cast<int>(count);
        t.cols = static_cast<int>(min_of(kTileCols<T>, p.cin - j));
        t.add = true;
        if (i == 0 && more_rows) {  // the row below
          t.ahead = x + p.w * p.cin + j * p.w;
          t.ahead_lines = t.cols > kLanes<T> ? 2 : 1;
        }
        tile(t);
      }
    });
  }
};

}  // namespace satin::cpu::SATIN_ISA
