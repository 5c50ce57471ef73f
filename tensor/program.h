// Program: outputs compiled for a backend, run as often as you like.
//
//   build -> grad -> lower -> linearize -> recompute -> plan -> run, run, run ...
//
// Everything that can fail fails in the constructor; run() allocates nothing.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tensor/backend.h"
#include "tensor/plan.h"
#include "tensor/store.h"

namespace satin {

struct Options {
  std::vector<Alias> alias = {};  ///< parameters that every run updates
  Store* store = nullptr;         ///< shared parameters; null: the Program has its own
  bool fuse = true;               ///< false: run compositions instead of fused kernels
  bool recompute = true;          ///< compute cheap values again rather than keep them for long
  int64_t max_bytes = 0;          ///< refuse a plan over this many bytes in all; 0: no limit
};

/// The limit of Options::max_bytes cannot be met.  `needed` is the smallest limit that would do.
class MemoryError : public Error {
 public:
  MemoryError(const std::string& what, int64_t needed_bytes) : Error(what), needed(needed_bytes) {}
  int64_t needed;
};

/// What a Program would run and where its values would lie, without memory for them.
/// errors: impossible aliases throw Error.
Schedule schedule_of(const Tensors& outputs, const Options& options = {});
Plan plan_of(const Tensors& outputs, const Backend& backend, const Options& options = {});

class Program {
 public:
  /// errors: a plan over max_bytes throws MemoryError; impossible aliases throw Error.
  Program(Tensors outputs, const Backend& backend, Options options = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Computes all outputs and updates all aliased parameters.
  void run(const Exec& exec = {});

  /// Copies a whole value in: an input (before every run) or a parameter.  T must match the dtype.
  template <class T>
  void write(const Tensor& t, std::span<const T> values) {
    check_access(t, sizeof(T), static_cast<int64_t>(values.size()));
    write_bytes(t, values.data());
  }
  /// Copies a whole value out: an output (after a run), a parameter or an input.
  template <class T>
  std::vector<T> read(const Tensor& t) const {
    check_access(t, sizeof(T), t.size());
    std::vector<T> values(static_cast<size_t>(t.size()));
    read_bytes(t, values.data());
    return values;
  }
  void write_bytes(const Tensor& t, const void* host);
  void read_bytes(const Tensor& t, void* host) const;

  /// The memory of an input, output or parameter; on the CPU it may be read and written in place.
  void* memory(const Tensor& t) const;

  const Plan& plan() const { return plan_; }
  Store& store() const { return *store_; }

 private:
  struct Step {
    const Node* node;
    std::vector<View> in;
    std::vector<View> out;
    void* scratch;
  };

  static void check_access(const Tensor& t, size_t element, int64_t count);
  void bind();
  void* address(Plan::Place place) const;

  const Backend& backend_;
  Tensors outputs_;
  std::unique_ptr<Store> own_store_;
  Store* store_;
  Plan plan_;
  std::vector<void*> persistent_;  ///< by buffer
  std::byte* arena_ = nullptr;
  std::vector<Step> steps_;
};

}  // namespace satin
