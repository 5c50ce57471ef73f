// mgpnet devices: what this machine and this binary can compute on, each path tried on a small
// graph against the plain loops of the CPU.
#include <cmath>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "mgpnet/command_line.h"

namespace mgpnet {
namespace {

using Json = nlohmann::ordered_json;

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

struct Verdict {
  double error;  ///< the largest difference to the plain loops
  bool good;
};

Verdict try_out(const satin::Backend& backend, const satin::Exec& exec) {
  const double error = self_test(backend, exec);
  return {error, error <= kSelfTestBar};
}

Json verdict_json(const Verdict& v) {
  return {{"self_test", v.good ? "passed" : "failed"},
          {"error", std::isfinite(v.error) ? Json(v.error) : Json(nullptr)}};
}

std::string verdict_text(const Verdict& v) {
  return fmt::format("self-test {} (largest difference to the plain loops {:.1e})",
                     v.good ? "passed" : "FAILED", v.error);
}

void run_devices(const Globals& globals, bool json) {
  satin::ThreadPool pool(globals.threads);
  const std::string standard(satin::cpu::name_of(satin::cpu::default_isa()));
  Json isas = Json::array();
  std::string lines;
  std::string failed;
  for (const satin::cpu::Isa isa : satin::cpu::available_isas()) {
    const std::string name(satin::cpu::name_of(isa));
    const Verdict verdict = try_out(satin::cpu::backend(isa), {.pool = &pool});
    if (!verdict.good) failed = "cpu";
    Json row = {{"isa", name}, {"default", name == standard}};
    row.update(verdict_json(verdict));
    isas.push_back(row);
    lines += fmt::format("  {:<9} {}{}\n", name, verdict_text(verdict),
                         name == standard ? ", default" : "");
  }
  const bool cpu_good = failed.empty();
  Json devices = {{{"device", "cpu"},
                   {"name", processor_name()},
                   {"cores", satin::usable_cores()},
                   {"memory_bytes", usable_memory()},
                   {"default_isa", standard},
                   {"isas", isas},
                   {"self_test", cpu_good ? "passed" : "failed"}}};
  std::string text = fmt::format("cpu   {}, {} usable cores, {} of memory\n{}", processor_name(),
                                 satin::usable_cores(), size_text(usable_memory()), lines);
  const satin::cuda::Gpus gpus = satin::cuda::gpus();
  for (const satin::cuda::Gpu& gpu : gpus.list) {
    const std::string device = satin::cat("cuda:", gpu.number);
    const std::string capability = satin::cat(gpu.major, '.', gpu.minor);
    Json row = {{"device", device},
                {"available", true},
                {"name", gpu.name},
                {"memory_bytes", gpu.memory_bytes},
                {"compute_capability", capability},
                {"driver", gpus.driver},
                {"cublas", satin::cuda::blas()}};
    text += fmt::format(
        "{}  {}, {} of memory, compute capability {}, driver for CUDA {}, cuBLAS: {}\n", device,
        gpu.name, size_text(gpu.memory_bytes), capability, gpus.driver, satin::cuda::blas());
    try {
      const Verdict verdict = try_out(satin::cuda::backend(gpu.number), {.pool = &pool});
      if (!verdict.good) failed = device;
      row.update(verdict_json(verdict));
      text += "  " + verdict_text(verdict) + "\n";
    } catch (const satin::Error& e) {
      failed = device;
      row.update({{"self_test", "failed"}, {"reason", e.what()}});
      text += satin::cat("  self-test FAILED: ", e.what(), "\n");
    }
    devices.push_back(row);
  }
  if (gpus.list.empty()) {
    devices.push_back({{"device", "cuda"}, {"available", false}, {"reason", gpus.problem}});
    text += "cuda  " + gpus.problem + "\n";
  }
  print(json ? Json{{"devices", devices}}.dump(2) + "\n" : text);
  if (!failed.empty())
    throw Failure(
        kCheckFailed, "self-test failed", failed,
        failed == "cpu"
            ? "an instruction set computes something else than the plain loops; "
              "SATIN_ISA=... chooses another one, and please report this"
            : "the GPU computes something else than the CPU; use --device cpu, and please "
              "report this");
}

}  // namespace

void add_devices(CLI::App& app, Globals& globals) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("devices", "list what this machine can compute on");
  command->add_flag("--json", *json, "for scripts");
  command->callback([json, &globals] { run_devices(globals, *json); });
}

}  // namespace mgpnet
