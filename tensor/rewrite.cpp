#include "tensor/rewrite.h"

#include <unordered_map>

#include "tensor/cost.h"

namespace satin {

Tensors rewritten(const Tensors& outputs, const Rewrite& rewrite) {
  std::unordered_map<NodePtr, Tensors> now;
  const auto look_up = [&](const Tensor& t) {
    return now.at(t.node_ptr())[static_cast<size_t>(t.output())];
  };
  bool changed = false;
  for (const NodePtr& node : nodes_of(outputs)) {
    Tensors inputs;
    for (const Tensor& x : node->inputs) inputs.push_back(look_up(x));
    Tensors values = rewrite(node, inputs);
    if (!values.empty())
      changed = true;
    else
      values = outputs_of(changed && node->op != Op::leaf ? with_inputs(*node, inputs) : node);
    now[node] = std::move(values);
  }
  Tensors result;
  for (const Tensor& y : outputs) result.push_back(look_up(y));
  return result;
}

}  // namespace satin
