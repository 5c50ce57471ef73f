// A copy, where the planner could not leave the elements in place.  Bytes: 8 an f32: bound by
// memory. Not yet measured on a device.
#include "cuda/loop.h"
#include "tensor/reshape.h"

namespace satin::cuda {

void reshape(const Call& call) {
  Loop<2> loop;
  loop.axis(call.out[0].shape.size(), {1, 1});
  copy(call, call.out[0], 0, call.in[0], 0, loop);
}

}  // namespace satin::cuda
