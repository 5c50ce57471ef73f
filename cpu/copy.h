// Copies for the operations that only move elements: by size of element, whatever its type.
#pragma once

#include <cstring>

#include "cpu/strided.h"
#include "cpu/vec.h"
#include "tensor/index.h"

namespace satin::cpu::SATIN_ISA {

/// n contiguous elements; most runs are too short for a call of memcpy to pay.
template <class U>
SATIN_INLINE void copy_run(U* to, const U* from, int64_t n) {
  char* t = reinterpret_cast<char*>(to);
  const char* f = reinterpret_cast<const char*>(from);
  int64_t bytes = n * static_cast<int64_t>(sizeof(U));
  if (bytes <= 4096)
    for (; bytes >= kVectorBytes; bytes -= kVectorBytes, t += kVectorBytes, f += kVectorBytes)
      __builtin_memcpy(t, f, kVectorBytes);
  if (bytes > 0) std::memcpy(t, f, static_cast<size_t>(bytes));
}

/// A transposition: y is contiguous along the innermost axis, x along `axis`.  In square tiles, so
/// that lines of the cache are used whole.
template <class U>
inline void copy_transposed(const Call& call, const Loop<2>& loop, int axis, U* y, const U* x) {
  constexpr int64_t kTile = 16;
  Loop<2> outer;  // the other axes, and one that stands for the tiles
  for (int a = 0; a + 1 < loop.rank; ++a) {
    if (a == axis) continue;
    outer.extent[outer.rank] = loop.extent[a];
    for (int k = 0; k < 2; ++k) outer.stride[k][outer.rank] = loop.stride[k][a];
    ++outer.rank;
  }
  ++outer.rank;
  const int64_t rows = loop.extent[axis], n = loop.inner(), y_step = loop.stride[0][axis],
                x_step = loop.inner_stride(1);
  const int64_t strips = (rows + kTile - 1) / kTile, columns = (n + 1023) / 1024;
  parallel_for(call, outer.runs() * strips * columns, [&](int64_t task) {
    int64_t offset[2];
    outer.start(task / columns / strips, offset);
    const int64_t row = task / columns % strips * kTile, first = task % columns * 1024;
    const int64_t row_end = row + kTile < rows ? row + kTile : rows,
                  last = first + 1024 < n ? first + 1024 : n;
    for (int64_t column = first; column < last; column += kTile) {
      const int64_t end = column + kTile < last ? column + kTile : last;
      for (int64_t r = row; r < row_end; ++r)
        for (int64_t c = column; c < end; ++c)
          y[offset[0] + r * y_step + c] = x[offset[1] + r + c * x_step];
    }
  });
}

/// y[offset 0] = x[offset 1] over the loop.
template <class U>
inline void copy_loop(const Call& call, const Loop<2>& loop, U* y, const U* x) {
  const int64_t ys = loop.inner_stride(0), xs = loop.inner_stride(1);
  if (ys == 1 && xs > 1 && !wants_plain(call))
    for (int a = 0; a + 1 < loop.rank; ++a)
      if (loop.stride[1][a] == 1) return copy_transposed(call, loop, a, y, x);
  for_each_run(call, loop, [&](const int64_t(&offset)[2], int64_t n) {
    U* to = y + offset[0];
    const U* from = x + offset[1];
    if (ys == 1 && xs == 1)
      copy_run(to, from, n);
    else
      for (int64_t i = 0; i < n; ++i) to[i * ys] = from[i * xs];
  });
}

/// Zeros in all of a view.
inline void clear(const Call& call, const View& y) {
  const int64_t bytes = y.shape.size() * static_cast<int64_t>(size_of(y.dtype));
  parallel_chunks(call, bytes, 1 << 17, [&](int64_t begin, int64_t end) {
    std::memset(y.as<char>() + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace satin::cpu::SATIN_ISA
