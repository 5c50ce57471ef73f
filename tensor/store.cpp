#include "tensor/store.h"

#include <vector>

#include "tensor/constants.h"
#include "tensor/program.h"

namespace satin {
namespace {

const Leaf& checked_leaf(const Tensor& t) {
  if (!t || t.node().op != Op::leaf || t.node().leaf->kind == LeafKind::input)
    throw Error(
        "Store: only constants and parameters live here; an input or a computed value belongs to a "
        "Program");
  return *t.node().leaf;
}

}  // namespace

Store::~Store() {
  for (const auto& [node, entry] : entries_) backend_.release(entry.data);
}

void* Store::memory(const NodePtr& leaf) {
  const auto found = entries_.find(leaf.get());
  if (found != entries_.end()) return found->second.data;
  const Tensor t(leaf, 0);
  const Leaf& content = checked_leaf(t);
  void* data = backend_.allocate(t.bytes());
  entries_[leaf.get()] = {leaf, data};
  bytes_ += t.bytes();
  if (content.data.empty()) {
    const std::vector<std::byte> zeros(static_cast<size_t>(t.bytes()));
    backend_.write(data, zeros.data(), t.bytes());
  } else {
    backend_.write(data, content.data.data(), t.bytes());
  }
  return data;
}

void Store::read(const Tensor& parameter, void* host) const {
  const Leaf& leaf = checked_leaf(parameter);
  const auto found = entries_.find(&parameter.node());
  if (found != entries_.end())
    backend_.read(host, found->second.data, parameter.bytes());
  else if (leaf.data.empty())
    std::memset(host, 0, static_cast<size_t>(parameter.bytes()));
  else
    std::memcpy(host, leaf.data.data(), leaf.data.size());
}

void Store::write(const Tensor& parameter, const void* host) {
  checked_leaf(parameter);
  backend_.write(memory(parameter.node_ptr()), host, parameter.bytes());
  changed();
}

Tensor Store::derived(const Tensor& value) {
  Tensor& leaf = by_structure_[structure_of(value)];
  if (!leaf) {
    const ModuleScope scope(value.node());
    leaf = parameter(value.shape(), value.dtype(), cat(value.node().op));
    derived_[&leaf.node()] = {value, leaf};
  }
  return leaf;
}

void Store::refresh(const std::vector<const Node*>& leaves, const Exec& exec) {
  for (const Node* leaf : leaves) {
    Derived& entry = derived_.at(leaf);
    if (entry.version == version_) continue;
    const uint64_t now = version_;
    Program({}, backend_,
            {.alias = {{entry.value, entry.leaf}}, .store = this, .pack = false, .hoist = false})
        .run({.pool = exec.pool, .plain = exec.plain});
    version_ = entry.version = now;  // no parameter of anybody's changed
  }
}

}  // namespace satin
