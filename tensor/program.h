// Program: outputs compiled for a backend, run as often as you like.
//
//   build -> grad -> lower -> pieces -> precision -> pack -> hoist -> linearize -> delay
//   -> recompute -> plan -> run, run, run ...
//
// Everything that can fail fails in the constructor.
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
  bool pack = true;               ///< false: kernels pack weights themselves, run by run
  bool pieces = true;             ///< compute images that are read once by bands of rows
  bool hoist = true;              ///< compute once what no input and no run changes
  bool recompute = true;          ///< compute late or again what would have to be kept for long
  Precision precision = Precision::f32;  ///< of products (tensor/precision.h)
  int64_t max_bytes = 0;  ///< compute more again to stay within this many bytes in all, and
                          ///< refuse what cannot; 0: no limit
};

/// The limit of Options::max_bytes cannot be met.  `needed` is the smallest limit that would do.
class MemoryError : public Error {
 public:
  MemoryError(const std::string& what, int64_t needed_bytes) : Error(what), needed(needed_bytes) {}
  int64_t needed;
};

/// What a Program would run and where its values would lie, without memory for them.
/// Without a backend no weights are packed.
/// The plan may be over max_bytes: then it is the smallest one that was found.
/// errors: impossible aliases throw Error.
Schedule schedule_of(const Tensors& outputs,
                     const Options& options = {},
                     const Backend* backend = nullptr);
Plan plan_of(const Tensors& outputs, const Backend& backend, const Options& options = {});

/// Where an error of a device happened: "in encoder1.gpb0: conv2d of [1,8,8,3] [3,3,3,16] ->
/// [1,8,8,16]: "
std::string place_of(const Node& node);

class Program {
 public:
  /// errors: a plan over max_bytes throws MemoryError; impossible aliases, and a dtype that the
  /// backend does not compute in, throw Error.
  Program(Tensors outputs, const Backend& backend, Options options = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Computes all outputs and updates all aliased parameters.  Allocates nothing, but for the first
  /// run after a parameter was written: then what was hoisted is computed anew.  A backend that
  /// records gets the second run to record, and from then on all of them start as one; not with a
  /// profiler, a communicator or debug_sync.
  /// errors: DeviceError says in which module, at which operation and shapes
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
  /// As write() of an input and read(), without waiting (Backend::send, fetch).
  void send(const Tensor& t, std::span<const float> staged) {
    check_access(t, sizeof(float), static_cast<int64_t>(staged.size()));
    backend_.send(memory(t), staged.data(), t.bytes());
  }
  void fetch(const Tensor& t, std::span<float> staged) const {
    check_access(t, sizeof(float), static_cast<int64_t>(staged.size()));
    backend_.fetch(staged.data(), memory(t), t.bytes());
  }
  void read_bytes(const Tensor& t, void* host) const;

  /// The memory of an input, output or parameter; where the backend's is on the host it may be read
  /// and written in place (and store().changed() called after a parameter was).
  void* memory(const Tensor& t) const;

  const Plan& plan() const { return plan_; }
  Store& store() const { return *store_; }

 private:
  struct Step {
    const Node* node;
    std::vector<View> in;
    std::vector<View> out;
    void* scratch;
    const View* packed;
  };

  static void check_access(const Tensor& t, size_t element, int64_t count);
  void bind();
  void run_steps(const Exec& exec) const;
  void* address(Plan::Place place) const;

  const Backend& backend_;
  Tensors outputs_;
  std::unique_ptr<Store> own_store_;
  Store* store_;
  bool updates_;  ///< runs change parameters
  Plan plan_;
  std::vector<const Node*> hoisted_;  ///< leaves of the Store that this Program reads
  std::vector<void*> persistent_;     ///< by buffer
  std::byte* arena_ = nullptr;
  std::vector<Step> steps_;
  bool loaded_ = false;  ///< a run has been: a device loads its kernels then
  bool asked_ = false;   ///< the backend had its chance to record
  std::unique_ptr<Recording> recording_;
};

}  // namespace satin
