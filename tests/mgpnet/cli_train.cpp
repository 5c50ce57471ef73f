// mgpnet train as a user runs it: the run folder, refusals, and resuming after kills at any moment.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/random.h"

namespace fs = std::filesystem;

namespace {

/// A folder that goes away with the test.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "mgpnet_train_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

pid_t start(const std::vector<std::string>& arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  std::vector<char*> argv;
  std::string program = MGPNET_PROGRAM;
  argv.push_back(program.data());
  std::vector<std::string> copy = arguments;
  for (std::string& argument : copy) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, 1);
  dup2(null, 2);
  execv(argv[0], argv.data());
  _exit(127);
}

int finish(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run(const std::vector<std::string>& arguments) { return finish(start(arguments)); }

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), path.string());
  return {std::istreambuf_iterator<char>(in), {}};
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
  const Folder folder;
  const fs::path a = folder.path / "a";
  CHECK(run(tiny(a, "2")) == 0);
  for (const char* name : {"config.toml", "log.jsonl", "model.gguf", "best.gguf", "report.html",
                           "state/000000002.state"})
    CHECK_MESSAGE(fs::exists(a / name), name);
  const auto last = last_entry(a / "log.jsonl");
  CHECK(last["t"] == "train");
  CHECK(last["step"] == 2);
  CHECK(last["loss"].get<double>() > 0);
  CHECK(last["grad_norm"].get<double>() > 0);

  CHECK(run(tiny(a, "2")) == 2);
  const std::string before = content(a / "state/000000002.state");
  const auto time = fs::last_write_time(a / "state/000000002.state");
  CHECK(run({"train", "-o", a.string(), "--resume"}) == 0);  // finished: nothing changes
  CHECK(content(a / "state/000000002.state") == before);
  CHECK(fs::last_write_time(a / "state/000000002.state") == time);
  CHECK(run({"train", "-o", a.string(), "--resume", "--lr", "1"}) == 2);
  CHECK(run({"train", "-o", (folder.path / "none").string(), "--resume"}) == 2);
}

TEST_CASE("train refuses bad settings") {
  const Folder folder;
  const std::string out = (folder.path / "x").string();
  CHECK(run({"train", "-o", out}) == 2);
  CHECK(run({"train", "-o", out, "--data", "synth", "--crop", "33"}) == 2);
  CHECK(run({"train", "-o", out, "--data", "synth", "--lr", "nan"}) == 2);
  CHECK(run({"train", "-o", out, "--data", "synth", "--set", "btach=1"}) == 2);
  CHECK(run({"train", "-o", out, "--data", "synth", "--time-limit", "soon"}) == 2);
  CHECK(run({"train", "-o", out, "--data", (folder.path / "nowhere").string()}) == 3);
  const auto config = [&](const std::string& text) {
    std::ofstream(folder.path / "c.toml") << text;
    return run(
        {"train", "-o", out, "--data", "synth", "--config", (folder.path / "c.toml").string()});
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
  const Folder folder;
  const fs::path a = folder.path / "a";
  REQUIRE(run(tiny(a, "2")) == 0);
  const std::string model = content(a / "model.gguf");
  {
    std::fstream newest(a / "state/000000002.state",
                        std::ios::in | std::ios::out | std::ios::binary);
    newest.seekp(5000);
    newest.put('\x55');
  }
  CHECK(run({"train", "-o", a.string(), "--resume", "--progress", "none"}) == 0);
  CHECK(content(a / "model.gguf") == model);
}

TEST_CASE("interrupted training saves its state and exits 130 or 143") {
  const Folder folder;
  const fs::path a = folder.path / "a";
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    auto arguments = tiny(a, "100000");
    if (fs::exists(a)) arguments = {"train", "-o", a.string(), "--resume", "--progress", "none"};
    const pid_t child = start(arguments);
    for (int i = 0; i < 600 && !fs::exists(a / "log.jsonl"); ++i) usleep(50000);
    usleep(300000);
    kill(child, signal);
    CHECK(finish(child) == code);
  }
}

TEST_CASE("killed 50 times and resumed, a training ends in the same bytes") {
  const Folder folder;
  const fs::path whole = folder.path / "whole", broken = folder.path / "broken";
  const std::string iters = "12";
  REQUIRE(run(tiny(whole, iters)) == 0);

  // Waits are drawn around the time of a start and a few steps, so that kills hit every phase:
  // start-up, steps, and the writing of states (each step writes one).
  int kills = 0, rounds = 0;
  for (uint64_t draw = 0; kills < 50 && rounds < 400; ++draw, ++rounds) {
    auto arguments = tiny(broken, iters);
    if (fs::exists(broken / "config.toml")) arguments.push_back("--resume");
    const pid_t child = start(arguments);
    usleep(static_cast<useconds_t>(20000 + 900000 * satin::uniform(7, draw)));
    kill(child, SIGKILL);
    const int code = finish(child);
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
  CHECK(run(arguments) == 0);
  CHECK(content(broken / "model.gguf") == content(whole / "model.gguf"));
  CHECK(content(broken / "best.gguf") == content(whole / "best.gguf"));
  // Weights, moments, position and best value.
  CHECK(content(broken / "state/000000012.state") == content(whole / "state/000000012.state"));
}
