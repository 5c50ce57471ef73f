// --device: which backend computes, what it is called, how much memory it may take.
#include <algorithm>
#include <cmath>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "mgpnet/command.h"
#include "nn/random.h"
#include "tensor/conv2d.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/program.h"
#include "tensor/softmax.h"
#include "tensor/unary.h"

namespace mgpnet {

using namespace satin;

namespace {

/// A convolution, a normalization, an activation, a product and a softmax, on values from a
/// formula.
std::vector<float> small_graph(const Backend& backend, const Exec& exec) {
  const Tensor x = input({1, 16, 24, 16}), w = input({3, 3, 16, 32}), p = input({32, 40}),
               gamma = input({32}), beta = input({32});
  const Tensor z = gelu(layer_norm(conv2d(x, w, {.pad = 1}), gamma, beta));
  const Tensor y = softmax(matmul(z, p));
  Program program({y}, backend);
  uint64_t stream = 1;
  for (const Tensor& t : {x, w, p, gamma, beta}) {
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(2 * uniform(stream, i) - 1);
    program.write<float>(t, values);
    ++stream;
  }
  program.run(exec);
  return program.read<float>(y);
}

/// What `auto` found: a GPU that computes what the CPU computes, or why there is none.
struct Automatic {
  const Backend* gpu = nullptr;
  std::string reason;  ///< empty also where nobody expects a GPU: in a build without CUDA
};

const Automatic& automatic() {
  static const Automatic found = []() -> Automatic {
    const cuda::Gpus all = cuda::gpus();
    if (!all.built || all.simulated) return {};
    if (all.list.empty()) return {nullptr, all.problem};
    try {
      const Backend& gpu = cuda::backend(all.list.front().number);
      ThreadPool pool(1);
      if (self_test(gpu, {.pool = &pool}) <= kSelfTestBar) return {&gpu, ""};
      return {nullptr, all.list.front().name + " fails the self-test"};
    } catch (const Error& e) {
      return {nullptr, e.what()};
    }
  }();
  return found;
}

const Backend& gpu_of(const std::string& device) {
  try {
    return cuda::backend(device == "cuda" ? cuda::kFirst : std::stoi(device.substr(5)));
  } catch (const Error& e) {
    throw Failure(kDevice, "no CUDA device", "--device " + device,
                  cat(e.what(), "; use --device cpu or auto"));
  }
}

const Backend& processor() {
  try {
    return cpu::backend();
  } catch (const Error& e) {
    throw Failure(kDevice, "no such instruction set", "SATIN_ISA", e.what());
  }
}

}  // namespace

double self_test(const Backend& backend, const Exec& exec) {
  const std::vector<float> expected =
      small_graph(cpu::backend(cpu::Isa::baseline), {.pool = exec.pool, .plain = true});
  const std::vector<float> got = small_graph(backend, exec);
  double worst = 0, largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - expected[i]);
    worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return worst / largest;
}

const Backend& backend_of(const Globals& globals) {
  const bool named = globals.device.starts_with("cuda");
  const Backend* gpu = named                      ? &gpu_of(globals.device)
                       : globals.device == "auto" ? automatic().gpu
                                                  : nullptr;
  if (globals.precision == "tf32" && !gpu)
    throw Failure(kDevice, "precision not available", "--precision " + globals.precision,
                  "only GPUs have it, the CPU computes in f32 and bf16; use --precision f32, bf16 "
                  "or auto");
  return gpu ? *gpu : processor();
}

Precision precision_of(const Globals& globals) {
  return globals.precision == "bf16"   ? Precision::bf16
         : globals.precision == "tf32" ? Precision::tf32
                                       : Precision::f32;
}

std::string_view precision_name(const Globals& globals) {
  return globals.precision == "auto" ? "f32" : std::string_view(globals.precision);
}

std::string device_name(const Globals& globals) {
  const Backend& backend = backend_of(globals);
  if (!backend.on_host()) return std::string(backend.name());
  return cat("cpu (", cpu::name_of(cpu::default_isa()), "), ", globals.threads,
             globals.threads == 1 ? " thread" : " threads");
}

void announce_device(const Globals& globals) {
  static bool said = false;
  if (!said && globals.device == "auto") {
    const std::string& reason = automatic().reason;
    note(globals, "device: " + device_name(globals) + (reason.empty() ? "" : "; " + reason));
  }
  said = true;
}

Exec exec_of(const Globals& globals, ThreadPool& pool, InterruptCheck* check) {
  Exec exec{.pool = &pool, .debug_sync = globals.debug_sync};
  // A device would have to wait after every kernel to be watched, and its runs are short.
  if (check && (check->passes_on() || backend_of(globals).on_host())) exec.profiler = check;
  return exec;
}

int64_t device_memory(const Globals& globals) {
  const int64_t bytes = backend_of(globals).memory_bytes();
  return bytes > 0 ? bytes : usable_memory();
}

int64_t counted_beside(const Globals& globals, int64_t host_bytes) {
  return backend_of(globals).on_host() ? host_bytes : 0;
}

}  // namespace mgpnet
