#include "mgpnet/trainer.h"

#include <cmath>

#include "cpu/cpu.h"
#include "mgpnet/image_io.h"
#include "nn/container.h"
#include "nn/text.h"

namespace mgpnet {

using namespace satin;

namespace {

constexpr std::string_view kKind = "mgpnet-training";
constexpr uint32_t kSchema = 1;
// Pictures while pairs are drawn, or decoded (5 megapixels with their ground truth) and cut.
constexpr int64_t kPairBytes = int64_t{32} << 20;

// Steps on the processor want all of its cores and take longer than reading.  A GPU's take
// milliseconds, in which the cores have nothing else to do.
int readers(const Backend& backend, const Globals& globals) {
  return backend.on_host() ? 1 : globals.threads;
}
int64_t ahead(const Backend& backend) { return backend.on_host() ? 1 : 4; }
// A GPU gets the next step while it computes one.
int64_t in_use(const Backend& backend) { return backend.on_host() ? 1 : 2; }

}  // namespace

std::unique_ptr<PairSource> training_source(const TrainConfig& config) {
  SourceOptions options;
  options.seed = config.seed;
  options.flip = config.augment.find("flip") != std::string::npos;
  options.rotate = config.augment.find("rot") != std::string::npos;
  options.shuffle = config.shuffle;
  options.limit = static_cast<uint64_t>(config.overfit);
  if (config.data == "synth") return synth_source(options);
  return folder_source(find_pairs(config.data), options,
                       [](const std::string& path) { return read_image(path); });
}

Trainer::Trainer(const TrainConfig& config, const Globals& globals)
    : config_(config),
      network_(*variant(config.variant)),
      parameters_(network_parameters(network_)),
      pool_(globals.threads),
      exec_(exec_of(globals, pool_)),
      backend_(backend_of(globals)),
      source_(training_source(config)),
      batches_(*source_,
               config.batch,
               config.crop,
               readers(backend_, globals),
               ahead(backend_),
               [this](int64_t bytes) { return backend_.staging(bytes); }) {
  const Shape batch = {config.batch, config.crop, config.crop, 3};
  input_ = satin::input(batch);
  target_ = satin::input(batch);
  step_ = adam_step(multi_scale_l1(network(parameters_, input_, network_), target_), parameters_,
                    config.clip);
  const int64_t one = Batches::bytes(config.batch, config.crop);
  const int64_t batches = (ahead(backend_) + in_use(backend_)) * one;
  // Weights and two moments as sections of a state, once more packed, and one copy on the way.
  const int64_t saving = 7 * parameters_.size() * static_cast<int64_t>(sizeof(float));
  const int64_t sent = backend_.on_host() ? 0 : Backend::kSends * one / 2;
  const int64_t beside =
      counted_beside(globals, batches + saving + kPairBytes + kProcessBytes) + sent;
  const Options options{.alias = step_.alias,
                        .fuse = !globals.no_fuse,
                        .precision = precision_of(globals),
                        .max_bytes = left_for_plan(globals, beside)};
  const int64_t planned = plan_of(step_.outputs(), backend_, options).total_bytes();
  footprint_ = planned + counted_beside(globals, batches) + sent;
  require_memory(globals, planned + beside, "the steps and their state", "train");
  program_ = std::make_unique<Program>(step_.outputs(), backend_, options);
  results_memory_ = backend_.staging(4 * static_cast<int64_t>(sizeof(float)));
  auto* const results = static_cast<float*>(results_memory_.get());
  results_ = {std::span(results, 2), std::span(results + 2, 2)};
  std::vector<float> weights;
  if (config.init.empty()) {
    weights = default_initialization(parameters_, config.seed);
  } else {
    Model start = load_model(config.init);
    if (start.config != network_)
      throw Failure(kModel, "the model to start from is of another variant", one_line(config.init),
                    cat("it is ", start.variant, ", the training is of ", config.variant));
    weights = std::move(start.weights);
  }
  program_->write<float>(parameters_.flat(), std::span<const float>(weights));
}

Globals Trainer::beside(Globals globals) const {
  if (globals.max_mem > 0) globals.max_mem = std::max<int64_t>(1, globals.max_mem - footprint_);
  return globals;
}

double Trainer::lr_of(int64_t iteration) const {
  return step_schedule(config_.lr, config_.lr_steps, config_.lr_gamma, iteration);
}

size_t Trainer::turn_of(int64_t iteration) const {
  return static_cast<size_t>(iteration % in_use(backend_));
}

void Trainer::start(int64_t iteration) {
  const size_t turn = turn_of(iteration);
  // What lies there was of a step whose result is known: so it has been sent.
  Batch& batch = batch_[turn];
  batches_.take(iteration, batch);
  const auto lr = static_cast<float>(lr_of(iteration));
  program_->send(input_, batch.input);
  program_->send(target_, batch.target);
  program_->write<float>(step_.lr, std::span<const float>(&lr, 1));
  program_->run(exec_);
  program_->fetch(step_.loss, results_[turn].subspan(0, 1));
  program_->fetch(step_.grad_norm, results_[turn].subspan(1, 1));
  done_[turn] = backend_.mark();
  started_ = iteration + 1;
}

StepResult Trainer::step(bool more) {
  if (!in_flight()) start(iteration_);
  if (more && !backend_.on_host() && started_ == iteration_ + 1) start(started_);
  const size_t turn = turn_of(iteration_);
  backend_.await(done_[turn]);
  StepResult result{results_[turn][0], results_[turn][1], lr_of(iteration_), false};
  result.skipped = !std::isfinite(result.loss) || !std::isfinite(result.grad_norm);
  skipped_ = result.skipped ? skipped_ + 1 : 0;
  ++iteration_;
  return result;
}

Model Trainer::model() const {
  Model model;
  model.variant = config_.variant;
  model.config = network_;
  model.weights = program_->read<float>(parameters_.flat());
  return model;
}

/// What must not change between the parts of one training, as text.  States of a time when f32 was
/// the only precision do not name it.
std::string Trainer::fingerprint() const {
  std::string text;
  for (const auto& [name, value] : entries(config_))
    if (!may_change_on_resume(name) && !(name == "precision" && value == "f32"))
      text.append(name).append(" = ").append(value).append("\n");
  return text;
}

/// The instruction set that decides the bits.
std::string_view Trainer::instruction_set() const {
  return config_.precision == "f32" ? satin::cpu::f32_path(backend_.name()) : backend_.name();
}

std::vector<uint8_t> Trainer::save_state() const {
  const auto values = [&](const char* name, const Tensor& t) {
    return values_section<float>(name, program_->read<float>(t));
  };
  const Section sections[] = {
      text_section("config", fingerprint()),
      text_section("instruction set", instruction_set()),
      integer_section("iteration", iteration_),
      integer_section("skipped", skipped_),
      values_section<double>("best psnr", std::span<const double>(&best_, 1)),
      values("steps", step_.steps),
      values("weights", parameters_.flat()),
      values("adam.m", step_.m),
      values("adam.v", step_.v),
  };
  return pack_sections(kKind, kSchema, sections);
}

void Trainer::load_state(const std::string& path) {
  ByteReader reader(path);
  const SectionMap map(reader, kKind, kSchema);
  constexpr std::string_view kNames[] = {"config",  "instruction set", "iteration",
                                         "skipped", "best psnr",       "steps",
                                         "weights", "adam.m",          "adam.v"};
  map.expect_only(kNames);
  map.expect_text("config", fingerprint(),
                  "the state belongs to another configuration; restore config.toml");
  const auto n = static_cast<size_t>(parameters_.size());
  const std::vector<float> weights = map.values<float>("weights", n),
                           m = map.values<float>("adam.m", n), v = map.values<float>("adam.v", n),
                           steps = map.values<float>("steps", 1);
  started_ = iteration_ = map.integer("iteration", 0, config_.iters);
  skipped_ = map.integer("skipped", 0, config_.iters);
  best_ = map.values<double>("best psnr", 1)[0];
  program_->write<float>(parameters_.flat(), std::span<const float>(weights));
  program_->write<float>(step_.m, std::span<const float>(m));
  program_->write<float>(step_.v, std::span<const float>(v));
  program_->write<float>(step_.steps, std::span<const float>(steps));
  if (map.text("instruction set") != instruction_set())
    warn(cat("the state was computed with ", map.text("instruction set"),
             ", this run goes on with ", instruction_set(),
             ": the result will differ in the last bits"));
}

}  // namespace mgpnet
