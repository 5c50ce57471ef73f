// Store: the memory of values that outlive a run.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

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

  /// A leaf for a value that follows from constants and parameters alone: Programs of the same
  /// model share it, whatever the size of their pictures.
  Tensor derived(const Tensor& value);

  /// Computes those of these derived leaves that are older than the last change of a parameter.
  void refresh(const std::vector<const Node*>& leaves, const Exec& exec);
  /// A parameter was written: derived values are out of date.
  void changed() { ++version_; }

  int64_t bytes() const { return bytes_; }
  const Backend& backend() const { return backend_; }

 private:
  struct Entry {
    NodePtr leaf;
    void* data;
  };
  struct Derived {
    Tensor value, leaf;
    uint64_t version = 0;  ///< when it was computed; 0: never
  };
  /// Memory for a leaf that has none yet, not initialized.
  void* place(const NodePtr& leaf);

  const Backend& backend_;
  std::unordered_map<const Node*, Entry> entries_;
  std::unordered_map<const Node*, Derived> derived_;      ///< by leaf
  std::unordered_map<std::string, Tensor> by_structure_;  ///< leaves
  uint64_t version_ = 1;
  int64_t bytes_ = 0;
};

}  // namespace satin
