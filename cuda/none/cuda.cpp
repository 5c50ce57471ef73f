// cuda.h in a build without CUDA: there is no GPU, and the reason is known.
#include "cuda/cuda.h"

namespace satin::cuda {

Gpus gpus() {
  return {{},
          false,
          false,
          {},
          "this binary is built without CUDA; make cuda builds build/mgpnet-cuda"};
}

std::string blas() { return gpus().problem; }

const Backend& backend(int) { throw DeviceError(gpus().problem); }

}  // namespace satin::cuda
