// The tables of kernels of one instruction set: one entry per row of tensor/ops.def, and those for
// products in bf16.
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

/// A kernel whose products are in bf16; other calls than it takes go to the kernel of the row.
struct Bf16Kernel {
  Op op;
  bool (*takes)(const Call& call);  ///< from shapes and attributes alone
  Kernel kernel;
};

using Bf16Table = std::array<Bf16Kernel, 9>;

}  // namespace satin::cpu
