// lower(): from the graph as written to the graph as run.
#include <unordered_map>

#include "tensor/broadcast.h"
#include "tensor/compose.h"
#include "tensor/cost.h"
#include "tensor/full.h"
#include "tensor/schedule.h"

namespace satin {
namespace {

/// The new values of every old node.  The map holds the old nodes too: compositions die while their
/// neighbours are lowered, and a node built at the address of a dead one would be taken for it.
using Replaced = std::unordered_map<NodePtr, Tensors>;

Tensor look_up(const Replaced& replaced, const Tensor& t) {
  return replaced.at(t.node_ptr())[t.output()];
}

/// Element-wise kernels follow NumPy's broadcasting, so what broadcast_to would copy is read in
/// place.
bool reads_broadcast(const Node& node) {
  return info(node.op).kind == OpKind::pointwise && node.inputs.size() >= 2 &&
         node.op != Op::adam_update;
}

Tensor without_broadcast(const Tensor& x) {
  if (x.node().op == Op::broadcast_to) return x.node().inputs[0];
  if (x.node().op == Op::full && x.rank() > 0)
    return full({}, x.node().as<FullAttrs>().value, x.dtype());
  return x;
}

bool expands(const Node& node, bool fuse, const Backend* backend) {
  const OpInfo& row = info(node.op);
  return row.kind == OpKind::composite &&
         (!fuse || !(backend ? backend->has(node.op) : row.has_kernel));
}

void lower_into(const Tensors& outputs, bool fuse, const Backend* backend, Replaced& replaced) {
  for (const NodePtr& node :
       nodes_of(outputs, [&](const NodePtr& n) { return replaced.count(n) > 0; })) {
    if (replaced.count(node)) continue;
    if (node->op == Op::leaf) {
      replaced[node] = outputs_of(node);
      continue;
    }
    bool changed = false;
    Tensors inputs;
    for (const Tensor& x : node->inputs) {
      Tensor y = look_up(replaced, x);
      if (reads_broadcast(*node)) y = without_broadcast(y);
      changed |= y != x;
      inputs.push_back(std::move(y));
    }
    if (expands(*node, fuse, backend)) {
      // The composition is built from the old inputs, which are all replaced already, and may
      // itself contain composites.
      const ModuleScope scope(*node);
      const Tensors composed = composition_of(*node);
      lower_into(composed, fuse, backend, replaced);
      Tensors values;
      for (const Tensor& y : composed) values.push_back(look_up(replaced, y));
      replaced[node] = std::move(values);
      continue;
    }
    replaced[node] = outputs_of(changed ? with_inputs(*node, std::move(inputs)) : node);
  }
}

}  // namespace

Tensors lower(const Tensors& outputs, bool fuse, const Backend* backend) {
  Replaced replaced;
  lower_into(outputs, fuse, backend, replaced);
  Tensors lowered;
  for (const Tensor& y : outputs) lowered.push_back(look_up(replaced, y));
  return lowered;
}

}  // namespace satin
