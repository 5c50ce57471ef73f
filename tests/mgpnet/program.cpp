#include "program.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mgpnet/image_io.h"
#include "mgpnet/model.h"
#include "nn/atomic_file.h"

namespace mgpnet::test {

namespace fs = std::filesystem;

Ended run(const std::vector<std::string>& arguments, const RunOptions& options) {
  REQUIRE(std::string(MGPNET_PROGRAM) != "");
  // Files, not pipes: nothing can block, whatever is written in which order.
  const TemporaryFolder streams;
  write_text_file(streams / "in", options.input);
  const std::string out = options.output_to.empty() ? streams / "out" : options.output_to;
  const std::string err = streams / "err";
  const std::string in = options.input_from.empty() ? streams / "in" : options.input_from;
  std::vector<std::string> words = {MGPNET_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> environment = options.environment;
  const pid_t child = fork();
  if (child == 0) {
    for (const char* name : {"MGPNET_MODEL", "MGPNET_DEVICE", "MGPNET_THREADS", "MGPNET_CONFIG"})
      unsetenv(name);
    setenv("XDG_CONFIG_HOME", streams.path().c_str(), 1);
    for (std::string& variable : environment) putenv(variable.data());
    const int fd_in = open(in.c_str(), options.input_from.empty() ? O_RDONLY : O_RDWR);
    const int fd_out = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int fd_err = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd_in, 0), dup2(fd_out, 1), dup2(fd_err, 2);
    if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(126);
    execv(MGPNET_PROGRAM, argv.data());
    _exit(127);
  }
  REQUIRE(child > 0);
  if (options.signal != 0) {
    const auto ended = [child] {
      siginfo_t info{};
      return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
             info.si_pid == child;
    };
    const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (options.signal_when && !options.signal_when() && !ended() &&
           std::chrono::steady_clock::now() < late)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(options.signal_ms));
    kill(child, options.signal);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  Ended ended;
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (options.output_to.empty()) ended.out = file_text(out);
  ended.err = file_text(err);
  return ended;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "mgpnet_test_XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

const std::string& model_file() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    const std::string file = folder / "random.gguf";
    satin::write_file(file, serialize_model(random_model("full", 7), ModelFormat::gguf));
    return file;
  }();
  return path;
}

Image picture(int width, int height, int channels, int bits) {
  Image image;
  image.width = width, image.height = height, image.channels = channels, image.bits = bits;
  const auto max = static_cast<uint64_t>(image.max_value());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint16_t>((static_cast<uint64_t>(x) * 2654435761u +
                                                      static_cast<uint64_t>(y) * 40503u +
                                                      static_cast<uint64_t>(c) * 977u) %
                                                     (max + 1)));
  return image;
}

void write_picture(const std::string& path, const Image& image) {
  Format format{};
  REQUIRE(format_from_name(fs::path(path).extension().string(), &format));
  satin::write_file(path, encode_image(image, format));
}

void write_text_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

}  // namespace mgpnet::test
