// mgpnet inspect: what a model file holds; what every operation of the network costs and takes; the
// planned memory; whether two instruction sets compute the same.  The reports themselves are
// inspect_report.cpp.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mgpnet/image_io.h"
#include "mgpnet/inspect_report.h"
#include "mgpnet/model.h"
#include "mgpnet/peak.h"
#include "mgpnet/size_option.h"
#include "nn/atomic_file.h"
#include "nn/text.h"

namespace mgpnet {
namespace {

struct InspectOptions {
  std::string model, size, variant = "full", svg, input;
  std::vector<std::string> devices;
  int batch = 0, repeat = 3;
  bool ops = false, json = false, plan = false, train = false, no_time = false;
};

Workload workload_of(const InspectOptions& options, const Globals& globals) {
  const std::string standard = options.train             ? "128x128"
                               : options.devices.empty() ? "512x384"
                                                         : "128x128";
  const PictureSize size =
      parse_picture_size(options.size.empty() ? standard : options.size).value();
  const int batch = options.batch > 0 ? options.batch : options.train ? 8 : 1;
  Workload workload = make_workload({.config = variant(options.variant).value(),
                                     .width = size.width,
                                     .height = size.height,
                                     .batch = batch,
                                     .train = options.train});
  if (workload.options.width != size.width || workload.options.height != size.height)
    note(globals, fmt::format("sides are padded to multiples of 64: {}x{}", workload.options.width,
                              workload.options.height));
  return workload;
}

void inspect_model(const InspectOptions& options) {
  // Not load_model: weights that do not fit MGPNet, or are not finite, are worth looking at too.
  const satin::TensorFile file = satin::read_tensor_file(options.model);
  std::error_code error;
  const auto size = std::filesystem::file_size(options.model, error);
  const int64_t bytes = error ? 0 : static_cast<int64_t>(size);
  print(options.json ? model_json(file, bytes).dump(2) + "\n" : model_text(file, bytes));
}

void inspect_plan(const InspectOptions& options, const Globals& globals) {
  const Workload workload = workload_of(options, globals);
  const satin::Plan plan =
      plan_of(workload, backend_of(globals), !globals.no_fuse,
              left_for_plan(globals, counted_beside(globals, bytes_beside_plan(workload))),
              precision_of(globals));
  if (!options.svg.empty()) {
    const std::string svg = satin::draw(plan);
    satin::write_file(options.svg, {reinterpret_cast<const uint8_t*>(svg.data()), svg.size()});
  }
  if (!options.json) {
    print(satin::describe(plan));
    return;
  }
  nlohmann::ordered_json buffers = nlohmann::ordered_json::array();
  for (const satin::Plan::Buffer& b : plan.buffers)
    if (!b.persistent)
      buffers.push_back({{"bytes", b.bytes},
                         {"offset", b.offset},
                         {"first", b.first},
                         {"last", b.last},
                         {"label", b.label}});
  print(nlohmann::ordered_json{{"planned_bytes", plan.total_bytes()},
                               {"arena_bytes", plan.arena_bytes},
                               {"persistent_bytes", plan.persistent_bytes},
                               {"steps", plan.steps.size()},
                               {"buffers", buffers}}
            .dump(2) +
        "\n");
}

void inspect_ops(const InspectOptions& options, const Globals& globals) {
  const Workload workload = workload_of(options, globals);
  const satin::Backend& backend = backend_of(globals);
  const int64_t beside = counted_beside(globals, bytes_beside_plan(workload));
  const satin::Options planning =
      options_of(workload, !globals.no_fuse, left_for_plan(globals, beside), precision_of(globals));
  const satin::Plan plan = satin::plan_of(workload.outputs, backend, planning);
  OpsReport report{.rows = op_rows(plan, workload),
                   .parameters = workload.parameters.size(),
                   .total = workload.cost(),
                   .arena_bytes = plan.arena_bytes,
                   .persistent_bytes = plan.persistent_bytes,
                   .by_operation = options.ops};
  if (!options.no_time) {
    require_memory(globals, plan.total_bytes() + beside, "the runs", "inspect --size");
    announce_device(globals);
    satin::ThreadPool pool(globals.threads);
    if (backend.on_host())
      report.peak_gflops = peak_gflops(satin::cpu::default_isa(), pool, precision_of(globals));
    satin::Program program(workload.outputs, backend, planning);
    fill(program, workload, globals.seed);
    OpTimes times;
    InterruptCheck check(&times);
    for (int i = -1; i < options.repeat; ++i) {
      stop_if_interrupted();
      if (i == 0) times = OpTimes();  // the first run only warms up
      fill_inputs(program, workload, globals.seed);
      times.start();
      program.run(exec_of(globals, pool, &check));
    }
    times.store_medians(report.rows);
    report.timed = true;
  }
  print(options.json ? ops_json(report, workload.options).dump(2) + "\n" : ops_text(report));
}

// --- --compare-devices -------------------------------------------------------------------------

/// The backend of `cpu`, of an instruction set or of a GPU.
const satin::Backend& named_backend(const std::string& name, const Globals& globals) {
  if (name == "cpu") return satin::cpu::backend();
  std::vector<std::string> known = {"cpu"};
  for (const satin::cpu::Isa isa : satin::cpu::available_isas()) {
    if (satin::cpu::name_of(isa) == name) return satin::cpu::backend(isa);
    known.emplace_back(satin::cpu::name_of(isa));
  }
  if (name == "cuda" || name.starts_with("cuda:")) {
    Globals device = globals;
    device.device = name;
    return backend_of(device);
  }
  for (const char* isa : {"avx2", "avx512", "amx"})
    if (name == isa)
      throw Failure(kDevice, "instruction set not available", "--compare-devices " + name,
                    "this binary or processor lacks it; mgpnet devices lists what there is");
  std::string list;
  for (const std::string& k : known) list += (list.empty() ? "" : ", ") + k;
  throw Failure(kUsage, "unknown device", "--compare-devices " + name,
                "two of " + list + ", separated by a comma");
}

/// The top left of a picture, at the network's size: reflected where it is smaller.
std::vector<float> picture_values(const Image& image, int64_t width, int64_t height) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(height * width * 3));
  const auto reflected = [](int64_t i, int64_t n) {
    if (n == 1) return int64_t{0};
    const int64_t period = 2 * (n - 1), j = i % period;
    return j < n ? j : period - j;
  };
  const int colors = image.channels >= 3 ? 3 : 1;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const uint16_t* pixel = image.at(static_cast<int>(reflected(x, image.width)),
                                       static_cast<int>(reflected(y, image.height)));
      for (int c = 0; c < 3; ++c)
        values.push_back(static_cast<float>(pixel[c % colors]) /
                         static_cast<float>(image.max_value()));
    }
  return values;
}

void compare_devices(InspectOptions options, const Globals& globals) {
  if (options.devices.size() != 2)
    throw Failure(kUsage, "two devices are compared", "--compare-devices",
                  "for example --compare-devices baseline,avx2");
  const satin::Backend& a = named_backend(options.devices[0], globals);
  const satin::Backend& b = named_backend(options.devices[1], globals);
  Image image;
  if (!options.input.empty()) {
    image = read_image(options.input);
    if (options.size.empty()) options.size = satin::cat(image.width, "x", image.height);
    options.batch = 1;
  }
  Model model;
  if (!options.model.empty() || !embedded_bytes().empty())
    model = open_model(options.model);
  else
    model = random_model(options.variant, globals.seed);
  if (!options.model.empty()) options.variant = model.variant;
  if (model.variant != options.variant) model = random_model(options.variant, globals.seed);
  const Workload workload = workload_of(options, globals);
  std::vector<std::pair<Tensor, std::vector<float>>> inputs = {
      {workload.parameters.flat(), model.weights}};
  for (const Tensor& t : {workload.image, workload.target}) {
    if (!t) continue;
    inputs.emplace_back(
        t, image.width > 0 ? picture_values(image, workload.options.width, workload.options.height)
                           : random_values(t.size(), globals.seed));
  }
  if (workload.lr) inputs.push_back({workload.lr, {2e-4f}});

  satin::ThreadPool pool(globals.threads);
  // A GPU may lack fused kernels that the CPU has.
  const satin::Backend* device = !a.on_host() ? &a : !b.on_host() ? &b : nullptr;
  const satin::Schedule schedule = schedule_of(workload, !globals.no_fuse, device);
  const std::vector<Difference> found =
      compare_backends(schedule, a, b, inputs, {.pool = &pool, .debug_sync = globals.debug_sync});
  const Difference* first = nullptr;
  const Difference* worst = nullptr;
  for (const Difference& d : found) {
    if (!first && d.beyond()) first = &d;
    if (!worst || d.error / d.bar > worst->error / worst->bar) worst = &d;
  }
  const auto line = [](const Difference& d) {
    return fmt::format("{} {} {} -> {}: {:.2e}, its bar {:.2e}",
                       d.node->module ? *d.node->module : "", satin::name_of(d.node->op),
                       input_shapes_of(*d.node), output_shapes_of(*d.node), d.error, d.bar);
  };
  if (options.json) {
    nlohmann::ordered_json ops = nlohmann::ordered_json::array();
    for (const Difference& d : found)
      ops.push_back({{"module", d.node->module ? *d.node->module : ""},
                     {"op", satin::name_of(d.node->op)},
                     {"error", d.error},
                     {"bar", d.bar}});
    print(nlohmann::ordered_json{
              {"devices", options.devices}, {"agree", first == nullptr}, {"ops", ops}}
              .dump(2) +
          "\n");
  } else {
    print(fmt::format("{} and {}: {} operations, {}\n", options.devices[0], options.devices[1],
                      found.size(),
                      first ? "first beyond its bar: " + line(*first) : "all within their bars"));
    if (worst) print("closest to its bar: " + line(*worst) + "\n");
  }
  if (first)
    throw Failure(kCheckFailed, "devices differ", line(*first),
                  "on the same inputs; please report this");
}

void run_inspect(const InspectOptions& options, const Globals& globals) {
  if (!options.devices.empty()) return compare_devices(options, globals);
  if (options.plan || !options.svg.empty()) return inspect_plan(options, globals);
  if (!options.model.empty()) return inspect_model(options);
  if (!options.size.empty() || options.train || options.ops) return inspect_ops(options, globals);
  throw Failure(kUsage, "nothing to inspect", "inspect",
                "give a model file, --size WxH, --plan or --compare-devices A,B");
}

}  // namespace

void add_inspect(CLI::App& app, Globals& globals) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "look into a model file, the network's cost and its memory");
  CLI::Option* model = command->add_option("model", options->model, ".gguf or .safetensors file");
  command->add_option("--size", options->size, "WxH of the picture (default 512x384)")
      ->check(picture_size());
  command->add_flag("--ops", options->ops, "one row per operation, not per part of the network");
  CLI::Option* plan = command->add_flag("--plan", options->plan, "the planned memory");
  command->add_option("--svg", options->svg, "draw the plan into this file");
  command->add_flag("--train", options->train, "the training step instead of the forward pass");
  command->add_option("--batch", options->batch, "pictures at once (default 1; --train 8)")
      ->check(whole(1, 1024));
  command->add_option("--variant", options->variant, "of the network (default full)")
      ->check(choice(variant_names()));
  command->add_option("-r,--repeat", options->repeat, "timed runs after one warm-up (default 3)")
      ->check(whole(1, 1000));
  command->add_flag("--no-time", options->no_time, "run nothing: costs and plan only");
  command
      ->add_option("--compare-devices", options->devices,
                   "A,B: run every operation on both; cpu, baseline, avx2, avx512, cuda, cuda:N")
      ->delimiter(',');
  command->add_option("--input", options->input, "picture for --compare-devices");
  command->add_flag("--json", options->json, "for scripts");
  model->excludes(plan);
  command->callback([options, &globals] { run_inspect(*options, globals); });
}

}  // namespace mgpnet
