#include "tensor/constants.h"

#include <algorithm>
#include <unordered_set>

#include "tensor/cost.h"
#include "tensor/rewrite.h"

namespace satin {
namespace {

class Hoist {
 public:
  Hoist(const Tensors& outputs, const std::vector<Alias>& alias) : outputs_(outputs) {
    std::unordered_set<const Node*> updated;
    for (const Alias& a : alias) updated.insert(&a.parameter.node());
    const std::vector<NodePtr> nodes = nodes_of(outputs);
    for (const NodePtr& node : nodes) {
      if (node->op == Op::leaf) {
        if (node->leaf->kind != LeafKind::input && !updated.count(node.get()))
          fixed_.insert(node.get());
      } else if (!is_collective(node->op) &&
                 std::all_of(node->inputs.begin(), node->inputs.end(),
                             [&](const Tensor& x) { return fixed_.count(&x.node()) > 0; })) {
        fixed_.insert(node.get());
      }
    }
    // What is read by something that is computed in every run.
    std::unordered_set<const Node*> roots;
    for (const Tensor& y : outputs) roots.insert(&y.node());
    for (const NodePtr& node : nodes)
      if (!fixed_.count(node.get()) || roots.count(node.get()))
        for (const Tensor& x : node->inputs) read(x);
    for (const Node* root : roots) hoisted_.erase(root);
  }

  Tensors run(const std::function<Tensor(const Tensor&)>& leaf_of) {
    return rewritten(outputs_, [&](const NodePtr& node, const Tensors&) -> Tensors {
      if (!hoisted_.count(node.get())) return {};
      Tensors leaves;
      for (const Tensor& y : outputs_of(node)) leaves.push_back(leaf_of(y));
      return leaves;
    });
  }

 private:
  /// Marks what is computed behind the views that x may be.
  void read(const Tensor& x) {
    const Node* node = &x.node();
    while (fixed_.count(node) && node->op != Op::leaf && info(node->op).kind == OpKind::view)
      node = &node->inputs[0].node();
    if (!fixed_.count(node) || node->op == Op::leaf || info(node->op).kind == OpKind::view) return;
    if (fits(*node)) {
      hoisted_.insert(node);
    } else if (opened_.insert(node).second) {
      for (const Tensor& y : node->inputs) read(y);
    }
  }

  static bool fits(const Node& node) {
    int64_t in = 0, out = 0;
    for (const Tensor& x : node.inputs) in += x.bytes();
    for (const Desc& y : node.outputs)
      out += y.shape.size() * static_cast<int64_t>(size_of(y.dtype));
    // Packed weights may be larger than the weights, and are small beside pictures.
    return node.op == Op::pack_weight || out <= in;
  }

  const Tensors& outputs_;
  std::unordered_set<const Node*> fixed_, hoisted_, opened_;
};

}  // namespace

Tensors hoist_constants(const Tensors& outputs,
                        const std::vector<Alias>& alias,
                        const std::function<Tensor(const Tensor&)>& leaf_of) {
  return Hoist(outputs, alias).run(leaf_of);
}

std::string structure_of(const Tensor& t) {
  const Node& node = t.node();
  std::string key = cat(t.output(), ":");
  if (node.op == Op::leaf) return key + cat(reinterpret_cast<uintptr_t>(&node), ";");
  key += cat(static_cast<int>(node.op), node.packed ? "p" : "", static_cast<int>(node.precision),
             node.outputs[0].shape, node.outputs[0].dtype);
  key.append(reinterpret_cast<const char*>(&node.attrs), sizeof node.attrs);
  for (const Tensor& x : node.inputs) key += structure_of(x);
  return key + ";";
}

}  // namespace satin
