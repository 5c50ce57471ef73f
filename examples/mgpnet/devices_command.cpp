// mgpnet devices: what this machine and this binary can compute on, each path tried on a small
// graph against the plain loops.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpu/cpu.h"
#include "mgpnet/command_line.h"
#include "nn/random.h"
#include "tensor/conv2d.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/program.h"
#include "tensor/softmax.h"
#include "tensor/unary.h"

namespace mgpnet {
namespace {

using satin::Tensor;
using Json = nlohmann::ordered_json;

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

/// A convolution, a normalization, an activation, a product and a softmax, on values from a
/// formula.
std::vector<float> small_graph(satin::cpu::Isa isa, satin::ThreadPool& pool, bool plain) {
  const Tensor x = satin::input({1, 16, 24, 16}), w = satin::input({3, 3, 16, 32}),
               p = satin::input({32, 40}), gamma = satin::input({32}), beta = satin::input({32});
  const Tensor z = satin::gelu(satin::layer_norm(satin::conv2d(x, w, {.pad = 1}), gamma, beta));
  const Tensor y = satin::softmax(satin::matmul(z, p));
  satin::Program program({y}, satin::cpu::backend(isa));
  uint64_t stream = 1;
  for (const Tensor& t : {x, w, p, gamma, beta}) {
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(2 * satin::uniform(stream, i) - 1);
    program.write<float>(t, values);
    ++stream;
  }
  program.run({.pool = &pool, .plain = plain});
  return program.read<float>(y);
}

/// The largest difference to the plain loops, relative to the largest value; infinite for NaN.
double self_test(satin::cpu::Isa isa, satin::ThreadPool& pool) {
  const std::vector<float> expected = small_graph(satin::cpu::Isa::baseline, pool, true);
  const std::vector<float> got = small_graph(isa, pool, false);
  double worst = 0, largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - expected[i]);
    worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return worst / largest;
}

constexpr double kBar = 1e-5;

void run_devices(const Globals& globals, bool json) {
  satin::ThreadPool pool(globals.threads);
  const std::string standard(satin::cpu::name_of(satin::cpu::default_isa()));
  Json isas = Json::array();
  std::string lines;
  bool passed = true;
  for (const satin::cpu::Isa isa : satin::cpu::available_isas()) {
    const std::string name(satin::cpu::name_of(isa));
    const double error = self_test(isa, pool);
    const bool good = error <= kBar;
    passed = passed && good;
    isas.push_back({{"isa", name},
                    {"default", name == standard},
                    {"self_test", good ? "passed" : "failed"},
                    {"error", std::isfinite(error) ? Json(error) : Json(nullptr)}});
    lines +=
        fmt::format("  {:<9} self-test {} (largest difference to the plain loops {:.1e}){}\n", name,
                    good ? "passed" : "FAILED", error, name == standard ? ", default" : "");
  }
  const std::string cuda = "not compiled in";
  if (json) {
    const Json cpu = {{"device", "cpu"},
                      {"name", processor_name()},
                      {"cores", satin::usable_cores()},
                      {"memory_bytes", usable_memory()},
                      {"default_isa", standard},
                      {"isas", isas},
                      {"self_test", passed ? "passed" : "failed"}};
    const Json gpu = {{"device", "cuda"}, {"available", false}, {"reason", cuda}};
    print(Json{{"devices", {cpu, gpu}}}.dump(2) + "\n");
  } else {
    print(fmt::format("cpu   {}, {} usable cores, {} of memory\n{}cuda  {}\n", processor_name(),
                      satin::usable_cores(), size_text(usable_memory()), lines, cuda));
  }
  if (!passed)
    throw Failure(kCheckFailed, "self-test failed", "cpu",
                  "an instruction set computes something else than the plain loops; SATIN_ISA=... "
                  "chooses another one, and please report this");
}

}  // namespace

void add_devices(CLI::App& app, Globals& globals) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("devices", "list what this machine can compute on");
  command->add_flag("--json", *json, "for scripts");
  command->callback([json, &globals] { run_devices(globals, *json); });
}

}  // namespace mgpnet
