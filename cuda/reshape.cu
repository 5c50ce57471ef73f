#include "cuda/loop.h"
#include "tensor/reshape.h"

namespace satin::cuda {

void reshape(const Call& call) {
  Loop<2> loop;
  loop.axis(call.out[0].shape.size(), {1, 1});
  copy(call, call.out[0], 0, call.in[0], 0, loop);
}

}  // namespace satin::cuda
