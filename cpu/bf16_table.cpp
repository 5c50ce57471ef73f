// Which rows have a kernel with products in bf16.  Compiled once per instruction set.
#include "cpu/bf16.h"
#include "cpu/kernel_table.h"

namespace satin::cpu::SATIN_ISA {

extern const Bf16Table kBf16Kernels;
const Bf16Table kBf16Kernels = {{
#define SATIN_BF16_KERNEL(name)                                                     \
  {                                                                                 \
    Op::name, &bf16::takes_##name, {                                                \
      &bf16::name, &bf16::name##_scratch, &bf16::name##_packing, &bf16::name##_pack \
    }                                                                               \
  }
    SATIN_BF16_KERNEL(matmul),
    SATIN_BF16_KERNEL(conv2d),
    SATIN_BF16_KERNEL(conv2d_input_grad),
    SATIN_BF16_KERNEL(conv2d_weight_grad),
    SATIN_BF16_KERNEL(concat_linear),
    SATIN_BF16_KERNEL(multi_axis_gmlp),
    SATIN_BF16_KERNEL(multi_axis_gmlp_grad),
    SATIN_BF16_KERNEL(rcab),
    SATIN_BF16_KERNEL(rcab_grad),
#undef SATIN_BF16_KERNEL
}};

}  // namespace satin::cpu::SATIN_ISA
