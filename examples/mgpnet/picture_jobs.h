// What `smooth` is asked to do, as a list of (input, output) made before any work: folders are
// expanded, output names decided, and two inputs that would go to one name are refused.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mgpnet/image_io.h"

namespace mgpnet {

struct PictureJob {
  std::string input;   ///< "-": standard input
  std::string output;  ///< "-": standard output
  /// Of the output; nothing: that of the input's content (pipes).
  std::optional<Format> format;
};

struct JobRequest {
  std::vector<std::string> inputs;
  std::string output;  ///< empty: beside the input
  std::optional<Format> format;
  bool recursive = false;
};

struct JobList {
  std::vector<PictureJob> jobs;
  bool batch = false;  ///< several inputs or a folder: failures do not stop it
};

/// errors: Failure: kUsage for impossible combinations, kInput for a folder without pictures or an
/// input that does not exist
JobList list_jobs(const JobRequest& request);

/// The first of NAME-1.EXT, NAME-2.EXT, ... that does not exist.
std::string free_name(const std::string& path);

}  // namespace mgpnet
