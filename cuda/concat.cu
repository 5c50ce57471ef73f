// One copy a piece (loop.h), none for a piece that was computed in its place.  Bytes: 8 an f32:
// bound by memory.  Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/concat.h"

namespace satin::cuda {

// The planner may have let pieces be computed right where they belong: those are not copied.
void concat(const Call& call) {
  const View& y = call.out[0];
  const int axis = call.as<ConcatAttrs>().axis;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= y.shape[i];
  for (int i = axis + 1; i < y.shape.rank(); ++i) inner *= y.shape[i];
  const int64_t row = y.shape[axis] * inner;  // of y, for one outer index
  int64_t start = 0;
  for (const View& x : call.in) {
    const int64_t n = x.shape[axis] * inner;
    Loop<2> loop;
    loop.axis(outer, {row, n});
    loop.axis(n, {1, 1});
    const char* there = y.as<char>() + start * static_cast<int64_t>(size_of(y.dtype));
    if (there != x.as<char>()) copy(call, y, start, x, 0, loop);
    start += n;
  }
}

}  // namespace satin::cuda
