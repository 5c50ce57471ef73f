// The simulator as the device of cuda/device.h.  Its memory is closed to the host: between kernels,
// uploads and downloads its pages can neither be read nor written, so whoever dereferences a
// pointer to it ends the test there.
#include "cuda/device.h"

#include <atomic>

#include "cuda/blas.h"
#include "cuda/kernels.h"
#include "cuda/sim/sim.h"
#include "tensor/error.h"

namespace satin::cuda {
namespace {

class SimulatedRecording final : public Recording {
 public:
  explicit SimulatedRecording(std::vector<sim::Launch> launches) : launches_(std::move(launches)) {}
  void replay(const Exec&) override {
    for (const sim::Launch& l : launches_) sim::run(l);
    sim::count_replay();
  }

 private:
  std::vector<sim::Launch> launches_;
};

class SimulatedDevice final : public Device {
 public:
  std::string name() const override { return "cuda (simulated)"; }
  int64_t free_bytes() override { return static_cast<int64_t>(sim::free_bytes()); }
  void* allocate(int64_t bytes) override {
    refuse_while_recording("an allocation");
    const auto size = static_cast<size_t>(bytes);
    return size <= sim::free_bytes() ? sim::allocate(size) : nullptr;
  }
  void release(void* memory) override { sim::release(memory); }
  void upload(void* to, const void* host, int64_t bytes) override {
    refuse_while_recording("an upload");
    sim::upload(to, host, static_cast<size_t>(bytes));
  }
  void download(void* host, const void* from, int64_t bytes) override {
    refuse_while_recording("a download");
    sim::download(host, from, static_cast<size_t>(bytes));
  }
  void synchronize() override {
    refuse_while_recording("waiting");
    deliver(fetched_.size());
  }
  std::shared_ptr<void> staging(int64_t bytes) override {
    refuse_while_recording("an allocation");
    return std::make_shared<std::byte[]>(static_cast<size_t>(bytes));
  }
  void send(void* to, const void* staged, int64_t bytes) override { upload(to, staged, bytes); }
  // As late as is allowed: until then the memory holds NaN.
  void fetch(void* staged, const void* from, int64_t bytes) override {
    Fetched f{staged, std::vector<std::byte>(static_cast<size_t>(bytes))};
    download(f.values.data(), from, bytes);
    std::memset(staged, 0xff, f.values.size());
    fetched_.push_back(std::move(f));
  }
  Backend::Mark mark() override {
    refuse_while_recording("a mark");
    return std::make_shared<size_t>(delivered_ + fetched_.size());
  }
  void await(const Backend::Mark& mark) override {
    refuse_while_recording("waiting");
    const size_t until = *static_cast<const size_t*>(mark.get());
    if (until > delivered_) deliver(until - delivered_);
  }
  void select(Exec&) override {}
  void begin_recording() override {
    refuse_while_recording("another recording");
    sim::begin_recording();
  }
  std::unique_ptr<Recording> end_recording() override {
    return std::make_unique<SimulatedRecording>(sim::end_recording());
  }

 private:
  struct Fetched {
    void* to;
    std::vector<std::byte> values;
  };
  void deliver(size_t count) {
    for (size_t i = 0; i < count; ++i)
      std::memcpy(fetched_[i].to, fetched_[i].values.data(), fetched_[i].values.size());
    fetched_.erase(fetched_.begin(), fetched_.begin() + static_cast<std::ptrdiff_t>(count));
    delivered_ += count;
  }

  std::vector<Fetched> fetched_;
  size_t delivered_ = 0;

  static void refuse_while_recording(const char* what) {
    if (sim::recording()) throw DeviceError(cat(what, " while a run is recorded"));
  }
};

}  // namespace

Gpus gpus() {
  return {
      {{0, "simulated", 8, 0, static_cast<int64_t>(sim::free_bytes())}}, true, true, "13.0", {}};
}

namespace {
const OpenBlas* blas_of_test = nullptr;
}
void sim::use_blas(const OpenBlas* blas) { blas_of_test = blas; }
const OpenBlas* open_blas() { return blas_of_test; }
std::string blas() { return "the simulator has none"; }

int64_t shared_limit() { return static_cast<int64_t>(sim::Limits{}.shared_bytes); }

std::unique_ptr<Device> open_device(const Gpu&) { return std::make_unique<SimulatedDevice>(); }

}  // namespace satin::cuda
