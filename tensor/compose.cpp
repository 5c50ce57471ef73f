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

Tensors make_flat_grad(
    Op op, Attrs attrs, const Tensor& x, Tensors weights, const Tensor& dy, const Tensor& kept) {
  if (!dy || dy.shape() != x.shape()) fail(op, cat("dy must have the shape of x, ", x.shape()));
  int64_t elements = 0;
  for (const Tensor& w : weights) elements += w.size();
  weights.insert(weights.begin(), x);
  if (kept) weights.push_back(kept);
  weights.push_back(dy);
  return outputs_of(
      make_node(op, attrs, std::move(weights), {{x.shape(), x.dtype()}, {{elements}, x.dtype()}}));
}

}  // namespace satin
