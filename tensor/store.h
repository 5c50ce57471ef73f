// Store: the memory of values that outlive a run.
#pragma once

#include <unordered_map>

#include "tensor/backend.h"

namespace satin {

/// Holds constants and parameters on one backend.  Programs that share a Store share their
/// parameters: a training step, its validation pass at another size, the checkpoint writer.
class Store {
 public:
  explicit Store(const Backend& backend) : backend_(backend) {}
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The memory of a constant or parameter; allocated and initialized when first asked for.
  void* memory(const NodePtr& leaf);

  /// Copies all elements of a parameter out of and into the Store.
  void read(const Tensor& parameter, void* host) const;
  void write(const Tensor& parameter, const void* host);

  int64_t bytes() const { return bytes_; }
  const Backend& backend() const { return backend_; }

 private:
  struct Entry {
    NodePtr leaf;
    void* data;
  };
  const Backend& backend_;
  std::unordered_map<const Node*, Entry> entries_;
  int64_t bytes_ = 0;
};

}  // namespace satin
