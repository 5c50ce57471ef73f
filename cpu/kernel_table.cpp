// Compiled once per instruction set, like the kernels it lists.
#include "cpu/kernel_table.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {

extern const KernelTable kKernels;
const KernelTable kKernels = {{
#define SATIN_KERNEL_plain(name)   {&name},
#define SATIN_KERNEL_scratch(name) {&name, &name##_scratch},
#define SATIN_KERNEL_packed(name)  {&name, &name##_scratch, &name##_packing, &name##_pack},
#define SATIN_KERNEL_none(name)    {nullptr},
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_KERNEL_##kernel(name)
#include "tensor/ops.def"
#undef SATIN_OP
}};

}  // namespace satin::cpu::SATIN_ISA
