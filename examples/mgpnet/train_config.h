// Everything that decides a training, under the names of the command line and of config.toml.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mgpnet {

struct TrainConfig {
  std::string data;  ///< a folder of pairs, or "synth"
  std::string val;   ///< a folder of pairs, or empty
  std::string init;  ///< a model to start from, or empty
  std::string variant = "full";
  std::string precision = "f32";  ///< of products: f32, bf16, on a GPU tf32; all else is f32
  int64_t iters = 30000;
  int64_t batch = 8;
  int64_t crop = 128;  ///< pixels, a multiple of 32
  double lr = 2e-4;
  std::vector<int64_t> lr_steps = {10000, 20000};
  double lr_gamma = 0.5;
  double clip = 10;
  std::string augment = "flip,rot";  ///< or "flip", "rot", "none"
  bool shuffle = true;
  int64_t save_every = 500;
  int64_t val_every = 1000;
  int64_t log_every = 1;
  int64_t keep = 2;     ///< training states kept in state/
  int64_t overfit = 0;  ///< only the first N pairs; 0: all
  uint64_t seed = 1;

  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

/// Sets one entry by its name ("lr_steps" or "lr-steps"), from text as it stands on a command line.
/// errors: Failure(kUsage): an unknown name (with the one probably meant) or a value out of range
void set_entry(TrainConfig& config, const std::string& name, const std::string& value);

/// All entries as (name, value), in the order of the struct.
std::vector<std::pair<std::string, std::string>> entries(const TrainConfig& config);

/// Whether a resumed run may change this entry: how long and how often, not what is computed.
bool may_change_on_resume(const std::string& name);

/// config.toml, and back.
/// errors: Failure(kUsage): not TOML, over 1 MiB, unknown or repeated names, values of a wrong type
std::string to_toml(const TrainConfig& config);
void apply_toml(TrainConfig& config, const std::string& path);

}  // namespace mgpnet
