// Op: the operations of tensor/ops.def as an enum, and what the table says of each (OpInfo).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <string_view>

namespace satin {

enum class Op : uint8_t {
#define SATIN_OP(name, ...) name,
#include "tensor/ops.def"
#undef SATIN_OP
  leaf,  ///< not an operation: a constant, parameter or input
};

inline constexpr int kOpCount = static_cast<int>(Op::leaf);

enum class OpKind : uint8_t { primitive, pointwise, view, composite };
enum class RuleKind : uint8_t { own, composed, none };
enum class CostKind : uint8_t { own, moved, composed };

struct Arity {
  int min;
  int max;
};
constexpr Arity exactly(int n) { return {n, n}; }
constexpr Arity between(int min, int max) { return {min, max}; }
constexpr Arity at_least(int n) { return {n, 1 << 20}; }

/// A row of the table.
struct OpInfo {
  std::string_view name;
  std::string_view stem;
  Arity inputs;
  int outputs;
  bool storage_dtypes;  ///< bf16 and f16 are legal too
  OpKind kind;
  RuleKind rule;
  CostKind cost;
  bool has_kernel;
  bool has_scratch;
};

const OpInfo& info(Op op);
std::string_view name_of(Op op);
/// Whether processes meet in it: never computed twice, nor apart from the run.
constexpr bool is_collective(Op op) { return op == Op::all_reduce; }
/// Outputs that are computed only where something reads them; their views are null otherwise.
constexpr bool is_spare(Op op, size_t output) {
  return output == 1 && (op == Op::gmlp || op == Op::multi_axis_gmlp);
}
std::span<const OpInfo> all_ops();
std::ostream& operator<<(std::ostream& out, Op op);

}  // namespace satin
