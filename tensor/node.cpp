#include "tensor/node.h"

#include <atomic>

namespace satin {
namespace {

thread_local std::shared_ptr<const std::string> t_module = std::make_shared<const std::string>();

uint64_t next_id() {
  static std::atomic<uint64_t> counter{1};
  return counter.fetch_add(1, std::memory_order_relaxed);
}

void check_dtypes(Op op, const Tensors& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const DType t = inputs[i].dtype();
    if (!info(op).storage_dtypes && t != DType::f32 && t != DType::f64)
      fail(op, cat("input ", i, " is ", t, "; it takes f32 or f64: cast it first"));
    if (t != inputs[0].dtype())
      fail(op,
           cat("input 0 is ", inputs[0].dtype(), ", input ", i, " is ", t, ": cast one of them"));
  }
}

Tensor make_leaf(
    LeafKind kind, const Shape& shape, DType dtype, std::string name, std::vector<std::byte> data) {
  auto node = std::make_shared<Node>();
  node->id = next_id();
  node->outputs = {{shape, dtype}};
  node->module = t_module;
  node->leaf = std::make_unique<const Leaf>(Leaf{kind, std::move(name), std::move(data)});
  return {node, 0};
}

template <class To, class Convert>
std::vector<std::byte> bytes_of(const std::vector<double>& values, Convert convert) {
  std::vector<std::byte> bytes(values.size() * sizeof(To));
  for (size_t i = 0; i < values.size(); ++i) {
    const To x = convert(values[i]);
    std::memcpy(&bytes[i * sizeof(To)], &x, sizeof(To));
  }
  return bytes;
}

std::shared_ptr<Node> copy_of(const Node& node, Tensors inputs, bool packed) {
  auto copy = std::make_shared<Node>();
  copy->id = next_id();
  copy->op = node.op;
  copy->attrs = node.attrs;
  copy->inputs = std::move(inputs);
  copy->outputs = node.outputs;
  copy->packed = packed;
  copy->precision = node.precision;
  copy->module = node.module;
  return copy;
}

}  // namespace

const Node& Tensor::node() const {
  if (!node_)
    throw Error(cat(t_module->empty() ? "" : cat("in ", *t_module, ": "),
                    "an empty Tensor where a value is needed"));
  return *node_;
}
const Shape& Tensor::shape() const { return node().outputs[output_].shape; }
DType Tensor::dtype() const { return node().outputs[output_].dtype; }

Node::~Node() {
  // A training graph is a chain of thousands of nodes; the default destructor would recurse through
  // it.  The outermost destructor of a thread instead drains a list that the inner ones fill.
  thread_local std::vector<NodePtr>* draining = nullptr;
  if (draining) {
    for (Tensor& t : inputs)
      if (t) draining->push_back(t.node_ptr());
    return;
  }
  std::vector<NodePtr> list;
  draining = &list;
  for (Tensor& t : inputs)
    if (t) list.push_back(t.node_ptr());
  inputs.clear();
  while (!list.empty()) {
    const NodePtr last = std::move(list.back());
    list.pop_back();
  }
  draining = nullptr;
}

ModuleScope::ModuleScope(const std::string& name) : outer_(t_module) {
  t_module = std::make_shared<const std::string>(outer_->empty() ? name : *outer_ + "." + name);
}
ModuleScope::ModuleScope(const Node& node) : outer_(t_module) { t_module = node.module; }
ModuleScope::~ModuleScope() { t_module = outer_; }

const std::string& current_module() { return *t_module; }

void fail(Op op, const std::string& sentence) {
  const std::string where = t_module->empty() ? "" : cat("in ", *t_module, ": ");
  throw Error(cat(where, op, ": ", sentence));
}

NodePtr make_node(Op op, const Attrs& attrs, Tensors inputs, std::vector<Desc> outputs) {
  const Arity arity = info(op).inputs;
  const int n = static_cast<int>(inputs.size());
  if (n < arity.min || n > arity.max)
    fail(op, cat("got ", n, " inputs, takes ", arity.min, arity.max > arity.min ? " or more" : ""));
  for (int i = 0; i < n; ++i)
    if (!inputs[i]) fail(op, cat("input ", i, " is an empty Tensor"));
  check_dtypes(op, inputs);
  auto node = std::make_shared<Node>();
  node->id = next_id();
  node->op = op;
  node->attrs = attrs;
  node->inputs = std::move(inputs);
  node->outputs = std::move(outputs);
  node->module = t_module;
  return node;
}

NodePtr with_inputs(const Node& node, Tensors inputs) {
  return copy_of(node, std::move(inputs), node.packed);
}

NodePtr with_packed(const Node& node, Tensors inputs) {
  return copy_of(node, std::move(inputs), true);
}

NodePtr with_precision(const Node& node, Tensors inputs, Precision precision) {
  const std::shared_ptr<Node> copy = copy_of(node, std::move(inputs), node.packed);
  copy->precision = precision;
  return copy;
}

Tensors outputs_of(const NodePtr& node) {
  Tensors out;
  for (size_t i = 0; i < node->outputs.size(); ++i) out.emplace_back(node, static_cast<int>(i));
  return out;
}

Tensor input(const Shape& shape, DType dtype, std::string name) {
  return make_leaf(LeafKind::input, shape, dtype, std::move(name), {});
}

Tensor parameter(const Shape& shape,
                 DType dtype,
                 std::string name,
                 std::vector<std::byte> initial) {
  if (!initial.empty() && initial.size() != static_cast<size_t>(shape.size()) * size_of(dtype))
    throw Error(cat("parameter ", name, ": ", initial.size(), " bytes given, ", shape, " of ",
                    dtype, " needs ", static_cast<size_t>(shape.size()) * size_of(dtype)));
  return make_leaf(LeafKind::parameter, shape, dtype, std::move(name), std::move(initial));
}

Tensor constant(const std::vector<double>& values, const Shape& shape, DType dtype) {
  if (static_cast<int64_t>(values.size()) != shape.size())
    throw Error(cat("constant: ", values.size(), " values for shape ", shape));
  std::vector<std::byte> data;
  switch (dtype) {
    case DType::f32:
      data = bytes_of<float>(values, [](double x) { return static_cast<float>(x); });
      break;
    case DType::f64:
      data = bytes_of<double>(values, [](double x) { return x; });
      break;
    case DType::bf16:
      data = bytes_of<Bf16>(values, [](double x) { return to_bf16(to_odd(x)); });
      break;
    case DType::f16:
      data = bytes_of<F16>(values, [](double x) { return to_f16(to_odd(x)); });
      break;
  }
  return make_leaf(LeafKind::constant, shape, dtype, "", std::move(data));
}

}  // namespace satin
