// The CUDA backend on the simulated device: memory of its own, errors with their place, and runs
// that are recorded.  What is on a device only is in cuda/gpu/device.cpp.
#include "cuda/cuda.h"

#include <algorithm>
#include <span>

#include <doctest/doctest.h>

#include "cuda/sim/sim.h"
#include "tensor/binary.h"
#include "tensor/matmul.h"
#include "tensor/program.h"
#include "tensor/unary.h"
#include "tests/complaint.h"
#include "tests/cuda/device.h"

using namespace satin;
using namespace satin::testing;

namespace {

/// y = gelu(x w), and w is moved by every run.
struct Small {
  Tensor x = input({5, 8}), w = parameter({8, 3}, DType::f32, "w"), y = gelu(matmul(x, w));
  Program program{{y}, cuda::backend(), {.alias = {{w * 0.5 + 0.25, w}}}};

  std::vector<float> run(const Exec& exec = {}) {
    std::vector<float> values(40);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7) - 3;
    program.write<float>(x, values);
    program.run(exec);
    std::vector<float> result = program.read<float>(y);
    const std::vector<float> weights = program.read<float>(w);
    result.insert(result.end(), weights.begin(), weights.end());
    return result;
  }
};

/// Fails at one operation as a device would.
class Failing final : public SimulatedDevice {
 public:
  void run(const Call& call) const override {
    if (call.op == Op::matmul) throw DeviceError("kernel product: an illegal address");
    SimulatedDevice::run(call);
  }
};

}  // namespace

TEST_CASE("cuda: a run is recorded once and started as one, with the same bits") {
  Small direct, recorded;
  const auto before = cuda::sim::counts();
  std::vector<std::vector<float>> expected, got;
  for (int i = 0; i < 4; ++i) expected.push_back(direct.run({.debug_sync = true}));
  const auto between = cuda::sim::counts();
  CHECK(between.recorded == before.recorded);
  CHECK(between.replays == before.replays);
  for (int i = 0; i < 4; ++i) got.push_back(recorded.run());
  const auto after = cuda::sim::counts();
  CHECK(got == expected);
  CHECK(got[1] != got[2]);  // the parameter moves
  const int64_t a_run = (between.launches - before.launches) / 4;
  CHECK(a_run > 0);
  CHECK(after.recorded - between.recorded == a_run);
  CHECK(after.replays - between.replays == 3);
  CHECK(after.launches - between.launches == 4 * a_run);

  // A run that is watched goes call by call, and the next one as a whole again.
  recorded.run({.debug_sync = true});
  CHECK(cuda::sim::counts().replays == after.replays);
  recorded.run();
  CHECK(cuda::sim::counts().replays == after.replays + 1);
}

TEST_CASE("cuda: runs one ahead of their results, through memory that nobody waits for") {
  const Backend& backend = cuda::backend();
  constexpr int kRuns = 5;
  Small waiting, ahead;
  const auto values = [](int run) {
    std::vector<float> x(40);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>((i + static_cast<size_t>(run)) % 7) - 3;
    return x;
  };
  std::vector<std::vector<float>> expected, got;
  for (int run = 0; run < kRuns; ++run) {
    waiting.program.write<float>(waiting.x, values(run));
    waiting.program.run();
    expected.push_back(waiting.program.read<float>(waiting.y));
  }

  const std::shared_ptr<void> memory = backend.staging(2 * (40 + 15) * 4);
  auto* const floats = static_cast<float*>(memory.get());
  const std::span<float> x[2] = {{floats, 40}, {floats + 40, 40}},
                         y[2] = {{floats + 80, 15}, {floats + 95, 15}};
  Backend::Mark done[2];
  const auto start = [&](int run) {
    const std::vector<float> v = values(run);
    std::copy(v.begin(), v.end(), x[run % 2].begin());
    ahead.program.send(ahead.x, x[run % 2]);
    ahead.program.run();
    ahead.program.fetch(ahead.y, y[run % 2]);
    done[run % 2] = backend.mark();
  };
  start(0);
  for (int run = 0; run < kRuns; ++run) {
    if (run + 1 < kRuns) start(run + 1);
    const std::span<float> result = y[run % 2];
    CHECK(result[0] != result[0]);  // not there yet
    backend.await(done[run % 2]);
    got.emplace_back(result.begin(), result.end());
  }
  CHECK(got == expected);
}

TEST_CASE("cuda: only kernels may be asked for while a run is recorded") {
  const Backend& backend = cuda::backend();
  float x = 0;
  void* memory = backend.allocate(4);
  const auto recording = [&](const std::function<void()>& calls) {
    return thrown<DeviceError>([&] { backend.record({}, calls); });
  };
  says(recording([&] { backend.allocate(4); }), "an allocation while a run is recorded");
  says(recording([&] { backend.write(memory, &x, 4); }), "an upload");
  says(recording([&] { backend.read(&x, memory, 4); }), "a download");
  says(recording([&] { backend.finish(); }), "waiting");
  backend.write(memory, &x, 4);  // it is over
  backend.release(memory);
}

TEST_CASE("cuda: a failing kernel is named with its module, operation and shapes") {
  const Failing backend;
  const ModuleScope scope("encoder");
  const Tensor x = input({5, 8}), w = input({8, 3});
  Program program({matmul(x, w)}, backend);
  says(thrown<DeviceError>([&] { program.run(); }),
       "in encoder: matmul of [5,8] [8,3] -> [5,3]: kernel product: an illegal address");
}

TEST_CASE("cuda: memory that is not there") {
  const Tensor x = input({1024, 1024});
  const Tensors y = {x * 2.0};
  cuda::sim::limit_memory(1 << 20);
  const std::string text = thrown<OutOfMemory>([&] { Program(y, cuda::backend()); });
  cuda::sim::limit_memory(size_t{64} << 30);
  says(text, "cuda (simulated) has no ");
  says(text, "bytes are free");
  Program(y, cuda::backend());
}

TEST_CASE("cuda: which GPUs there are") {
  const cuda::Gpus all = cuda::gpus();
  REQUIRE(all.list.size() == 1);
  CHECK(all.problem.empty());
  CHECK(&cuda::backend(0) == &cuda::backend());
  says(thrown<DeviceError>([] { cuda::backend(3); }), "there is no GPU 3; usable here: 0");
  CHECK_FALSE(cuda::backend().on_host());
  CHECK(cuda::backend().memory_bytes() > 0);
}
