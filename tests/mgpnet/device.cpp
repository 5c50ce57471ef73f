// --device: which errors name what is missing, and the program's own code on the simulated GPU,
// whose memory the host cannot touch.
#include "tests/cuda/device.h"

#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "cuda/sim/sim.h"
#include "mgpnet/command.h"
#include "mgpnet/inspect_report.h"
#include "mgpnet/model.h"
#include "mgpnet/smoother.h"
#include "mgpnet/trainer.h"
#include "program.h"
#include "tensor/conv2d.h"
#include "tensor/error.h"
#include "tensor/layer_norm.h"
#include "tensor/program.h"
#include "tensor/unary.h"
#include "tests/complaint.h"

using namespace mgpnet;
using namespace mgpnet::test;
using satin::testing::says;

namespace {

Globals globals_for(const std::string& device) {
  Globals globals;
  globals.device = device;
  globals.threads = 1;
  return globals;
}

Failure failure_of(const std::function<void()>& f) {
  try {
    f();
  } catch (...) {
    return to_failure(std::current_exception());
  }
  return {kDone, "", "", ""};
}

}  // namespace

TEST_CASE("device: a picture through the simulated GPU") {
  const Model model = load_model(model_file());
  const Image in = picture(21, 13, 4);
  Smoother cpu(model, globals_for("cpu")), gpu(model, globals_for("cuda"));
  const Image expected = cpu.smooth(in), got = gpu.smooth(in);
  REQUIRE(got.pixels.size() == expected.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < got.pixels.size(); ++i)
    worst = std::max(worst, std::abs(int{got.pixels[i]} - int{expected.pixels[i]}));
  CHECK(worst <= 1);

  // On a GPU the limit is of its memory: nothing is planned beyond, and the host's share is its
  // own.
  Globals little = globals_for("cuda");
  little.max_mem = 1 << 20;
  const Failure failure =
      failure_of([&] { Smoother(model, little).require_memory(64, 64, 3, "a.png"); });
  CHECK(failure.code == kMemory);
  says(failure.why, "--max-mem allows 1.0 MiB");
  CHECK(gpu.needed_bytes(64, 64) < cpu.needed_bytes(64, 64) + (int64_t{64} << 20));
}

TEST_CASE("device: self-test and names") {
  CHECK(self_test(satin::cuda::backend(), {}) <= kSelfTestBar);
  CHECK(device_name(globals_for("cuda")) == "cuda (simulated)");
  CHECK(device_name(globals_for("auto")).starts_with("cpu ("));  // a simulated one is not for work
  const Failure failure = failure_of([] { backend_of(globals_for("cuda:5")); });
  CHECK(failure.code == kDevice);
  says(failure.what(), "--device cuda:5");
  says(failure.why, "there is no GPU 5; usable here: 0; use --device cpu or auto");
  Globals rounded = globals_for("cuda");
  for (const char* precision : {"f32", "tf32", "bf16"}) {
    rounded.precision = precision;
    CHECK(&backend_of(rounded) == &satin::cuda::backend());
    CHECK(precision_name(rounded) == precision);
  }
  for (const char* device : {"cpu", "auto"}) {
    rounded = globals_for(device);
    rounded.precision = "tf32";
    const Failure refused = failure_of([&] { backend_of(rounded); });
    CHECK(refused.code == kDevice);
    says(refused.why, "only GPUs have it, the CPU computes in f32 and bf16");
  }
}

TEST_CASE("device: a training in tf32 multiplies in tf32, and only there") {
  const TemporaryFolder dir;
  const std::string out = dir / "run";
  const Ended refused = run({"train", "--data", "synth", "-o", out, "--precision", "tf32"});
  CHECK(refused.code == 6);
  says(refused.err, "only GPUs have it");
  CHECK(!std::filesystem::exists(out));

  Globals globals = globals_for("cuda");
  globals.precision = "tf32";
  TrainConfig config;
  config.data = "synth";
  config.precision = "tf32";
  config.batch = 1;
  config.crop = 64;
  const Trainer trainer(config, globals);
  int64_t rounded = 0, others = 0;
  for (const satin::Plan::Step& step : trainer.plan().steps)
    ++(step.node->precision == satin::Precision::tf32 ? rounded : others);
  CHECK(rounded > 100);  // of the 470 weights' products, many in fused operations
  CHECK(others > 0);     // Adam, norms
}

namespace {

/// The simulated GPU, which takes one operation for another, or fails at it.
class Wrong final : public satin::testing::SimulatedDevice {
 public:
  explicit Wrong(bool fails) : fails_(fails) {}
  void run(const satin::Call& call) const override {
    satin::Call taken = call;
    if (call.op == satin::Op::gelu) {
      if (fails_) throw satin::DeviceError("kernel unary: an illegal address");
      taken.op = satin::Op::silu;
    }
    SimulatedDevice::run(taken);
  }

 private:
  bool fails_;
};

}  // namespace

TEST_CASE("device: two devices are compared operation by operation, the first that differs named") {
  using namespace satin;
  // As many channels as the network's: with few, some row's variance magnifies what rounding does.
  const Tensor x = input({1, 6, 5, 8}), w = input({3, 3, 8, 32}), gamma = input({32}),
               beta = input({32});
  const ModuleScope scope("encoder");
  const Tensors y = {layer_norm(gelu(conv2d(x, w, {.pad = 1})), gamma, beta)};
  std::vector<std::pair<Tensor, std::vector<float>>> inputs;
  for (const Tensor& t : {x, w, gamma, beta}) inputs.emplace_back(t, random_values(t.size(), 1));
  const Schedule schedule = schedule_of(y, {.hoist = false}, &cuda::backend());
  const auto compare = [&](const Backend& device) {
    return compare_backends(schedule, cpu::backend(), device, inputs, {});
  };
  const std::vector<Difference> same = compare(cuda::backend());
  REQUIRE(same.size() == 3);
  for (const Difference& d : same) {
    CAPTURE(name_of(d.node->op));
    CHECK(d.error <= d.bar);
  }
  const std::vector<Difference> different = compare(Wrong(false));
  REQUIRE(different.size() == 3);
  for (const Difference& d : different) CHECK(d.beyond() == (d.node->op == Op::gelu));
  const Failure failure = failure_of([&] { compare(Wrong(true)); });
  CHECK(failure.code == kDevice);
  says(std::string(failure.what()) + failure.why,
       "in encoder: gelu of [1,6,5,32] -> [1,6,5,32]: kernel unary");
}

TEST_CASE("device: what a training needs is held against the GPU's free memory before it runs") {
  TrainConfig config;
  config.data = "synth";
  config.batch = 256;
  config.crop = 1024;
  const Failure failure = failure_of([&] { Trainer(config, globals_for("cuda")); });
  CHECK(failure.code == kMemory);
  says(failure.why, "the steps and their state need ");
  says(failure.why, "free on the GPU are ");
}

TEST_CASE("device: errors of a device have their exit codes") {
  const auto code = [](const auto& error) { return failure_of([&] { throw error; }).code; };
  CHECK(code(satin::DeviceError("kernel x: an illegal address")) == kDevice);
  CHECK(code(satin::OutOfMemory("no bytes left")) == kMemory);
}

TEST_CASE("device: without CUDA the reason is given") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  const Ended named = run({"smooth", dir / "a.png", "-m", model_file(), "-g", "0"});
  CHECK(named.code == 6);
  says(named.err, "mgpnet: error: no CUDA device: --device cuda:0");
  says(named.err, "this binary is built without CUDA");
  says(run({"devices"}).out, "cuda  this binary is built without CUDA");
  CHECK(run({"inspect", "--compare-devices", "cpu,cuda"}).code == 6);
  const Ended automatic = run({"smooth", dir / "a.png", "-m", model_file()});
  CHECK(automatic.code == 0);
  says(automatic.err, "device: cpu (");
}
