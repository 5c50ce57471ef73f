// mgpnet train as a user runs it: the run folder, refusals, and resuming after kills at any moment.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "nn/atomic_file.h"
#include "nn/random.h"
#include "program.h"

namespace fs = std::filesystem;
using mgpnet::test::RunOptions;
using mgpnet::test::TemporaryFolder;

namespace {

int exit_code(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
  return mgpnet::test::run(arguments, options).code;
}

/// Whole files, which must be there.
std::string content(const fs::path& path) {
  REQUIRE_MESSAGE(fs::exists(path), path.string());
  return mgpnet::test::file_text(path.string());
}

std::vector<std::string> tiny(const fs::path& folder,
                              const std::string& iters,
                              const std::string& save_every = "1") {
  return {"train",   "--data",       "synth",    "-o",         folder.string(),
          "--iters", iters,          "--batch",  "1",          "--crop",
          "32",      "--save-every", save_every, "--progress", "none"};
}

/// The whole lines of a log, without what differs from run to run.
std::vector<nlohmann::json> log_without_times(const fs::path& log) {
  std::ifstream in(log);
  std::vector<nlohmann::json> entries;
  for (std::string line; std::getline(in, line);) {
    auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object()) continue;
    entry.erase("ms");
    entry.erase("pairs_per_s");
    entries.push_back(entry);
  }
  return entries;
}

nlohmann::json last_entry(const fs::path& log) {
  const auto entries = log_without_times(log);
  return entries.empty() ? nlohmann::json::object() : entries.back();
}

/// What a killed writer left in the folder, or what a living one is writing.
std::vector<fs::path> temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    if (satin::is_temporary_name(i->path().filename().string())) found.push_back(i->path());
  return found;
}

}  // namespace

TEST_CASE("train fills a run folder and refuses to overwrite it") {
  const TemporaryFolder folder;
  const fs::path a = fs::path(folder / "a");
  CHECK(exit_code(tiny(a, "2")) == 0);
  for (const char* name : {"config.toml", "log.jsonl", "model.gguf", "best.gguf", "report.html",
                           "state/000000002.state"})
    CHECK_MESSAGE(fs::exists(a / name), name);
  const auto last = last_entry(a / "log.jsonl");
  CHECK(last["t"] == "train");
  CHECK(last["step"] == 2);
  CHECK(last["loss"].get<double>() > 0);
  CHECK(last["grad_norm"].get<double>() > 0);

  CHECK(exit_code(tiny(a, "2")) == 2);
  const std::string before = content(a / "state/000000002.state");
  const auto time = fs::last_write_time(a / "state/000000002.state");
  CHECK(exit_code({"train", "-o", a.string(), "--resume"}) == 0);  // finished: nothing changes
  CHECK(content(a / "state/000000002.state") == before);
  CHECK(fs::last_write_time(a / "state/000000002.state") == time);
  CHECK(exit_code({"train", "-o", a.string(), "--resume", "--lr", "1"}) == 2);
  CHECK(exit_code({"train", "-o", folder / "none", "--resume"}) == 2);
  mgpnet::test::write_text_file(a / "config.toml", "");
  const auto emptied = mgpnet::test::run({"train", "-o", a.string(), "--resume"});
  CHECK(emptied.code == 2);
  CHECK(emptied.err.find("names no data") != std::string::npos);
}

TEST_CASE("a training in bf16 is resumed in bf16, bit for bit") {
  const TemporaryFolder folder;
  const fs::path whole = folder / "whole", parts = folder / "parts";
  const auto in_bf16 = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--precision", "bf16"});
    return arguments;
  };
  REQUIRE(exit_code(in_bf16(tiny(whole, "4"))) == 0);
  CHECK(content(whole / "config.toml").find("precision = 'bf16'") != std::string::npos);
  REQUIRE(exit_code(in_bf16(tiny(parts, "2"))) == 0);
  const std::vector<std::string> resume = {"train",   "-o", parts.string(), "--resume",
                                           "--iters", "4",  "--progress",   "none"};
  auto in_f32 = resume;
  in_f32.insert(in_f32.end(), {"--precision", "f32"});
  const auto refused = mgpnet::test::run(in_f32);
  CHECK(refused.code == 2);
  CHECK(refused.err.find("a resumed run keeps its precision: bf16") != std::string::npos);
  CHECK(exit_code(resume) == 0);
  CHECK(content(parts / "model.gguf") == content(whole / "model.gguf"));
  CHECK(content(parts / "state/000000004.state") == content(whole / "state/000000004.state"));

  REQUIRE(exit_code(tiny(folder / "f32", "4")) == 0);
  CHECK(content(fs::path(folder / "f32") / "model.gguf") != content(whole / "model.gguf"));
}

TEST_CASE("train refuses bad settings") {
  const TemporaryFolder folder;
  const std::string out = folder / "x";
  CHECK(exit_code({"train", "-o", out}) == 2);
  CHECK(exit_code({"train", "-o", out, "--data", "synth", "--crop", "33"}) == 2);
  CHECK(exit_code({"train", "-o", out, "--data", "synth", "--lr", "nan"}) == 2);
  CHECK(exit_code({"train", "-o", out, "--data", "synth", "--set", "btach=1"}) == 2);
  CHECK(exit_code({"train", "-o", out, "--data", "synth", "--time-limit", "soon"}) == 2);
  CHECK(exit_code({"train", "-o", out, "--data", folder / "nowhere"}) == 3);
  const auto config = [&](const std::string& text) {
    mgpnet::test::write_text_file(folder / "c.toml", text);
    return exit_code({"train", "-o", out, "--data", "synth", "--config", folder / "c.toml"});
  };
  CHECK(config("batch = ") == 2);
  CHECK(config("batch = 1\nbatch = 2\n") == 2);
  CHECK(config("lr = nan\n") == 2);
  CHECK(config("batch = -1\n") == 2);
  CHECK(config("iters = 1e300\n") == 2);
  CHECK(config("batches = 1\n") == 2);
  CHECK(config(std::string(2 << 20, '#')) == 2);
  for (const auto& [special, why] : {std::pair(folder.path(), "name a regular file"),
                                     std::pair(std::string("/dev/zero"), "name a regular file"),
                                     std::pair(folder / "none", "no such file")}) {
    const auto refused =
        mgpnet::test::run({"train", "-o", out, "--data", "synth", "--config", special});
    CHECK(refused.code == 2);
    CHECK(refused.err.find(why) != std::string::npos);
  }
  CHECK(!fs::exists(out));
}

TEST_CASE("a damaged state falls back to the one before it") {
  const TemporaryFolder folder;
  const fs::path a = fs::path(folder / "a");
  REQUIRE(exit_code(tiny(a, "2")) == 0);
  const std::string model = content(a / "model.gguf");
  {
    std::fstream newest(a / "state/000000002.state",
                        std::ios::in | std::ios::out | std::ios::binary);
    newest.seekp(5000);
    newest.put('\x55');
  }
  CHECK(exit_code({"train", "-o", a.string(), "--resume", "--progress", "none"}) == 0);
  CHECK(content(a / "model.gguf") == model);

  for (const auto& state : fs::directory_iterator(a / "state"))
    mgpnet::test::write_text_file(state.path(), "no state at all");
  const auto refused = mgpnet::test::run({"train", "-o", a.string(), "--resume"});
  CHECK(refused.code == 5);
  CHECK(refused.err.find("cannot use training state") != std::string::npos);
}

TEST_CASE("interrupted training saves its state and exits 130 or 143") {
  const TemporaryFolder folder;
  const fs::path a = fs::path(folder / "a");
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    auto arguments = tiny(a, "100000");
    if (fs::exists(a)) arguments = {"train", "-o", a.string(), "--resume", "--progress", "none"};
    const RunOptions stop{.signal = signal, .signal_ms = 300, .signal_when = [&] {
                            return fs::exists(a / "log.jsonl");
                          }};
    CHECK(exit_code(arguments, stop) == code);
  }
}

TEST_CASE("killed 50 times and resumed, a training ends in the same bytes") {
  const TemporaryFolder folder;
  const fs::path whole = folder / "whole", broken = folder / "broken";
  const std::string val = folder / "val";
  REQUIRE(exit_code({"synth", "-o", val, "--count", "2", "--size", "32"}) == 0);
  // Saved every second step, validated at each: the best model and the state are of different
  // steps.
  const auto start = [&](const fs::path& run) {
    auto arguments = tiny(run, "12", "2");
    for (const char* more : {"--val", val.c_str(), "--val-every", "1"})
      arguments.emplace_back(more);
    return arguments;
  };
  const auto go_on = [&] {
    return fs::exists(broken / "config.toml")
               ? std::vector<std::string>{"train",    "-o",         broken.string(),
                                          "--resume", "--progress", "none"}
               : start(broken);
  };
  const auto compare = [&] {
    for (const char* name : {"model.gguf", "best.gguf", "config.toml"})
      CHECK_MESSAGE(content(broken / name) == content(whole / name), name);
    // Weights, moments, position and best score.
    CHECK(content(broken / "state/000000012.state") == content(whole / "state/000000012.state"));
    CHECK(log_without_times(broken / "log.jsonl") == log_without_times(whole / "log.jsonl"));
    CHECK(temporaries(broken).empty());
    CHECK(temporaries(broken / "state").empty());
  };
  REQUIRE(exit_code(start(whole)) == 0);

  // Every fourth kill waits until a state is being written, every fourth until a model is; the
  // others come at any moment of the start and the first steps.
  const auto writing_state = [&] { return !temporaries(broken / "state").empty(); };
  const auto writing_model = [&] {
    // Not config.toml or log.jsonl, which are small.
    for (const fs::path& path : temporaries(broken)) {
      std::error_code gone;
      const auto size = fs::file_size(path, gone);
      if (!gone && size > 1'000'000) return true;
    }
    return false;
  };
  // On a busy machine the wait may miss the moment, so there may have to be more than fifty.
  int kills = 0, in_state = 0, in_best = 0;
  const auto enough = [&] { return kills >= 50 && in_state >= 5 && in_best >= 5; };
  for (uint64_t round = 0; !enough() && round < 400; ++round) {
    RunOptions options{.signal = SIGKILL};
    if (round % 4 == 0)
      options.signal_when = writing_state;
    else if (round % 4 == 2)
      options.signal_when = writing_model;
    else
      options.signal_ms = static_cast<int>(20 + 900 * satin::uniform(7, round));
    const int code = exit_code(go_on(), options);
    if (code == 0) {  // done before the kill: this round must agree too, then again
      compare();
      fs::remove_all(broken);
      continue;
    }
    REQUIRE(code == 128 + SIGKILL);
    ++kills;
    if (writing_state()) ++in_state;
    // At odd steps only the best model is written.
    if (writing_model() && last_entry(broken / "log.jsonl").value("step", 0) % 2 == 1) ++in_best;
  }
  CHECK(kills >= 50);
  CHECK(in_state >= 5);
  CHECK(in_best >= 5);
  CHECK(exit_code(go_on()) == 0);
  compare();
}
