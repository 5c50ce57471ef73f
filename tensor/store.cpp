#include "tensor/store.h"

#include <algorithm>
#include <vector>

#include "tensor/constants.h"
#include "tensor/program.h"

namespace satin {
namespace {

constexpr int64_t kZeros = 1 << 16;  // bytes written at a time

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
  auto* data = static_cast<std::byte*>(place(leaf));
  const std::vector<std::byte>& content = leaf->leaf->data;
  const int64_t bytes = Tensor(leaf, 0).bytes();
  if (!content.empty()) {
    backend_.write(data, content.data(), bytes);
  } else if (!derived_.count(leaf.get())) {  // which is computed before anybody reads it
    const std::vector<std::byte> zeros(static_cast<size_t>(std::min(bytes, kZeros)));
    for (int64_t at = 0; at < bytes; at += kZeros)
      backend_.write(data + at, zeros.data(), std::min(bytes - at, kZeros));
  }
  return data;
}

void* Store::place(const NodePtr& leaf) {
  const Tensor t(leaf, 0);
  checked_leaf(t);
  void* data = backend_.allocate(t.bytes());
  entries_[leaf.get()] = {leaf, data};
  bytes_ += t.bytes();
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
  const auto found = entries_.find(&parameter.node());
  void* data = found != entries_.end() ? found->second.data : place(parameter.node_ptr());
  backend_.write(data, host, parameter.bytes());
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
