#include "tensor/pack_weight.h"

#include <unordered_map>
#include <unordered_set>

#include "tensor/cost.h"

namespace satin {
namespace {

Packing packing_of(const Node& node, const Backend& backend) {
  std::vector<View> in, out;
  for (const Tensor& x : node.inputs) in.push_back({nullptr, x.shape(), x.dtype()});
  for (const Desc& y : node.outputs) out.push_back({nullptr, y.shape, y.dtype});
  return backend.packing({node.op, &node.attrs, in, out, nullptr, nullptr});
}

}  // namespace

Tensor pack_weight(const Tensors& weights, PackWeightAttrs attrs) {
  return make_tensor(Op::pack_weight, attrs, weights, {attrs.elements});
}

Tensors pack_weights(const Tensors& outputs, const Backend& backend) {
  std::unordered_set<const Node*> given;  // what depends on an input
  std::unordered_map<NodePtr, NodePtr> replaced;
  for (const NodePtr& node : nodes_of(outputs)) {
    replaced[node] = node;
    if (node->op == Op::leaf) {
      if (node->leaf->kind == LeafKind::input) given.insert(node.get());
      continue;
    }
    bool changed = false;
    Tensors inputs;
    for (const Tensor& x : node->inputs) {
      if (given.count(&x.node())) given.insert(node.get());
      inputs.emplace_back(replaced.at(x.node_ptr()), x.output());
      changed |= inputs.back() != x;
    }
    const Packing packing = packing_of(*node, backend);
    Tensors weights;
    bool fixed = packing.elements > 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!packing.reads(i)) continue;
      weights.push_back(inputs[i]);
      fixed = fixed && !given.count(&node->inputs[i].node());
    }
    if (fixed) {
      const ModuleScope scope(*node);
      inputs.push_back(
          pack_weight(weights, {static_cast<int>(node->op), packing.form, packing.elements}));
      replaced[node] = with_packed(*node, std::move(inputs));
    } else if (changed) {
      replaced[node] = with_inputs(*node, std::move(inputs));
    }
  }
  Tensors packed;
  for (const Tensor& y : outputs) packed.emplace_back(replaced.at(y.node_ptr()), y.output());
  return packed;
}

}  // namespace satin
