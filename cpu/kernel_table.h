// The table of kernels of one instruction set, filled from tensor/ops.def.
#pragma once

#include <array>

#include "tensor/backend.h"

namespace satin::cpu {

struct Kernel {
  void (*run)(const Call& call);                   ///< null: the row always runs as its composition
  int64_t (*scratch)(const Call& call) = nullptr;  ///< null: no scratch
  Packing (*packing)(const Call& call) = nullptr;  ///< null: reads weights as they are
  void (*pack)(const Call& call) = nullptr;        ///< weights in, packed out
};

using KernelTable = std::array<Kernel, kOpCount>;

}  // namespace satin::cpu
