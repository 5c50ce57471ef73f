// mgpnet bench: how long the forward pass, the training step or each operation takes, against what
// this machine can do, measured in the same run; and how much memory, planned and actual.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "mgpnet/peak.h"
#include "mgpnet/size_option.h"
#include "mgpnet/workload.h"

namespace mgpnet {
namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
  std::string what = "forward", size, variant = "full";
  int batch = 0, repeat = 5;
  bool json = false;
};

struct Timing {
  double median = 0, min = 0;
};

/// The most memory this process ever had, in bytes, from the system.
int64_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      int64_t kib = 0;
      status >> kib;
      return kib * 1024;
    }
  // Linux counts what the parent had at the fork, so it is only the second choice.
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string device_label(const Globals& globals) {
  if (backend_of(globals).on_host()) return "cpu";
  return globals.device == "auto" ? "cuda" : globals.device;
}

/// The instruction set; on a GPU its name.
std::string isa_label(const Globals& globals) {
  const satin::Backend& backend = backend_of(globals);
  return std::string(backend.on_host() ? satin::cpu::name_of(satin::cpu::default_isa())
                                       : backend.name());
}

double rounded(double x) { return std::stod(fmt::format("{:.6g}", x)); }

/// Limits of a GPU are not measured yet: null.
Json measured(double x) { return x > 0 ? Json(rounded(x)) : Json(nullptr); }

/// One warm-up, then `repeat` runs.
Timing measure(satin::Program& program,
               const Workload& workload,
               const Globals& globals,
               satin::ThreadPool& pool,
               int repeat,
               OpTimes* times) {
  const satin::Backend& backend = backend_of(globals);
  InterruptCheck check(times);
  const satin::Exec exec = exec_of(globals, pool, &check);
  std::vector<double> seconds;
  for (int i = -1; i < repeat; ++i) {
    stop_if_interrupted();
    fill_inputs(program, workload, globals.seed);
    if (times) times->start();
    backend.finish();
    const auto start = std::chrono::steady_clock::now();
    program.run(exec);
    backend.finish();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (i < 0 && times) *times = OpTimes();
    if (i >= 0) seconds.push_back(took.count());
    detail(globals, fmt::format("{}: {:.4f} s", i < 0 ? "warm-up" : "run", took.count()));
  }
  return {median(seconds), *std::min_element(seconds.begin(), seconds.end())};
}

/// Rows of one operation at one set of shapes, added up.
struct OpGroup {
  int64_t count = 0, macs = 0, bytes = 0;
  double seconds = 0;
};

void print_ops(const std::vector<OpRow>& rows,
               double peak,
               double bandwidth,
               const Globals& globals,
               bool json) {
  std::map<std::pair<std::string, std::string>, OpGroup> groups;
  double total = 0;
  for (const OpRow& row : rows) {
    const std::string shapes = input_shapes_of(*row.node) + " -> " + output_shapes_of(*row.node);
    OpGroup& group = groups[{std::string(satin::name_of(row.node->op)), shapes}];
    ++group.count;
    group.macs += row.cost.macs;
    group.bytes += row.cost.bytes;
    group.seconds += row.seconds;
    total += row.seconds;
  }
  std::vector<std::pair<std::pair<std::string, std::string>, OpGroup>> sorted(groups.begin(),
                                                                              groups.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.seconds > b.second.seconds;
  });
  if (!json)
    print(fmt::format("{:>9} {:>6} {:>5} {:>9} {:>8} {:>7}  {:<19} {}\n", "ms", "% time", "times",
                      "GFLOP/s", "GB/s", "% limit", "op", "shapes"));
  for (const auto& [name, group] : sorted) {
    const double gflops = 2e-9 * static_cast<double>(group.macs) / group.seconds;
    const double gbps = 1e-9 * static_cast<double>(group.bytes) / group.seconds;
    // What bounds it: arithmetic or memory.
    const double limit = peak == 0 ? NAN
                         : group.macs > 0
                             ? gflops / roofline(peak, bandwidth, group.macs, group.bytes)
                             : gbps / bandwidth;
    if (json) {
      print(Json{{"what", "op"},
                 {"op", name.first},
                 {"shapes", name.second},
                 {"count", group.count},
                 {"device", device_label(globals)},
                 {"isa", isa_label(globals)},
                 {"threads", globals.threads},
                 {"seconds", rounded(group.seconds)},
                 {"gflops", rounded(gflops)},
                 {"gbps", rounded(gbps)},
                 {"limit_share", measured(limit)},
                 {"peak_gflops", measured(peak)},
                 {"bandwidth_gbps", measured(bandwidth)}}
                .dump() +
            "\n");
    } else {
      print(fmt::format("{:9.3f} {:6.1f} {:5} {:9.1f} {:8.1f} {:>7}  {:<19} {}\n",
                        1e3 * group.seconds, 100 * group.seconds / total, group.count, gflops, gbps,
                        peak == 0 ? "-" : fmt::format("{:.1f}", 100 * limit), name.first,
                        name.second));
    }
  }
}

void run_bench(const BenchOptions& options, const Globals& globals) {
  const bool train = options.what == "train";
  const std::string size = options.size.empty() ? (train ? "128x128" : "512x384") : options.size;
  const PictureSize picture = parse_picture_size(size).value();
  const int batch = options.batch > 0 ? options.batch : train ? 8 : 1;
  const satin::Backend& backend = backend_of(globals);
  announce_device(globals);
  const Workload workload = make_workload({.config = variant(options.variant).value(),
                                           .width = picture.width,
                                           .height = picture.height,
                                           .batch = batch,
                                           .train = train});
  if (workload.options.width != picture.width || workload.options.height != picture.height)
    note(globals, fmt::format("sides are padded to multiples of 64: {}x{}", workload.options.width,
                              workload.options.height));
  // Bandwidth is measured beside the finished runs of --what ops.
  const int64_t beside = counted_beside(
      globals, bytes_beside_plan(workload) + (options.what == "ops" ? kTriadBytes : 0));
  const satin::Options planning =
      options_of(workload, !globals.no_fuse, left_for_plan(globals, beside), precision_of(globals));
  require_memory(globals,
                 satin::plan_of(workload.outputs, backend, planning).total_bytes() + beside,
                 "the runs", "bench");
  satin::ThreadPool pool(globals.threads);
  const satin::cpu::Isa isa = satin::cpu::default_isa();
  const bool host = backend.on_host();  // the peak of a GPU is not measured yet
  double peak = host ? peak_gflops(isa, pool, precision_of(globals)) : 0;
  satin::Program program(workload.outputs, backend, planning);
  fill(program, workload, globals.seed);
  OpTimes times;
  const Timing timing = measure(program, workload, globals, pool, options.repeat,
                                options.what == "ops" ? &times : nullptr);
  const int64_t rss = peak_rss(), planned = program.plan().total_bytes();
  // The processor may have been busy or cool the first time: the better of before and after.
  if (host) peak = std::max(peak, peak_gflops(isa, pool, precision_of(globals)));

  if (options.what == "ops") {
    std::vector<OpRow> rows = op_rows(program.plan(), workload);
    times.store_medians(rows);
    const double bandwidth = host ? triad_bandwidth(pool) : 0;
    print_ops(rows, peak, bandwidth, globals, options.json);
    if (!options.json && host)
      print(
          fmt::format("limits measured in this run: {:.1f} GFLOP/s ({}, {} threads), {:.1f} "
                      "GB/s; %% limit is of the lower bound of the two for the operation\n",
                      peak, satin::cpu::name_of(isa), globals.threads, bandwidth));
    return;
  }
  const double gflops = 2e-9 * static_cast<double>(workload.cost().macs) / timing.median;
  if (options.json) {
    print(Json{{"what", options.what},
               {"size", size},
               {"batch", batch},
               {"device", device_label(globals)},
               {"isa", isa_label(globals)},
               {"precision", precision_name(globals)},
               {"threads", globals.threads},
               {"median_s", rounded(timing.median)},
               {"min_s", rounded(timing.min)},
               {"gflops", rounded(gflops)},
               {"peak_gflops", measured(peak)},
               {"planned_bytes", planned},
               {"rss_bytes", rss}}
              .dump() +
          "\n");
    return;
  }
  print(
      fmt::format("{} {} batch {}, {}, {}\n"
                  "time     median {:.4f} s, minimum {:.4f} s of {} runs\n"
                  "speed    {:.1f} GFLOP/s, {}\n"
                  "memory   planned {} ({} bytes), actual peak of the process {} ({} bytes)\n",
                  options.what, size, batch, precision_name(globals), device_name(globals),
                  timing.median, timing.min, options.repeat, gflops,
                  host ? fmt::format("{:.1f} % of the {:.1f} GFLOP/s measured in this run",
                                     100 * gflops / peak, peak)
                       : "the peak is not yet measured",
                  size_text(planned), planned, size_text(rss), rss));
}

}  // namespace

void add_bench(CLI::App& app, Globals& globals) {
  const auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "measure speed and memory on this machine");
  command
      ->add_option("--what", options->what,
                   "the forward pass, the whole training step, or each operation of the forward "
                   "pass (default forward)")
      ->check(choice({"forward", "train", "ops"}));
  command->add_option("--size", options->size, "WxH (default 512x384; train 128x128)")
      ->check(picture_size());
  command->add_option("--batch", options->batch, "pictures at once (default 1; train 8)")
      ->check(whole(1, 1024));
  command->add_option("--variant", options->variant, "of the network (default full)")
      ->check(choice(variant_names()));
  command->add_option("-r,--repeat", options->repeat, "runs after one warm-up (default 5)")
      ->check(whole(1, 100000));
  command->add_flag("--json", options->json, "one object a line");
  command->callback([options, &globals] { run_bench(*options, globals); });
}

}  // namespace mgpnet
