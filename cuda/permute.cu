// A thread takes every n-th element of the result (loop.h), so writes are contiguous and reads are
// as the permutation has them.  Bytes: 8 an f32: bound by memory.  Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/permute.h"

namespace satin::cuda {

void permute(const Call& call) {
  const auto attrs = call.as<PermuteAttrs>();
  const View &x = call.in[0], &y = call.out[0];
  const auto xs = x.shape.strides(), ys = y.shape.strides();
  Loop<2> loop;
  for (int i = 0; i < y.shape.rank(); ++i)
    loop.axis(y.shape[i], {ys[static_cast<size_t>(i)], xs[static_cast<size_t>(attrs.order[i])]});
  copy(call, y, 0, x, 0, loop);
}

}  // namespace satin::cuda
