// Training: the compiled step, its data and the state that a run can be resumed from.
#pragma once

#include <array>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mgpnet/batches.h"
#include "mgpnet/command.h"
#include "mgpnet/model.h"
#include "mgpnet/train_config.h"
#include "nn/optimizer.h"

namespace mgpnet {

/// What one step did.
struct StepResult {
  float loss;       ///< before the update
  float grad_norm;  ///< before clipping
  double lr;
  bool skipped;  ///< loss or norm not finite: weights and moments stayed
};

/// Weights, moments and position: the whole of what the next step depends on besides the
/// configuration.
class Trainer {
 public:
  /// errors: Failure(kMemory) when training does not fit --max-mem; whatever the data's reader
  /// throws
  Trainer(const TrainConfig& config, const Globals& globals);

  /// The next step, on samples iteration() * batch ...  With `more` the one behind it may be
  /// started before this one's result is there: then nothing but step() may be asked until
  /// in_flight() is false, which a step without `more` brings about.
  StepResult step(bool more = false);
  bool in_flight() const { return started_ > iteration_; }

  int64_t iteration() const { return iteration_; }
  int64_t skipped_in_a_row() const { return skipped_; }
  double best_psnr() const { return best_; }
  void set_best_psnr(double psnr) { best_ = psnr; }
  const TrainConfig& config() const { return config_; }
  const satin::Plan& plan() const { return program_->plan(); }
  const PairSource& source() const { return *source_; }

  /// What is left of --max-mem for work beside the training, such as a Smoother's.
  Globals beside(Globals globals) const;

  /// The weights as they are now.
  Model model() const;

  /// The bytes of a training state, and back: then everything goes on bit for bit.
  /// errors of load_state: satin::FileError: damaged, or of another configuration
  std::vector<uint8_t> save_state() const;
  void load_state(const std::string& path);

 private:
  double lr_of(int64_t iteration) const;
  size_t turn_of(int64_t iteration) const;
  void start(int64_t iteration);
  std::string fingerprint() const;
  std::string_view instruction_set() const;

  TrainConfig config_;
  NetworkConfig network_;  // of config_.variant
  satin::Parameters parameters_;
  satin::ThreadPool pool_;
  satin::Exec exec_;
  const satin::Backend& backend_;
  satin::Tensor input_, target_;
  satin::TrainingStep step_;
  std::unique_ptr<satin::Program> program_;
  std::unique_ptr<PairSource> source_;
  Batches batches_;             // read while steps run
  std::array<Batch, 2> batch_;  // of two steps in turns, like all below
  std::shared_ptr<void> results_memory_;
  std::array<std::span<float>, 2> results_;  // loss, norm
  std::array<satin::Backend::Mark, 2> done_;
  int64_t footprint_ = 0;  // bytes of plan and batches
  int64_t iteration_ = 0;  // steps whose result is known
  int64_t started_ = 0;
  int64_t skipped_ = 0;
  double best_ = -std::numeric_limits<double>::infinity();
};

/// The pairs that config.data names.
std::unique_ptr<PairSource> training_source(const TrainConfig& config);

}  // namespace mgpnet
