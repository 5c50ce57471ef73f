// mgpnet inspect, bench, devices and synth as a user calls them: exit codes, the lines and JSON
// that scripts may rely on, and that reports agree with the library.
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "mgpnet/inspect_report.h"
#include "mgpnet/peak.h"
#include "program.h"

using namespace mgpnet;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

struct Result {
  int code;
  std::string out;
};

/// Runs the program; stderr is dropped unless the arguments redirect it.
Result run(const std::string& arguments) {
  const std::string command = "'" MGPNET_PROGRAM "' " + arguments + " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  Result result{0, {}};
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    result.out.append(buffer.data(), n);
  const int status = pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("mgpnet-inspect-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("inspect: the totals of the network come from its graph") {
  const Result text = run("inspect --size 512x384 --no-time");
  CHECK(text.code == 0);
  CHECK(contains(text.out, "3,722,633 parameters  93.016 GMAC"));
  CHECK(contains(run("inspect --size 512x384 --no-time --variant plain-db").out,
                 "3,717,443 parameters"));
}

TEST_CASE("inspect --ops --json: rows add up to the totals") {
  const Result result = run("inspect --size 64x64 --ops --json -r 1");
  REQUIRE(result.code == 0);
  const Json report = Json::parse(result.out);
  int64_t parameters = 0, macs = 0;
  for (const Json& op : report["ops"]) {
    parameters += op["parameters"].get<int64_t>();
    macs += op["macs"].get<int64_t>();
    CHECK(op["ms"].get<double>() >= 0);
  }
  CHECK(parameters == 3722633);
  CHECK(report["parameters"] == 3722633);
  CHECK(macs == report["macs"].get<int64_t>());
  CHECK(report["peak_gflops"].get<double>() > 0);
}

TEST_CASE("inspect --plan: the bytes are those of a Program") {
  for (const bool train : {false, true}) {
    CAPTURE(train);
    const Result result =
        run("inspect --plan --json --size 64x64 --batch 1" + std::string(train ? " --train" : ""));
    REQUIRE(result.code == 0);
    const Json report = Json::parse(result.out);
    const Workload workload =
        make_workload({.width = 64, .height = 64, .batch = 1, .train = train});
    const satin::Program program(workload.outputs, satin::cpu::backend(),
                                 {.alias = workload.alias});
    CHECK(report["planned_bytes"].get<int64_t>() == program.plan().total_bytes());
    CHECK(report["arena_bytes"].get<int64_t>() == program.plan().arena_bytes);
  }
}

TEST_CASE("inspect --plan --svg draws") {
  const Folder folder;
  const fs::path svg = folder.path / "plan.svg";
  CHECK(run("inspect --plan --size 64x64 --svg '" + svg.string() + "'").code == 0);
  CHECK(content(svg).starts_with("<svg"));
}

TEST_CASE("inspect MODEL: statistics of tensors, whatever the model") {
  const std::vector<float> values = {1, 2, 3, 6};
  const satin::StoredTensor tensor =
      satin::store_values<float>("t", {2, 2}, values, satin::DType::f32);
  const TensorStatistics s = statistics_of(tensor);
  CHECK(s.mean == doctest::Approx(3));
  CHECK(s.deviation == doctest::Approx(std::sqrt(3.5)));
  CHECK(s.min == 1);
  CHECK(s.max == 6);
  CHECK(s.not_finite == 0);

  const std::vector<float> broken = {1, NAN, INFINITY, 3};
  const TensorStatistics b =
      statistics_of(satin::store_values<float>("t", {4}, broken, satin::DType::f32));
  CHECK(b.not_finite == 2);
  CHECK(b.mean == doctest::Approx(2));

  CHECK(run("inspect /no/such/model.gguf").code == 5);

  const std::string gguf = test::model_file();
  const Folder folder;
  const std::string safetensors = (folder.path / "m.safetensors").string();
  REQUIRE(run("convert '" + gguf + "' '" + safetensors + "'").code == 0);
  CHECK(contains(run("inspect '" + gguf + "'").out, "GGUF version 3"));
  CHECK(contains(run("inspect '" + safetensors + "'").out, ": safetensors, "));
  Json report = Json::parse(run("inspect --json '" + gguf + "'").out);
  CHECK(report["format"] == "GGUF");
  CHECK(report["version"] == 3);
  report = Json::parse(run("inspect --json '" + safetensors + "'").out);
  CHECK(report["format"] == "safetensors");
  CHECK(report["version"].is_null());
}

TEST_CASE("inspect --compare-devices") {
  CHECK(run("inspect --compare-devices cpu,cuda").code == 6);
  CHECK(run("inspect --compare-devices cpu").code == 2);
  CHECK(run("inspect --compare-devices cpu,toaster").code == 2);
  const Result same = run("inspect --compare-devices baseline,cpu --size 64x64");
  CHECK(same.code == 0);
  CHECK(contains(same.out, "all within their bars"));
}

TEST_CASE("bench --json prints the promised object") {
  for (const char* what : {"forward", "train"}) {
    const Result result =
        run("bench --what " + std::string(what) + " --size 64x64 --batch 1 -r 1 --json");
    REQUIRE(result.code == 0);
    const auto object = nlohmann::ordered_json::parse(result.out);
    std::string keys;
    for (const auto& item : object.items()) keys += item.key() + " ";
    CHECK(keys ==
          "what size batch device isa precision threads median_s min_s gflops peak_gflops "
          "planned_bytes rss_bytes ");
    CHECK(object["what"] == what);
    CHECK(object["size"] == "64x64");
    CHECK(object["min_s"].get<double>() <= object["median_s"].get<double>());
    CHECK(object["gflops"].get<double>() > 0);
    CHECK(object["rss_bytes"].get<int64_t>() > object["planned_bytes"].get<int64_t>() / 2);
  }
}

TEST_CASE("--max-mem bounds the whole process, or is refused with the limit that would do") {
  using Words = std::vector<std::string>;
  const test::TemporaryFolder folder;
  for (const Words& command :
       {Words{"bench", "--size", "128x128", "-r", "1", "--json"},
        Words{"bench", "--what", "train", "--size", "64x64", "--batch", "1", "-r", "1", "--json"},
        Words{"inspect", "--size", "64x64", "-r", "1", "--json"},
        Words{"train", "--data", "synth", "--iters", "1", "--batch", "1", "--crop", "32", "-o",
              folder / "run"}}) {
    CAPTURE(command[0]);
    const auto limited = [&](const std::string& limit) {
      Words words = command;
      words.insert(words.end(), {"--max-mem", limit});
      return test::run(words);
    };
    const test::Ended refused = limited("1M");
    CHECK(refused.code == 7);
    const std::string advice = "the smallest limit that would do is ";
    const size_t at = refused.err.find(advice);
    REQUIRE(at != std::string::npos);
    const int64_t needed = std::stoll(refused.err.substr(at + advice.size()));
    CHECK(limited(std::to_string(needed - 1)).code == 7);
    const test::Ended done = limited(std::to_string(needed));
    CHECK(done.code == 0);
    if (command[0] == "bench") CHECK(Json::parse(done.out)["rss_bytes"].get<int64_t>() <= needed);
  }
}

TEST_CASE("a roofline is bounded by memory, then by arithmetic") {
  CHECK(roofline(100, 10, 1, 2) == doctest::Approx(10));
  CHECK(roofline(100, 10, 1000, 2) == doctest::Approx(100));
}

TEST_CASE("devices: the self-tests pass and CUDA says why it is missing") {
  const Result result = run("devices --json");
  REQUIRE(result.code == 0);
  const Json devices = Json::parse(result.out)["devices"];
  CHECK(devices[0]["device"] == "cpu");
  CHECK(devices[0]["self_test"] == "passed");
  CHECK(devices[0]["isas"].size() == satin::cpu::available_isas().size());
  CHECK(devices[1]["reason"].get<std::string>().find("built without CUDA") != std::string::npos);
}

TEST_CASE("synth: the same bytes on any number of threads, other ones of another seed") {
  const Folder folder;
  const auto make = [&](const std::string& name, const std::string& more) {
    const fs::path out = folder.path / name;
    REQUIRE(run("synth -o '" + out.string() + "' --count 3 --size 48 " + more).code == 0);
    std::string all;
    for (const char* side : {"gt", "input"})
      for (const char* file : {"000000.png", "000001.png", "000002.png"})
        all += content(out / side / file);
    return all;
  };
  const std::string one = make("a", "--threads 1"), two = make("b", "--threads 2"),
                    other = make("c", "--seed 2");
  CHECK(one.size() > 1000);
  CHECK(one == two);
  CHECK(one != other);

  const std::string gt = (folder.path / "a" / "gt").string();
  const fs::path blended = folder.path / "blended";
  REQUIRE(run("synth -o '" + blended.string() + "' --structures '" + gt + "' --textures '" + gt +
              "' --count 2")
              .code == 0);
  CHECK(std::distance(fs::directory_iterator(blended / "input"), fs::directory_iterator()) == 2);
}

TEST_CASE("usage errors exit 2") {
  for (const char* arguments :
       {"inspect", "inspect --size 0x7", "inspect --size 64", "inspect --variant fuller --plan",
        "bench --what forwards", "bench --size 99999x2", "bench -r 0", "synth",
        "synth -o /tmp/never", "synth -o /tmp/never --count 0",
        "synth -o /tmp/never --structures x"}) {
    CAPTURE(arguments);
    CHECK(run(arguments).code == 2);
  }
}
