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

std::vector<std::string> tiny(const fs::path& folder, const std::string& iters) {
  return {"train",   "--data",       "synth",   "-o",         folder.string(),
          "--iters", iters,          "--batch", "1",          "--crop",
          "32",      "--save-every", "1",       "--progress", "none"};
}

nlohmann::json last_entry(const fs::path& log) {
  std::ifstream in(log);
  nlohmann::json last;
  for (std::string line; std::getline(in, line);) last = nlohmann::json::parse(line);
  return last;
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
}

TEST_CASE("interrupted training saves its state and exits 130 or 143") {
  const TemporaryFolder folder;
  const fs::path a = fs::path(folder / "a");
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    auto arguments = tiny(a, "100000");
    if (fs::exists(a)) arguments = {"train", "-o", a.string(), "--resume", "--progress", "none"};
    const RunOptions stop{.signal = signal, .signal_ms = 300, .signal_file = a / "log.jsonl"};
    CHECK(exit_code(arguments, stop) == code);
  }
}

TEST_CASE("killed 50 times and resumed, a training ends in the same bytes") {
  const TemporaryFolder folder;
  const fs::path whole = folder / "whole", broken = folder / "broken";
  const std::string iters = "12";
  REQUIRE(exit_code(tiny(whole, iters)) == 0);

  // Waits are drawn around the time of a start and a few steps, so that kills hit every phase:
  // start-up, steps, and the writing of states (each step writes one).
  int kills = 0, rounds = 0;
  for (uint64_t draw = 0; kills < 50 && rounds < 400; ++draw, ++rounds) {
    auto arguments = tiny(broken, iters);
    if (fs::exists(broken / "config.toml")) arguments.push_back("--resume");
    const int wait_ms = static_cast<int>(20 + 900 * satin::uniform(7, draw));
    const int code = exit_code(arguments, {.signal = SIGKILL, .signal_ms = wait_ms});
    if (code == 128 + SIGKILL) ++kills;
    if (code == 0 &&
        kills < 50) {  // done before enough kills: this round must agree too, then again
      CHECK(content(broken / "model.gguf") == content(whole / "model.gguf"));
      fs::remove_all(broken);
    }
  }
  CHECK(kills == 50);
  auto arguments = tiny(broken, iters);
  if (fs::exists(broken / "config.toml")) arguments.push_back("--resume");
  CHECK(exit_code(arguments) == 0);
  CHECK(content(broken / "model.gguf") == content(whole / "model.gguf"));
  CHECK(content(broken / "best.gguf") == content(whole / "best.gguf"));
  // Weights, moments, position and best value.
  CHECK(content(broken / "state/000000012.state") == content(whole / "state/000000012.state"));
}
