// A copy of a part, or zeros and then a copy into a part (loop.h).  Bytes: 8 an f32 of the part,
// and 4 of the whole for the adjoint's zeros: bound by memory.  Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/slice.h"

namespace satin::cuda {
namespace {

/// The loop over (part, whole), or the other way round, and where the part starts in the whole.
Loop<2> part_loop(
    const SliceAttrs& attrs, const Shape& part, const Shape& whole, bool turned, int64_t& start) {
  const auto ps = part.strides(), ws = whole.strides();
  Loop<2> loop;
  start = 0;
  for (int i = 0; i < part.rank(); ++i) {
    const auto a = static_cast<size_t>(i);
    start += attrs.start[i] * ws[a];
    const int64_t p = ps[a], w = ws[a] * attrs.step[i];
    loop.axis(part[i], {turned ? w : p, turned ? p : w});
  }
  return loop;
}

}  // namespace

void slice(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  int64_t start = 0;
  const Loop<2> loop = part_loop(call.as<SliceAttrs>(), y.shape, x.shape, false, start);
  copy(call, y, 0, x, start, loop);
}

void slice_adjoint(const Call& call) {
  const View &y = call.in[0], &x = call.out[0];
  clear(call, x);
  int64_t start = 0;
  const Loop<2> loop = part_loop(call.as<SliceAttrs>(), y.shape, x.shape, true, start);
  copy(call, x, start, y, 0, loop);
}

}  // namespace satin::cuda
