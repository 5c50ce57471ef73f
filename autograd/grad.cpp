// The whole of reverse mode: walk the nodes from y back, newest first; when a node is reached all
// its readers have been, so its cotangents are complete and its rule can run.
#include "autograd/grad.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/cost.h"
#include "tensor/full.h"

namespace satin {
namespace {

enum class AtWrt { go_through, stop };

/// The rule of a composite that brings none: differentiate its composition, the inputs taken as
/// independent even where one was computed from another.
Tensors differentiate_composition(const NodePtr& node, const Tensors& dy) {
  Tensors dx = vjp_of(composition_of(*node), dy, node->inputs);
  for (size_t i = 0; i < dx.size(); ++i) {
    const auto before = node->inputs.begin() + static_cast<int64_t>(i);
    // An input given twice: its whole cotangent is counted once.
    if (is_zero(dx[i]) || std::find(node->inputs.begin(), before, node->inputs[i]) != before)
      dx[i] = {};
  }
  return dx;
}

Tensors no_gradient(const NodePtr& node, const Tensors&) { fail(node->op, "has no derivative"); }

constexpr std::array<vjp::Rule, kOpCount> kRules = {
#define SATIN_RULE_own(name)      &vjp::name,
#define SATIN_RULE_composed(name) &differentiate_composition,
#define SATIN_RULE_none(name)     &no_gradient,
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_RULE_##rule(name)
#include "tensor/ops.def"
#undef SATIN_OP
};

Tensors backward(const Tensors& y, const Tensors& dy, const Tensors& wrt, AtWrt at_wrt) {
  std::unordered_set<const Node*> ends, on_path;  // on_path: depends on wrt
  for (const Tensor& x : wrt) ends.insert(&x.node());
  const std::vector<NodePtr> nodes = nodes_of(
      y, [&](const NodePtr& n) { return at_wrt == AtWrt::stop && ends.count(n.get()) > 0; });
  for (const NodePtr& node : nodes) {
    const bool reads_path =
        std::any_of(node->inputs.begin(), node->inputs.end(),
                    [&](const Tensor& x) { return on_path.count(&x.node()) > 0; });
    if (reads_path || ends.count(node.get())) on_path.insert(node.get());
  }

  std::unordered_map<const Node*, Tensors> cotangents;
  const auto cotangent = [&](const Tensor& x) -> Tensor& {
    Tensors& all = cotangents[&x.node()];
    all.resize(x.node().outputs.size());
    return all[x.output()];
  };
  const auto accumulate = [&](const Tensor& x, const Tensor& dx) {
    Tensor& sum = cotangent(x);
    sum = sum ? add(sum, dx) : dx;
  };
  for (size_t k = 0; k < y.size(); ++k) accumulate(y[k], dy[k]);

  for (size_t i = nodes.size(); i-- > 0;) {
    const NodePtr& node = nodes[i];
    if (node->op == Op::leaf || !on_path.count(node.get()) || !cotangents.count(node.get()))
      continue;
    if (at_wrt == AtWrt::stop && ends.count(node.get())) continue;
    Tensors d = cotangents[node.get()];
    for (size_t k = 0; k < d.size(); ++k)
      if (!d[k]) d[k] = full(node->outputs[k].shape, 0.0, node->outputs[k].dtype);
    const ModuleScope scope(*node);
    const Tensors dx = kRules[static_cast<int>(node->op)](node, d);
    for (size_t k = 0; k < node->inputs.size(); ++k)
      if (dx[k] && on_path.count(&node->inputs[k].node())) accumulate(node->inputs[k], dx[k]);
  }

  Tensors result;
  for (const Tensor& x : wrt) {
    const Tensor& d = cotangent(x);
    result.push_back(d ? d : full(x.shape(), 0.0, x.dtype()));
  }
  return result;
}

}  // namespace

Tensors grad(const Tensor& y, const Tensors& wrt, const Tensor& dy) {
  if (!dy && y.size() != 1)
    throw Error(cat("grad: y is ", y.shape(), "; a y of many elements needs a dy of its shape"));
  if (dy && (dy.shape() != y.shape() || dy.dtype() != y.dtype()))
    throw Error(
        cat("grad: y is ", y.shape(), " ", y.dtype(), ", dy is ", dy.shape(), " ", dy.dtype()));
  return backward({y}, {dy ? dy : full(y.shape(), 1.0, y.dtype())}, wrt, AtWrt::go_through);
}

bool is_zero(const Tensor& dy) {
  return dy.node().op == Op::full && dy.node().as<FullAttrs>().value == 0;
}

Tensors vjp_of(const Tensors& y, const Tensors& dy, const Tensors& x) {
  return backward(y, dy, x, AtWrt::stop);
}

}  // namespace satin
