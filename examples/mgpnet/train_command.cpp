// mgpnet train: the run folder, logging, validation, saving, stopping and resuming.  The arithmetic
// is trainer.cpp.
//
// A run folder holds config.toml, log.jsonl, model.gguf (latest), best.gguf, report.html and
// state/NNNNNNNNN.state.  A state is complete or absent; everything else can be made again from it,
// so a run may be killed at any moment and resumed.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <nlohmann/json.hpp>

#include "mgpnet/command_line.h"
#include "mgpnet/image_io.h"
#include "mgpnet/metrics.h"
#include "mgpnet/report.h"
#include "mgpnet/smoother.h"
#include "mgpnet/train_report.h"
#include "mgpnet/trainer.h"
#include "nn/atomic_file.h"
#include "nn/text.h"

namespace mgpnet {

namespace fs = std::filesystem;
using satin::cat;
using satin::one_line;

namespace {

constexpr int64_t kMostSkips = 10;  // updates skipped in a row that end a training

struct TrainArguments {
  std::map<std::string, std::string> given;  // entries set by flags
  std::vector<std::string> sets;
  std::string config, output;
  std::string time_limit;
  bool resume = false;
};

fs::path state_path(const fs::path& folder, int64_t iteration) {
  std::string digits = std::to_string(iteration);
  digits.insert(0, 9 - std::min<size_t>(9, digits.size()), '0');
  return folder / "state" / (digits + ".state");
}

/// The states of a run, newest first.
std::vector<fs::path> states_of(const fs::path& folder) {
  std::vector<fs::path> states;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / "state", error))
    if (entry.path().extension() == ".state" &&
        !satin::is_temporary_name(entry.path().filename().string()))
      states.push_back(entry.path());
  std::sort(states.rbegin(), states.rend());
  return states;
}

void remove_temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (satin::is_temporary_name(entry.path().filename().string())) found.push_back(entry.path());
  for (const fs::path& path : found) fs::remove(path, ignored);
}

/// log.jsonl, opened behind the lines up to `iteration`: what a killed run logged beyond its last
/// state will be logged again.
class Log {
 public:
  Log(const fs::path& path, int64_t iteration) : path_(path) {
    std::string kept;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const auto entry = nlohmann::json::parse(line, nullptr, false);
      if (entry.is_object() && entry.value("step", int64_t{0}) <= iteration) kept += line + "\n";
    }
    write_text(path.string(), kept);
    out_.open(path, std::ios::app);
    require_good();
  }
  void add(const nlohmann::ordered_json& entry) {
    out_ << entry.dump() << "\n";
    out_.flush();
    require_good();
  }

 private:
  void require_good() const {
    if (!out_)
      throw Failure(kOutput, "cannot write", one_line(path_.string()), "is the disk full?");
  }

  fs::path path_;
  std::ofstream out_;
};

/// Mean PSNR and SSIM of the present weights over the validation pairs.
Scores validate(const Trainer& trainer,
                const std::vector<PairFiles>& pairs,
                const Globals& globals) {
  const Globals left = trainer.beside(globals);
  Smoother smoother(trainer.model(), left);
  Scores sum;
  for (const PairFiles& files : pairs) {
    stop_if_interrupted();
    const Pair pair = load_pair(files, [](const std::string& path) { return read_image(path); });
    const Image result = smoother.smooth(pair.input);
    sum.psnr += psnr(result, pair.gt);
    sum.ssim += ssim(result, pair.gt);
  }
  const auto n = static_cast<double>(pairs.size());
  return {sum.psnr / n, sum.ssim / n};
}

class Run {
 public:
  Run(const TrainConfig& config, const fs::path& folder, const Globals& globals)
      : config_(config), folder_(folder), globals_(globals), trainer_(config, globals) {
    if (!config.val.empty()) validation_ = find_pairs(config.val, Split::kValidation);
  }

  void start() {
    std::error_code error;
    fs::create_directories(folder_ / "state", error);
    if (error)
      throw Failure(kOutput, "cannot make the run folder", one_line(folder_.string()),
                    error.message());
    write_text((folder_ / "config.toml").string(), to_toml(config_));
    save_state();
  }

  /// The newest state that is whole.  What a killed run was writing is removed.
  void resume() {
    remove_temporaries(folder_);
    remove_temporaries(folder_ / "state");
    const std::vector<fs::path> states = states_of(folder_);
    for (size_t i = 0; i < states.size(); ++i) {
      try {
        trainer_.load_state(states[i].string());
        return;
      } catch (const satin::FileError& e) {
        if (i + 1 == states.size()) throw;
        warn(cat(e.what(), "; going back to the state before it"));
      }
    }
    // No state at all: killed before the first was written.  The run starts at step 0, as it would
    // have.
  }

  bool finished() const { return trainer_.iteration() >= config_.iters; }
  int64_t iteration() const { return trainer_.iteration(); }

  void train(double seconds) {
    note(globals_, cat("training on ", device_name(globals_), ", plan ",
                       size_text(trainer_.plan().total_bytes()), ", steps ", trainer_.iteration(),
                       " to ", config_.iters));
    write_text((folder_ / "config.toml").string(), to_toml(config_));
    Log log(folder_ / "log.jsonl", trainer_.iteration());
    Progress progress(globals_, "training", static_cast<uint64_t>(config_.iters), "steps");
    const auto start = Clock::now();
    try {
      bool late = false;
      while (!finished()) {
        one_step(log, progress, !late && !interrupted());
        const int64_t i = trainer_.iteration();
        late = late || (seconds > 0 && since(start) > seconds);
        if (trainer_.in_flight()) continue;  // where nothing but a step is due
        if (!validation_.empty() && (i % config_.val_every == 0 || finished())) validate_now(log);
        late = late || (seconds > 0 && since(start) > seconds);
        if (i % config_.save_every == 0 || finished() || late || interrupted()) save();
        stop_if_interrupted();
        if (late && !finished()) {
          progress.clear();
          note(globals_, cat("time limit reached at step ", i, "; --resume goes on"));
          return;
        }
      }
    } catch (const Interrupted&) {
      progress.clear();
      note(globals_, cat("stopped at step ", trainer_.iteration(),
                         "; --resume goes on from the saved state"));
      throw;
    }
    progress.clear();
    note(globals_, cat("done: ", one_line((folder_ / "model.gguf").string())));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  /// Whether after this step the run does something else than the next one.
  bool pauses_after(int64_t step) const {
    return step >= config_.iters || step % config_.save_every == 0 ||
           (!validation_.empty() && step % config_.val_every == 0);
  }

  /// `more`: nobody wants to stop.
  void one_step(Log& log, Progress& progress, bool more) {
    const auto start = Clock::now();
    const StepResult r = trainer_.step(more && !pauses_after(trainer_.iteration() + 1));
    const double seconds = since(start);
    const int64_t i = trainer_.iteration();
    if (i % config_.log_every == 0 || finished() || r.skipped)
      log.add(
          {{"t", "train"},
           {"step", i},
           {"loss", json_number(r.loss)},
           {"lr", r.lr},
           {"grad_norm", json_number(r.grad_norm)},
           {"ms", std::round(seconds * 1e4) / 10},
           {"pairs_per_s", std::round(static_cast<double>(config_.batch) / seconds * 100) / 100}});
    std::ostringstream text;
    text.precision(4);
    text << "loss " << r.loss;
    progress.update(static_cast<uint64_t>(i), text.str());
    if (trainer_.skipped_in_a_row() >= kMostSkips)
      throw Failure(
          kNotANumber, "the training diverged", cat("step ", i),
          cat(kMostSkips,
              " losses or gradients in a row were not finite; the last good state is kept. "
              "Lower --lr or --clip"));
  }

  void validate_now(Log& log) {
    const Scores s = validate(trainer_, validation_, globals_);
    log.add({{"t", "val"},
             {"step", trainer_.iteration()},
             {"psnr", json_number(s.psnr)},
             {"ssim", json_number(s.ssim)}});
    if (s.psnr > trainer_.best_psnr()) {
      trainer_.set_best_psnr(s.psnr);
      write_model(folder_ / "best.gguf");
    }
  }

  void write_model(const fs::path& path) const {
    satin::write_file(path.string(), serialize_model(trainer_.model(), ModelFormat::gguf));
  }

  void save() {
    if (trainer_.skipped_in_a_row() > 0 && !interrupted() && !finished()) return;
    save_state();
    // The page runs the network on its samples: often enough is once a minute.
    if (reported_ && !finished() && !interrupted() && since(*reported_) < 60) return;
    reported_ = Clock::now();
    write_text((folder_ / "report.html").string(),
               report_page(folder_ / "log.jsonl", trainer_, globals_));
  }

  /// Model first, state last: the state is what a resumed run believes.
  void save_state() {
    write_model(folder_ / "model.gguf");
    if (validation_.empty()) write_model(folder_ / "best.gguf");
    satin::write_file(state_path(folder_, trainer_.iteration()).string(), trainer_.save_state());
    const std::vector<fs::path> states = states_of(folder_);
    for (size_t i = static_cast<size_t>(config_.keep); i < states.size(); ++i) {
      std::error_code ignored;
      fs::remove(states[i], ignored);
    }
  }

  TrainConfig config_;
  fs::path folder_;
  const Globals& globals_;
  Trainer trainer_;
  std::vector<PairFiles> validation_;
  std::optional<Clock::time_point> reported_;
};

/// Defaults, then the file, then --set, then flags.
void apply_all(TrainConfig& config, const TrainArguments& a, const Globals& globals) {
  config.seed = globals.seed;
  if (!a.config.empty()) apply_toml(config, a.config);
  for (const std::string& set : a.sets) {
    const size_t at = set.find('=');
    if (at == std::string::npos) throw Failure(kUsage, "--set takes key=value", one_line(set), "");
    set_entry(config, set.substr(0, at), set.substr(at + 1));
  }
  if (globals.precision != "auto") set_entry(config, "precision", globals.precision);
  for (const auto& [name, value] : a.given) set_entry(config, name, value);
}

void train(const TrainArguments& a, Globals globals) {
  const fs::path folder = a.output;
  double seconds = 0;
  if (!a.time_limit.empty()) {
    const auto parsed = parse_duration(a.time_limit);
    if (!parsed || *parsed <= 0)
      throw Failure(kUsage, "bad value for --time-limit", one_line(a.time_limit),
                    "it takes 2h, 30m, 90s");
    seconds = *parsed;
  }
  const bool holds_run = fs::exists(folder / "config.toml");
  TrainConfig config;
  if (a.resume) {
    if (!holds_run)
      throw Failure(kUsage, "nothing to resume", one_line(folder.string()),
                    "the folder holds no config.toml");
    apply_toml(config, (folder / "config.toml").string());
    TrainConfig wanted = config;
    const Globals seeded = [&] {
      Globals g = globals;
      g.seed = config.seed;
      return g;
    }();
    apply_all(wanted, a, seeded);
    const auto before = entries(config), after = entries(wanted);
    for (size_t i = 0; i < before.size(); ++i)
      if (before[i] != after[i] && !may_change_on_resume(before[i].first))
        throw Failure(kUsage, "a resumed run keeps its " + before[i].first, before[i].second,
                      "start a new run in another folder");
    config = wanted;
  } else {
    if (holds_run)
      throw Failure(kUsage, "the folder holds a run", one_line(folder.string()),
                    "--resume goes on with it; or name another folder");
    apply_all(config, a, globals);
  }
  if (config.data.empty())
    throw Failure(kUsage, a.resume ? "the run's config.toml names no data" : "--data is missing",
                  a.resume ? one_line(folder.string()) : "", "a folder of pairs, or synth");
  globals.precision = config.precision;  // what a run began with it keeps, validation too
  backend_of(globals);
  announce_device(globals);
  Run run(config, folder, globals);
  if (a.resume)
    run.resume();
  else
    run.start();
  if (run.finished()) {
    note(globals, cat("the run is finished at step ", run.iteration()));
    return;
  }
  run.train(seconds);
}

}  // namespace

void add_train(CLI::App& app, Globals& globals) {
  CLI::App* command = app.add_subcommand("train", "train a network on picture pairs");
  auto a = std::make_shared<TrainArguments>();
  command->add_option("-o,--output", a->output, "run folder")->required();
  command->add_flag("--resume", a->resume, "go on with the run in the folder, bit for bit");
  command->add_option("--config", a->config, "TOML file of settings");
  command->add_option("--set", a->sets, "one setting, key=value");
  command->add_option("--time-limit", a->time_limit, "stop and save after 2h, 30m, 90s");
  const std::pair<const char*, const char*> flags[] = {
      {"data", "folder of pairs, or synth"},
      {"val", "folder of validation pairs"},
      {"init", "model to start from"},
      {"variant",
       "full or an ablation: plain-eb, plain-db, plain-eb-db, msfb-single, local-only, "
       "global-only"},
      {"iters", "steps (30000)"},
      {"batch", "pairs a step (8)"},
      {"crop", "side of the crops in pixels (128)"},
      {"lr", "learning rate (2e-4)"},
      {"lr-steps", "steps at which it is multiplied by lr-gamma (10000,20000)"},
      {"lr-gamma", "(0.5)"},
      {"clip", "limit of the global gradient norm (10)"},
      {"augment", "flip,rot | flip | rot | none"},
      {"shuffle", "on | off"},
      {"save-every", "steps between saved states (500)"},
      {"val-every", "steps between validations (1000)"},
      {"log-every", "steps between log lines (1)"},
      {"keep", "states kept (2)"},
      {"overfit", "use the first N pairs only"}};
  for (const auto& [name, help] : flags)
    command->add_option_function<std::string>(
        cat("--", name),
        [a, key = std::string(name)](const std::string& value) { a->given[key] = value; }, help);
  command->callback([a, &globals] { train(*a, globals); });
}

}  // namespace mgpnet
