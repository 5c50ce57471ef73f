#include "cuda/cuda.h"

#include <array>
#include <cstring>

#include "cuda/kernel.h"

namespace satin::cuda {
namespace {

struct Kernel {
  void (*run)(const Call& call);  ///< null: the row runs as its composition
  int64_t (*scratch)(const Call& call) = nullptr;
};

constexpr std::array<Kernel, kOpCount> kKernels = {{
#define SATIN_CUDA_plain(name)   {&name},
#define SATIN_CUDA_scratch(name) {&name, &name##_scratch},
#define SATIN_CUDA_none(name)    {nullptr},
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_CUDA_##cuda(name)
#include "tensor/ops.def"
#undef SATIN_OP
}};

const Kernel& kernel_of(Op op) { return kKernels[static_cast<size_t>(op)]; }

class SimulatedBackend final : public Backend {
 public:
  std::string_view name() const override { return "cuda (simulated)"; }
  bool has(Op op) const override { return kernel_of(op).run != nullptr; }
  bool computes(DType t) const override { return t == DType::f32; }
  int64_t scratch(const Call& call) const override {
    const Kernel& kernel = kernel_of(call.op);
    return kernel.scratch ? kernel.scratch(call) : 0;
  }
  Packing packing(const Call&) const override { return {}; }
  void run(const Call& call) const override { kernel_of(call.op).run(call); }

  void* allocate(int64_t bytes) const override {
    return sim::allocate(static_cast<size_t>(bytes > 0 ? bytes : 1));
  }
  void release(void* memory) const override { sim::release(memory); }
  void write(void* to, const void* host, int64_t bytes) const override {
    if (bytes > 0) std::memcpy(to, host, static_cast<size_t>(bytes));
  }
  void read(void* host, const void* from, int64_t bytes) const override {
    if (bytes > 0) std::memcpy(host, from, static_cast<size_t>(bytes));
  }
};

}  // namespace

const Backend& backend() {
  static const SimulatedBackend kBackend;
  return kBackend;
}

}  // namespace satin::cuda
