#include "tensor/cost.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "tensor/compose.h"

namespace satin {
namespace {

using Count = int64_t (*)(const Node&);

int64_t none(const Node&) { return 0; }

}  // namespace

/// What the composition adds to the inputs of `node`; what is behind them costs its own nodes.
int64_t macs_of_composition(const Node& node) {
  const auto is_input = [&](const NodePtr& n) {
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](const Tensor& x) { return x.node_ptr() == n; });
  };
  int64_t macs = 0;
  for (const NodePtr& part : nodes_of(composition_of(node), is_input))
    if (!is_input(part)) macs += cost_of(*part).macs;
  return macs;
}

namespace {

constexpr std::array<Count, kOpCount> kCounts = {
#define SATIN_TABLE_own(name)      &cost::name,
#define SATIN_TABLE_moved(name)    &none,
#define SATIN_TABLE_composed(name) &macs_of_composition,
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_TABLE_##cost(name)
#include "tensor/ops.def"
#undef SATIN_OP
};

}  // namespace

Cost cost_of(const Node& node) {
  if (node.op == Op::leaf) return {};
  Cost cost;
  cost.macs = kCounts[static_cast<int>(node.op)](node);
  for (size_t i = 0; i < node.operands(); ++i) cost.bytes += node.inputs[i].bytes();
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!is_spare(node.op, i))
      cost.bytes +=
          node.outputs[i].shape.size() * static_cast<int64_t>(size_of(node.outputs[i].dtype));
  return cost;
}

Cost cost_of(const Tensors& outputs) {
  Cost sum;
  for (const NodePtr& node : nodes_of(outputs)) {
    const Cost c = cost_of(*node);
    sum.macs += c.macs;
    sum.bytes += c.bytes;
  }
  return sum;
}

std::vector<NodePtr> nodes_of(const Tensors& outputs,
                              const std::function<bool(const NodePtr&)>& stop) {
  std::vector<NodePtr> found;
  std::unordered_set<const Node*> seen;
  std::vector<NodePtr> open;
  for (const Tensor& t : outputs) open.push_back(t.node_ptr());
  while (!open.empty()) {
    NodePtr node = std::move(open.back());
    open.pop_back();
    if (!seen.insert(node.get()).second) continue;
    if (!stop || !stop(node))
      for (const Tensor& t : node->inputs) open.push_back(t.node_ptr());
    found.push_back(std::move(node));
  }
  std::sort(found.begin(), found.end(),
            [](const NodePtr& a, const NodePtr& b) { return a->id < b->id; });
  return found;
}

}  // namespace satin
