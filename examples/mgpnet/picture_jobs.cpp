// Names of inputs and outputs of `smooth`; touches no pixel.
#include "mgpnet/picture_jobs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "mgpnet/command.h"

namespace mgpnet {

namespace fs = std::filesystem;

namespace {

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string extension_of(const fs::path& path) { return path.extension().string(); }

std::optional<Format> format_of(const fs::path& path) {
  Format format{};
  if (!has_picture_extension(path.filename().string())) return std::nullopt;
  return format_from_name(extension_of(path), &format) ? std::optional(format) : std::nullopt;
}

/// The extension of an output: the input's own spelling when the format stays.
std::string output_extension(const fs::path& input, std::optional<Format> wanted) {
  const std::optional<Format> own = format_of(input);
  if (own && (!wanted || *wanted == *own)) return extension_of(input);
  return std::string(".") + format_name(wanted.value_or(Format::png));
}

/// Lists the pictures of a folder relative to it, in name order, leaving out the folder `except`.
std::vector<fs::path> pictures_in(const std::string& folder,
                                  bool recursive,
                                  const fs::path& except) {
  std::vector<fs::path> found;
  std::vector<fs::path> folders = {fs::path()};
  while (!folders.empty()) {
    const fs::path at = folders.back();
    folders.pop_back();
    std::error_code error;
    fs::directory_iterator entries(fs::path(folder) / at, error);
    if (error) {
      const std::string name = (fs::path(folder) / at).string();
      if (at.empty()) throw Failure(kInput, "cannot read folder", name, error.message());
      warn("cannot read folder: " + name + ": " + error.message());  // the others go on
      continue;
    }
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      if (error) break;
      const fs::path name = entries->path().filename();
      std::error_code ignored;
      if (entries->is_directory(ignored)) {
        // Links to folders could lead in circles.
        const bool link = entries->is_symlink(ignored);
        const bool own = !except.empty() && fs::equivalent(entries->path(), except, ignored);
        if (recursive && !link && !own) folders.push_back(at / name);
      } else if (has_picture_extension(name.string()) && !name.string().starts_with("._")) {
        found.push_back(at / name);
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// "DIR_smooth" for "DIR", "DIR/", "." and "..".
std::string folder_beside(const std::string& folder) {
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "." || path.filename() == ".." || path.empty()) {
    std::error_code error;
    path = fs::canonical(folder, error);
  }
  return path.string() + "_smooth";
}

void add_folder(const std::string& folder, const JobRequest& request, JobList* list) {
  if (request.output == "-")
    throw Failure(kUsage, "a folder cannot go to standard output", folder, "give -o FOLDER");
  const std::string out = request.output.empty() ? folder_beside(folder) : request.output;
  const std::vector<fs::path> pictures = pictures_in(folder, request.recursive, out);
  if (pictures.empty())
    throw Failure(kInput, "no pictures in folder", folder,
                  request.recursive ? "it holds no .png, .jpg, .bmp or .tga files"
                                    : "it holds no .png, .jpg, .bmp or .tga files; -r also looks "
                                      "into the folders below");
  for (const fs::path& picture : pictures) {
    fs::path to = fs::path(out) / picture;
    to.replace_extension(output_extension(picture, request.format));
    const std::optional<Format> format = request.format ? request.format : format_of(picture);
    list->jobs.push_back({(fs::path(folder) / picture).string(), to.string(), format});
  }
}

void add_file(const std::string& input, const JobRequest& request, bool several, JobList* list) {
  const bool piped = input == "-";
  const std::string& out = request.output;
  if (!piped) {
    std::error_code error;
    // A dangling link exists as a link; reading it will say what is wrong.
    const fs::file_status status = fs::symlink_status(input, error);
    if (!fs::exists(status) && !several)
      throw Failure(kInput, "no such file", input, "check the name");
  }
  const fs::path path = piped ? fs::path("stdin.png") : fs::path(input);
  std::optional<Format> format = request.format;
  if (out == "-" || (out.empty() && piped)) {
    list->jobs.push_back({input, "-", format ? format : piped ? format : format_of(path)});
    return;
  }
  if (out.empty()) {
    fs::path to = path;
    to.replace_filename(path.stem().string() + "_smooth" + output_extension(path, format));
    list->jobs.push_back({input, to.string(), format_of(to)});
    return;
  }
  if (several || out.ends_with('/') || is_folder(out)) {
    fs::path to = fs::path(out) / path.filename();
    to.replace_extension(output_extension(path, format));
    list->jobs.push_back({input, to.string(), format_of(to)});
    return;
  }
  if (!format) format = format_of(out);
  // A device or pipe has no extension to go by; the input's format will do.
  std::error_code error;
  const bool special = fs::exists(out, error) && !fs::is_regular_file(out, error);
  if (!format && special) format = format_of(path);
  if (!format && !special)
    throw Failure(kUsage, "cannot tell the format of the output", out,
                  "end its name in .png, .jpg, .bmp or .tga, or give -f");
  list->jobs.push_back({input, out, format});
}

}  // namespace

std::string free_name(const std::string& path) {
  const fs::path p(path);
  for (int i = 1;; ++i) {
    fs::path candidate = p;
    candidate.replace_filename(p.stem().string() + "-" + std::to_string(i) + extension_of(p));
    std::error_code error;
    if (!fs::exists(fs::symlink_status(candidate, error))) return candidate.string();
  }
}

JobList list_jobs(const JobRequest& request) {
  JobList list;
  std::vector<std::string> inputs;
  std::set<std::string> seen;
  for (const std::string& input : request.inputs)
    if (seen.insert(input).second) inputs.push_back(input);
  if (inputs.empty())
    throw Failure(kUsage, "nothing to smooth", "", "name a picture, a folder, or - for a pipe");
  const bool several = inputs.size() > 1;
  if (several && request.output == "-")
    throw Failure(kUsage, "several pictures cannot go to standard output", "-o -",
                  "give -o FOLDER");
  list.batch = several;
  for (const std::string& input : inputs) {
    if (input.empty())
      throw Failure(kUsage, "an input without a name", "\"\"", "check the quoting");
    if (input != "-" && is_folder(input)) {
      add_folder(input, request, &list);
      list.batch = true;
    } else {
      add_file(input, request, several, &list);
    }
  }
  std::error_code error;
  if (list.batch && !request.output.empty() && fs::exists(request.output, error) &&
      !is_folder(request.output))
    throw Failure(kUsage, "not a folder", request.output, "several pictures need -o FOLDER");
  std::map<std::string, const PictureJob*> by_output;
  for (const PictureJob& job : list.jobs) {
    if (job.output == "-") continue;
    const auto [at, fresh] =
        by_output.emplace(fs::path(job.output).lexically_normal().string(), &job);
    if (!fresh)
      throw Failure(
          kUsage, "two inputs would go to one output", job.output,
          at->second->input + " and " + job.input + "; smooth them separately or rename one");
  }
  return list;
}

}  // namespace mgpnet
