// Index arithmetic that kernels of the host and of the device share.  Always inlined: kernel files
// are compiled for several instruction sets, and a function shared by the linker could carry
// instructions the processor lacks.  constexpr: what nvcc lets a kernel call.
#pragma once

#include "tensor/dtype.h"
#include "tensor/pad.h"
#include "tensor/shape.h"

namespace satin {

/// f(U{}) with U an integer as wide as an element of `t`.
template <class F>
[[gnu::always_inline]] inline void with_bits(DType t, F f) {
  switch (size_of(t)) {
    case 8:
      return f(uint64_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint16_t{});
  }
}

/// The strides of `s` seen as `out`: 0 along repeated axes.
[[gnu::always_inline]] inline void broadcast_strides(const Shape& s,
                                                     const Shape& out,
                                                     int64_t (&strides)[kMaxRank]) {
  int64_t step = 1;
  for (int i = 0; i < kMaxRank; ++i) strides[i] = 0;
  for (int i = s.rank() - 1; i >= 0; --i) {
    strides[i + out.rank() - s.rank()] = s[i] == 1 ? 0 : step;
    step *= s[i];
  }
}

/// The index along an axis of `extent` elements that padded position i (0: its first element)
/// copies, or -1 for a zero.
[[gnu::always_inline]] constexpr int64_t pad_source(int64_t i, int64_t extent, PadMode mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == PadMode::zero) return -1;
  if (mode == PadMode::edge) return i < 0 ? 0 : extent - 1;
  if (extent == 1) return 0;
  const int64_t period = 2 * (extent - 1);
  const int64_t phase = ((i % period) + period) % period;
  return phase < extent ? phase : period - phase;
}

}  // namespace satin
