// gpu_tests lies beside mgpnet-cuda, which holds the model: it need not carry it once more.
#include "mgpnet/model.h"

namespace mgpnet {

std::span<const std::byte> embedded_bytes() { return {}; }

}  // namespace mgpnet
