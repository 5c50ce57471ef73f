// Runs the mgpnet binary as users do: arguments, standard streams, exit code; and the little things
// such tests need: a folder of their own, a model, pictures.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mgpnet/image.h"

namespace mgpnet::test {

struct Ended {
  int code = -1;  ///< exit code, 128 + signal when killed
  std::string out, err;
};

struct RunOptions {
  std::string input = {};       ///< standard input
  std::string input_from = {};  ///< this file instead of `input`
  std::string folder = {};      ///< working directory; empty: as it is
  std::string output_to = {};   ///< standard output goes to this file instead of Ended::out
  std::vector<std::string> environment = {};  ///< NAME=VALUE
  int signal = 0;                             ///< sent after `signal_ms`
  int signal_ms = 0;
  std::function<bool()> signal_when = {};  ///< signal_ms counts from when this holds (30 s at most)
};

/// Runs mgpnet with these arguments, without environment variables of mgpnet.
Ended run(const std::vector<std::string>& arguments, const RunOptions& options = {});

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A model file with random weights, made once per process.
const std::string& model_file();

/// Pixels by a formula; channels 1 to 4, bits 8 or 16.
Image picture(int width, int height, int channels = 3, int bits = 8);
void write_picture(const std::string& path, const Image& image);
void write_text_file(const std::string& path, const std::string& text);
std::string file_text(const std::string& path);
bool exists(const std::string& path);

}  // namespace mgpnet::test
