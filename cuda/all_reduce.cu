// A copy, and then the communicator's work.  Bytes: 8 an f32 and what the communicator moves.  Not
// yet measured on a device.
#include "cuda/loop.h"
#include "tensor/all_reduce.h"

namespace satin::cuda {

void all_reduce(const Call& call) {
  const View& y = call.out[0];
  Loop<2> loop;
  loop.axis(y.shape.size(), {1, 1});
  if (y.data != call.in[0].data) copy(call, y, 0, call.in[0], 0, loop);
  if (call.exec->communicator) call.exec->communicator->all_reduce(y.data, y.shape.size(), y.dtype);
}

}  // namespace satin::cuda
