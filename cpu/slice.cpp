#include "tensor/slice.h"

#include "cpu/copy.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// The loop over the part, as (part, whole), and where the part starts in the whole.
Loop<2> part_loop(const SliceAttrs& attrs, const Shape& part, const Shape& whole, int64_t& start) {
  const auto ps = part.strides(), ws = whole.strides();
  Loop<2> loop;
  start = 0;
  for (int i = 0; i < part.rank(); ++i) {
    start += attrs.start[i] * ws[i];
    loop.axis(part[i], {ps[i], ws[i] * attrs.step[i]});
  }
  return loop;
}

}  // namespace

void slice(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  if (y.shape.size() == 0) return;
  int64_t start = 0;
  const Loop<2> loop = part_loop(call.as<SliceAttrs>(), y.shape, x.shape, start);
  with_bits(y.dtype, [&](auto bits) {
    copy_loop(call, loop, y.as<decltype(bits)>(), x.as<decltype(bits)>() + start);
  });
}

void slice_adjoint(const Call& call) {
  const View &y = call.in[0], &x = call.out[0];
  clear(call, x);
  if (y.shape.size() == 0) return;
  int64_t start = 0;
  const Loop<2> part = part_loop(call.as<SliceAttrs>(), y.shape, x.shape, start);
  Loop<2> loop = part;
  for (int i = 0; i < part.rank; ++i) {  // the same loop, written into the whole
    loop.stride[0][i] = part.stride[1][i];
    loop.stride[1][i] = part.stride[0][i];
  }
  with_bits(y.dtype, [&](auto bits) {
    copy_loop(call, loop, x.as<decltype(bits)>() + start, y.as<decltype(bits)>());
  });
}

}  // namespace satin::cpu::SATIN_ISA
