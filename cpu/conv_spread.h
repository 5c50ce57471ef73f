// The gradient in x of a convolution whose kernel is as large as its stride, without edges: the
// transposed convolution that doubles the sides of an image.  Every pixel of dy gives a square of
// pixels of dx that no other gives to, so this is one product: its rows are pixels of dy, its
// columns the channels of all taps, and each tap has its own places to write to.
#pragma once

#include "cpu/conv_pass.h"

namespace satin::cpu::SATIN_ISA {

template <class T>
struct ConvSpread {
  int64_t images, h, w, cin;  ///< dy
  int64_t side, cout;         ///< of the square, its channels

  static constexpr int64_t kTaskPixels = 512;       ///< about
  static constexpr int64_t kBlockBytes = 16 << 10;  ///< of dy: half of L1

  static bool fits(const ConvProblem& p) {
    return p.groups == 1 && p.pad == 0 && p.dilation == 1 && p.kh == p.stride && p.kw == p.stride &&
           p.h == p.oh * p.stride && p.w == p.ow * p.stride && p.n * p.oh * p.ow > 0;
  }
  static ConvSpread of(const ConvProblem& p) { return {p.n, p.oh, p.ow, p.cout, p.stride, p.cin}; }

  int64_t weights_size() const {
    return ceil_div(side * side * cin * whole_vectors<T>(cout), 16) * 16;
  }
  int64_t scratch() const { return weights_size() + whole_vectors<T>(cout); }  ///< with the bias
  /// weights: [side, side, COUT, CIN].
  void pack(const Call& call, const T* weights, T* to) const {
    const int64_t panels = ceil_div(cout, kTileCols<T>);
    parallel_for(call, side * side * panels, [&](int64_t task) {
      const int64_t tap = task / panels, j = task % panels * kTileCols<T>;
      const int cols = static_cast<int>(min_of(kTileCols<T>, cout - j));
      pack_panel(to + (tap * whole_vectors<T>(cout) + j) * cin, weights + (tap * cout + j) * cin, 1,
                 cin, cin, cols, whole_vectors<T>(cols));
    });
  }

  /// bias: [COUT] or null; room: for whole vectors of it.
  void run(const Call& call, const T* dy, const T* packed, const T* bias, T* dx, T* room) const {
    if (bias) {
      pack_panel(room, bias, 0, 1, 1, static_cast<int>(cout), whole_vectors<T>(cout));
      bias = room;
    }
    parallel_chunks(call, images * h, max_of(1, kTaskPixels / w), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) run_row(row, dy, packed, bias, dx);
    });
  }

 private:
  void run_row(int64_t row, const T* dy, const T* packed, const T* bias, T* dx) const {
    const int64_t most =
        kTileRows * max_of(1, kBlockBytes / (kTileRows * cin * static_cast<int64_t>(sizeof(T))));
    for_even(0, w, most, [&](int64_t u, int64_t count) {
      const T* from = dy + (row * w + u) * cin;
      Ahead ahead;
      ahead.add(from + count * cin, count * cin);
      for (int64_t tap = 0; tap < side * side; ++tap)
        for (int64_t j = 0; j < cout; j += kTileCols<T>) {
          Tile<T> t{};
          t.cols = static_cast<int>(min_of(kTileCols<T>, cout - j));
          t.a_row = cin;
          t.a_k = 1;
          t.b = packed + (tap * whole_vectors<T>(cout) + j) * cin;
          t.b_k = whole_vectors<T>(t.cols);
          t.len = cin;
          t.c_row = side * cout;
          t.bias = bias ? bias + j : nullptr;
          T* to = dx + (((row * side + tap / side) * w + u) * side + tap % side) * cout + j;
          for_even(0, count, kTileRows, [&](int64_t i, int64_t rows) {
            t.a = from + i * cin;
            t.c = to + i * t.c_row;
            t.next_c = t.c + rows * t.c_row;
            t.rows = static_cast<int>(rows);
            t.ahead = ahead.take(cin);
            tile(t);
          });
        }
    });
  }
};

}  // namespace satin::cpu::SATIN_ISA
