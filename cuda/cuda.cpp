#include "cuda/cuda.h"

#include <array>
#include <map>
#include <mutex>

#include "cuda/device.h"
#include "cuda/kernels.h"

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

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(std::unique_ptr<Device> device)
      : device_(std::move(device)), name_(device_->name()), memory_bytes_(device_->free_bytes()) {}

  std::string_view name() const override { return name_; }
  bool has(Op op) const override { return kernel_of(op).run != nullptr; }
  bool computes(DType t) const override { return t == DType::f32; }
  int64_t scratch(const Call& call) const override {
    const Kernel& kernel = kernel_of(call.op);
    if (!kernel.scratch) return 0;
    Exec exec;
    device_->select(exec);  // it may ask for the GPU's limits
    return kernel.scratch(call);
  }
  Packing packing(const Call&) const override { return {}; }

  void run(const Call& call) const override {
    Exec exec = *call.exec;
    device_->select(exec);
    Call here = call;
    here.exec = &exec;
    kernel_of(call.op).run(here);
  }

  bool on_host() const override { return false; }
  int64_t memory_bytes() const override { return memory_bytes_; }
  void* allocate(int64_t bytes) const override {
    void* memory = device_->allocate(bytes > 0 ? bytes : 1);
    if (!memory)
      throw OutOfMemory(cat(name_, " has no ", bytes, " bytes of memory left; ",
                            device_->free_bytes(), " bytes are free"));
    return memory;
  }
  void release(void* memory) const override { device_->release(memory); }
  void write(void* to, const void* host, int64_t bytes) const override {
    if (bytes > 0) device_->upload(to, host, bytes);
  }
  void read(void* host, const void* from, int64_t bytes) const override {
    if (bytes > 0) device_->download(host, from, bytes);
  }
  std::shared_ptr<void> staging(int64_t bytes) const override {
    return device_->staging(bytes > 0 ? bytes : 1);
  }
  void send(void* to, const void* staged, int64_t bytes) const override {
    if (bytes > 0) device_->send(to, staged, bytes);
  }
  void fetch(void* staged, const void* from, int64_t bytes) const override {
    if (bytes > 0) device_->fetch(staged, from, bytes);
  }
  Mark mark() const override { return device_->mark(); }
  void await(const Mark& mark) const override { device_->await(mark); }
  void finish() const override { device_->synchronize(); }

  std::unique_ptr<Recording> record(const Exec&,
                                    const std::function<void()>& calls) const override {
    device_->begin_recording();
    try {
      calls();
    } catch (...) {
      device_->end_recording();
      throw;
    }
    return device_->end_recording();
  }

 private:
  std::unique_ptr<Device> device_;
  std::string name_;
  int64_t memory_bytes_;
};

}  // namespace

const Backend& backend(int number) {
  // Never destroyed: at the end of a process the driver may be gone before we are.
  static auto& opened = *new std::map<int, CudaBackend>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static const Gpus all = gpus();
  if (all.list.empty()) throw DeviceError(all.problem);
  if (number == kFirst) number = all.list.front().number;
  const auto found = opened.find(number);
  if (found != opened.end()) return found->second;
  for (const Gpu& gpu : all.list)
    if (gpu.number == number) return opened.try_emplace(number, open_device(gpu)).first->second;
  std::string known;
  for (const Gpu& gpu : all.list) known += cat(known.empty() ? "" : ", ", gpu.number);
  throw DeviceError(cat("there is no GPU ", number, "; usable here: ", known));
}

}  // namespace satin::cuda
