// Weights in the order in which a kernel reads them: every kernel packs its own.
#include "tensor/pack_weight.h"

#include "cpu/kernel.h"
#include "cpu/kernel_table.h"

namespace satin::cpu::SATIN_ISA {

extern const KernelTable kKernels;

void pack_weight(const Call& call) {
  const auto attrs = call.as<PackWeightAttrs>();
  kKernels[static_cast<size_t>(attrs.op)].pack(call);
}

}  // namespace satin::cpu::SATIN_ISA
