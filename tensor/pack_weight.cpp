#include "tensor/pack_weight.h"

#include <algorithm>
#include <unordered_set>

#include "tensor/rewrite.h"

namespace satin {
namespace {

Packing packing_of(const Node& node, const Backend& backend) {
  std::vector<View> in, out;
  for (const Tensor& x : node.inputs) in.push_back({nullptr, x.shape(), x.dtype()});
  for (const Desc& y : node.outputs) out.push_back({nullptr, y.shape, y.dtype});
  return backend.packing({node.op, &node.attrs, in, out, nullptr, nullptr, nullptr, node.precision});
}

}  // namespace

Tensor pack_weight(const Tensors& weights, PackWeightAttrs attrs) {
  return make_tensor(Op::pack_weight, attrs, weights, {attrs.elements});
}

Tensors pack_weights(const Tensors& outputs, const Backend& backend) {
  std::unordered_set<const Node*> given;  // what depends on an input
  return rewritten(outputs, [&](const NodePtr& node, const Tensors& inputs) -> Tensors {
    const bool is_input = node->op == Op::leaf && node->leaf->kind == LeafKind::input;
    if (is_input || std::any_of(node->inputs.begin(), node->inputs.end(),
                                [&](const Tensor& x) { return given.count(&x.node()) > 0; }))
      given.insert(node.get());
    if (node->op == Op::leaf) return {};
    const Packing packing = packing_of(*node, backend);
    if (packing.elements == 0) return {};
    Tensors weights;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!packing.reads(i)) continue;
      if (given.count(&node->inputs[i].node())) return {};
      weights.push_back(inputs[i]);
    }
    const ModuleScope scope(*node);
    Tensors more = inputs;
    more.push_back(pack_weight(
        weights, {static_cast<int>(node->op), packing.form, packing.elements, packing.bf16}));
    return outputs_of(with_packed(*node, std::move(more)));
  });
}

}  // namespace satin
