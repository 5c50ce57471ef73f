#include "mgpnet/train_config.h"

#include <charconv>
#include <functional>
#include <sstream>

#include "mgpnet/command.h"
#include "mgpnet/config_file.h"
#include "mgpnet/network.h"
#include "nn/text.h"
#include "tensor/error.h"

namespace mgpnet {
namespace {

struct Entry {
  std::string name;
  bool resume;  // may change when a run is resumed
  std::function<bool(TrainConfig&, const std::string&)> set;
  std::function<std::string(const TrainConfig&)> get;
  std::string allowed;
};

template <class T>
bool parse(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

std::string shortest(double x) {
  char buffer[64];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, x);
  return {buffer, result.ptr};
}

Entry whole(std::string name,
            bool resume,
            int64_t TrainConfig::*field,
            int64_t least,
            int64_t most,
            int64_t unit = 1) {
  return {std::move(name), resume,
          [=](TrainConfig& c, const std::string& text) {
            int64_t value = 0;
            if (!parse(text, value) || value < least || value > most || value % unit != 0)
              return false;
            c.*field = value;
            return true;
          },
          [=](const TrainConfig& c) { return std::to_string(c.*field); },
          satin::cat("a whole number from ", least, " to ", most,
                     unit > 1 ? satin::cat(", a multiple of ", unit) : "")};
}

Entry number(std::string name, double TrainConfig::*field, double least, double most) {
  return {std::move(name), false,
          [=](TrainConfig& c, const std::string& text) {
            double value = 0;
            if (!parse(text, value) || !(value >= least && value <= most)) return false;
            c.*field = value;
            return true;
          },
          [=](const TrainConfig& c) { return shortest(c.*field); },
          satin::cat("a number from ", least, " to ", most)};
}

Entry text(std::string name,
           bool resume,
           std::string TrainConfig::*field,
           const std::vector<std::string>& words = {}) {
  std::string allowed = words.empty() ? "any text" : "one of";
  for (const std::string& word : words) allowed += " " + word;
  return {std::move(name), resume,
          [=](TrainConfig& c, const std::string& value) {
            bool known = words.empty();
            for (const std::string& word : words) known = known || word == value;
            if (known) c.*field = value;
            return known;
          },
          [=](const TrainConfig& c) { return c.*field; }, allowed};
}

bool parse_list(const std::string& value, std::vector<int64_t>& list) {
  list.clear();
  std::stringstream parts(value);
  for (std::string part; std::getline(parts, part, ',');) {
    int64_t step = 0;
    if (!parse(part, step) || step < 1 || (!list.empty() && step <= list.back())) return false;
    list.push_back(step);
  }
  return true;
}

std::string join(const std::vector<int64_t>& list) {
  std::string joined;
  for (const int64_t step : list) joined += (joined.empty() ? "" : ",") + std::to_string(step);
  return joined;
}

const std::vector<Entry>& table() {
  constexpr int64_t kMost = 1'000'000'000;
  static const std::vector<Entry> kTable = {
      text("data", false, &TrainConfig::data),
      text("val", false, &TrainConfig::val),
      text("init", false, &TrainConfig::init),
      text("variant", false, &TrainConfig::variant, variant_names()),
      text("precision", false, &TrainConfig::precision, {"f32", "tf32", "bf16"}),
      whole("iters", true, &TrainConfig::iters, 1, kMost),
      whole("batch", false, &TrainConfig::batch, 1, 1024),
      whole("crop", false, &TrainConfig::crop, 32, 4096, kGranule),
      number("lr", &TrainConfig::lr, 0, 10),
      {"lr_steps", false,
       [](TrainConfig& c, const std::string& value) { return parse_list(value, c.lr_steps); },
       [](const TrainConfig& c) { return join(c.lr_steps); },
       "rising iterations, e.g. 10000,20000, or empty"},
      number("lr_gamma", &TrainConfig::lr_gamma, 0, 1),
      number("clip", &TrainConfig::clip, 1e-6, 1e9),
      text("augment", false, &TrainConfig::augment, {"flip,rot", "flip", "rot", "none"}),
      {"shuffle", false,
       [](TrainConfig& c, const std::string& value) {
         c.shuffle = value == "on" || value == "true";
         return c.shuffle || value == "off" || value == "false";
       },
       [](const TrainConfig& c) { return c.shuffle ? "on" : "off"; }, "on or off"},
      whole("save_every", true, &TrainConfig::save_every, 1, kMost),
      whole("val_every", false, &TrainConfig::val_every, 1, kMost),
      whole("log_every", true, &TrainConfig::log_every, 1, kMost),
      whole("keep", true, &TrainConfig::keep, 1, 1000),
      whole("overfit", false, &TrainConfig::overfit, 0, kMost),
      {"seed", false,
       [](TrainConfig& c, const std::string& value) {
         return parse(value, c.seed) && c.seed <= uint64_t{1} << 62;
       },
       [](const TrainConfig& c) { return std::to_string(c.seed); },
       "a whole number from 0 to 2^62"},
  };
  return kTable;
}

const Entry& find_entry(std::string name) {
  for (char& c : name)
    if (c == '-') c = '_';
  std::vector<std::string_view> names;
  for (const Entry& entry : table()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  const std::string near = satin::nearest_name(name, names);
  throw Failure(kUsage, "unknown setting", satin::one_line(name),
                near.empty() ? "see mgpnet train --help" : "did you mean " + near + "?");
}

}  // namespace

void set_entry(TrainConfig& config, const std::string& name, const std::string& value) {
  const Entry& entry = find_entry(name);
  if (!entry.set(config, value))
    throw Failure(kUsage, satin::cat("bad value for ", entry.name), satin::one_line(value),
                  "it takes " + entry.allowed);
}

std::vector<std::pair<std::string, std::string>> entries(const TrainConfig& config) {
  std::vector<std::pair<std::string, std::string>> list;
  for (const Entry& entry : table()) list.emplace_back(entry.name, entry.get(config));
  return list;
}

bool may_change_on_resume(const std::string& name) { return find_entry(name).resume; }

std::string to_toml(const TrainConfig& config) {
  return settings_text("What was in force in this training; mgpnet train --config reads it.",
                       entries(config));
}

void apply_toml(TrainConfig& config, const std::string& path) {
  for (const Setting& setting : read_settings(path)) set_entry(config, setting.key, setting.value);
}

}  // namespace mgpnet
