#include "tensor/op.h"

#include <array>
#include <ostream>

namespace satin {
namespace {

constexpr bool dtypes_any = true, dtypes_floats = false;
constexpr bool kernel_plain = true, kernel_scratch = true, kernel_packed = true,
               kernel_none = false;
constexpr bool scratch_plain = false, scratch_scratch = true, scratch_packed = true,
               scratch_none = false;

constexpr std::array<OpInfo, kOpCount> kOps = {{
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  OpInfo{#name,                                                                      \
         #stem,                                                                      \
         in,                                                                         \
         out,                                                                        \
         dtypes_##dtypes,                                                            \
         OpKind::kind,                                                               \
         RuleKind::rule,                                                             \
         CostKind::cost,                                                             \
         kernel_##kernel,                                                            \
         scratch_##kernel},
#include "tensor/ops.def"
#undef SATIN_OP
}};

constexpr OpInfo kLeaf = {
    "leaf",          "",    exactly(0), 1, true, OpKind::primitive, RuleKind::none,
    CostKind::moved, false, false};

}  // namespace

const OpInfo& info(Op op) { return op == Op::leaf ? kLeaf : kOps[static_cast<int>(op)]; }
std::string_view name_of(Op op) { return info(op).name; }
std::span<const OpInfo> all_ops() { return kOps; }

std::ostream& operator<<(std::ostream& out, Op op) { return out << name_of(op); }

}  // namespace satin
