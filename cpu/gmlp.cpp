// gmlp: a branch of multi_axis_gmlp with nothing around it.  The kernels there see from the number
// of weights what they are given (BranchWeights in multi_axis_gmlp.h), so one set of loops is
// compiled for both; start reading at multi_axis_gmlp.cpp.
#include "tensor/gmlp.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {

void gmlp(const Call& call) { multi_axis_gmlp(call); }
int64_t gmlp_scratch(const Call& call) { return multi_axis_gmlp_scratch(call); }
Packing gmlp_packing(const Call& call) { return multi_axis_gmlp_packing(call); }
void gmlp_pack(const Call& call) { multi_axis_gmlp_pack(call); }

void gmlp_grad(const Call& call) { multi_axis_gmlp_grad(call); }
int64_t gmlp_grad_scratch(const Call& call) { return multi_axis_gmlp_grad_scratch(call); }

}  // namespace satin::cpu::SATIN_ISA
