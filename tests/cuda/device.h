// The simulated GPU as a base for tests whose device goes wrong at one operation.
#pragma once

#include "cuda/cuda.h"
#include "tensor/backend.h"

namespace satin::testing {

/// Passes all on to the simulated device.
class SimulatedDevice : public Backend {
 public:
  std::string_view name() const override { return device_.name(); }
  bool has(Op op) const override { return device_.has(op); }
  int64_t scratch(const Call& call) const override { return device_.scratch(call); }
  Packing packing(const Call& call) const override { return device_.packing(call); }
  void run(const Call& call) const override { device_.run(call); }
  bool on_host() const override { return false; }
  void* allocate(int64_t bytes) const override { return device_.allocate(bytes); }
  void release(void* memory) const override { device_.release(memory); }
  void write(void* to, const void* from, int64_t n) const override { device_.write(to, from, n); }
  void read(void* to, const void* from, int64_t n) const override { device_.read(to, from, n); }

 private:
  const Backend& device_ = cuda::backend();
};

}  // namespace satin::testing
