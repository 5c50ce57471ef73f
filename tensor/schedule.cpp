#include "tensor/schedule.h"

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>

#include "tensor/cost.h"

namespace satin {
namespace {

/// Successor edges and counts of unscheduled predecessors, by position in the list of nodes.
struct Order {
  std::vector<std::vector<int>> next;
  std::vector<int> waiting;

  explicit Order(size_t n) : next(n), waiting(n, 0) {}
  void edge(int from, int to) {
    next[from].push_back(to);
    ++waiting[to];
  }
};

/// Kahn's algorithm, always taking the oldest node that is ready: the order of building wherever
/// the edges allow it.
std::vector<int> sorted(Order order) {
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t i = 0; i < order.waiting.size(); ++i)
    if (order.waiting[i] == 0) ready.push(static_cast<int>(i));
  std::vector<int> result;
  while (!ready.empty()) {
    const int i = ready.top();
    ready.pop();
    result.push_back(i);
    for (const int j : order.next[i])
      if (--order.waiting[j] == 0) ready.push(j);
  }
  return result;
}

/// The nodes that read `parameter`, through views too: what shares its memory.
void add_readers(const std::vector<NodePtr>& nodes,
                 const Node* parameter,
                 std::vector<int>& readers) {
  std::set<const Node*> sharing = {parameter};
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = *nodes[i];
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(),
                                   [&](const Tensor& x) { return sharing.count(&x.node()) > 0; });
    if (!reads) continue;
    readers.push_back(static_cast<int>(i));
    if (info(node.op).kind == OpKind::view) sharing.insert(&node);
  }
}

}  // namespace

Schedule linearize(const Tensors& outputs, const std::vector<Alias>& alias) {
  Tensors roots = outputs;
  for (const Alias& a : alias) {
    if (a.parameter.node().op != Op::leaf || a.parameter.node().leaf->kind != LeafKind::parameter)
      throw Error("alias: the second member must be a parameter()");
    if (a.updated.shape() != a.parameter.shape() || a.updated.dtype() != a.parameter.dtype())
      throw Error(cat("alias: ", a.parameter.node().leaf->name, " is ", a.parameter.shape(), " of ",
                      a.parameter.dtype(), ", its update is ", a.updated.shape(), " of ",
                      a.updated.dtype()));
    for (const Alias& other : alias) {
      if (&other != &a && other.parameter == a.parameter)
        throw Error(cat("alias: ", a.parameter.node().leaf->name, " is updated twice"));
      if (&other != &a && other.parameter == a.updated)
        throw Error(cat("alias: the update of ", a.parameter.node().leaf->name,
                        " is a parameter that this run updates too; multiply it by 1 to copy it"));
    }
    roots.push_back(a.updated);
    roots.push_back(a.parameter);
  }
  const std::vector<NodePtr> nodes = nodes_of(roots);
  std::unordered_map<const Node*, int> position;
  for (size_t i = 0; i < nodes.size(); ++i) position[nodes[i].get()] = static_cast<int>(i);

  Order order(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const Tensor& x : nodes[i]->inputs)
      order.edge(position.at(&x.node()), static_cast<int>(i));
  for (const Alias& a : alias) {
    if (a.updated.node().op == Op::leaf) continue;  // copied after the last step
    const int writer = position.at(&a.updated.node());
    std::vector<int> readers;
    add_readers(nodes, &a.parameter.node(), readers);
    for (const int reader : readers)
      if (reader != writer) order.edge(reader, writer);
  }
  const std::vector<int> sequence = sorted(std::move(order));
  if (sequence.size() != nodes.size())
    throw Error(
        "alias: an updated value is needed by something that reads the old one; read the parameter "
        "from the updated value, or return the update as an output instead");

  Schedule schedule;
  std::unordered_map<const Node*, int> first_value;
  for (const int i : sequence) {
    const NodePtr& node = nodes[i];
    first_value[node.get()] = static_cast<int>(schedule.values.size());
    Schedule::Step step{node, {}, {}};
    for (const Tensor& x : node->inputs) step.in.push_back(first_value.at(&x.node()) + x.output());
    for (const Desc& y : node->outputs) {
      step.out.push_back(static_cast<int>(schedule.values.size()));
      const int64_t bytes = y.shape.size() * static_cast<int64_t>(size_of(y.dtype));
      schedule.values.push_back({y.shape, y.dtype, bytes, node->op == Op::leaf ? node : nullptr});
    }
    if (node->op != Op::leaf) schedule.steps.push_back(std::move(step));
  }
  const auto value = [&](const Tensor& t) { return first_value.at(&t.node()) + t.output(); };
  for (const Tensor& y : outputs) schedule.outputs.push_back(value(y));
  for (const Alias& a : alias) schedule.alias.emplace_back(value(a.updated), value(a.parameter));
  return schedule;
}

}  // namespace satin
