#include "tensor/compose.h"

#include <array>

namespace satin {
namespace {

using Compose = Tensors (*)(const Node&);

constexpr std::array<Compose, kOpCount> kCompositions = {
#define SATIN_TABLE_primitive(name) nullptr,
#define SATIN_TABLE_pointwise(name) nullptr,
#define SATIN_TABLE_view(name)      nullptr,
#define SATIN_TABLE_composite(name) &compose::name,
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_TABLE_##kind(name)
#include "tensor/ops.def"
#undef SATIN_OP
};

}  // namespace

Tensors composition_of(const Node& node) {
  const Compose compose = node.op == Op::leaf ? nullptr : kCompositions[static_cast<int>(node.op)];
  if (!compose) fail(node.op, "has no composition");
  return compose(node);
}

}  // namespace satin
