// Copies for the operations that only move elements: by size of element, whatever its type.
#pragma once

#include <cstring>

#include "cpu/strided.h"

namespace satin::cpu::SATIN_ISA {

/// f(U{}) with U an integer as wide as an element of `t`.
template <class F>
inline void with_bits(DType t, F f) {
  switch (size_of(t)) {
    case 8:
      return f(uint64_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint16_t{});
  }
}

/// y[offset 0] = x[offset 1] over the loop.
template <class U>
inline void copy_loop(const Call& call, const Loop<2>& loop, U* y, const U* x) {
  const int64_t ys = loop.inner_stride(0), xs = loop.inner_stride(1);
  for_each_run(call, loop, [&](const int64_t(&offset)[2], int64_t n) {
    U* to = y + offset[0];
    const U* from = x + offset[1];
    if (ys == 1 && xs == 1)
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(U));
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
