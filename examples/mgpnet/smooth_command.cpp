// mgpnet smooth: pictures, folders and pipes in, smoothed pictures out.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mgpnet/command.h"
#include "mgpnet/command_line.h"
#include "mgpnet/image_io.h"
#include "mgpnet/picture_jobs.h"
#include "mgpnet/smoother.h"
#include "nn/atomic_file.h"

namespace mgpnet {

namespace fs = std::filesystem;

namespace {

enum class Exists { automatic, skip, overwrite, rename, error };

struct SmoothArguments {
  std::vector<std::string> positional, inputs;
  std::string output, model, format, exists, bits = "auto";
  float strength = 1;
  bool recursive = false, dry_run = false;
  bool keep_going = true;
  EncodeOptions encode;
};

struct Failed {
  std::string input;
  Failure failure;
};

std::vector<uint8_t> read_standard_input() {
  std::vector<uint8_t> bytes;
  size_t used = 0;
  for (;;) {
    if (bytes.size() < used + (1 << 16)) bytes.resize(std::max<size_t>(2 * used, 1 << 18));
    // A signal must not wait for the other end of the pipe.
    stop_if_interrupted();
    pollfd wait = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&wait, 1, 200) <= 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, bytes.data() + used, bytes.size() - used);
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      throw Failure(kInput, "cannot read", "standard input", std::strerror(errno));
    }
    used += static_cast<size_t>(n);
    if (used > static_cast<size_t>(kMaxFileBytes))
      throw Failure(kInput, "too much data", "standard input", "a picture file is at most 1 GiB");
  }
  bytes.resize(used);
  return bytes;
}

std::vector<uint8_t> read_input(const PictureJob& job) {
  return job.input == "-" ? read_standard_input() : read_picture_file(job.input);
}

const std::string& name_of(const PictureJob& job) {
  static const std::string kPipe = "standard input";
  return job.input == "-" ? kPipe : job.input;
}

void make_folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Failure(kOutput, "cannot create folder", folder.string(), error.message());
}

class SmoothRun {
 public:
  SmoothRun(const SmoothArguments& arguments, const Globals& globals, const JobList& list)
      : arguments_(arguments), globals_(globals), list_(list) {
    const std::pair<const char*, Exists> names[] = {{"skip", Exists::skip},
                                                    {"overwrite", Exists::overwrite},
                                                    {"rename", Exists::rename},
                                                    {"error", Exists::error}};
    exists_ = list.batch ? Exists::skip : Exists::overwrite;
    for (const auto& [name, value] : names)
      if (arguments.exists == name) exists_ = value;
  }

  /// errors: what the one picture, or the batch as a whole, ends with
  void run() {
    smoother_ = std::make_unique<Smoother>(open_model(arguments_.model), globals_);
    if (!list_.batch) {
      one(list_.jobs.front());
      return;
    }
    Progress progress(globals_, "smooth", list_.jobs.size(), "pictures");
    uint64_t done = 0;
    progress.update(done);
    for (const PictureJob& job : list_.jobs) {
      try {
        stop_if_interrupted();
        one(job);
      } catch (const Interrupted&) {
        list_failures();
        throw;
      } catch (...) {
        Failure failure = to_failure(std::current_exception());
        if (!arguments_.keep_going) throw Failure(std::move(failure));
        failed_.push_back({job.input, failure});
        detail(globals_, std::string("failed: ") + failure.what());
      }
      progress.update(++done, job.input);
    }
    progress.clear();
    list_failures();
    const size_t total = list_.jobs.size();
    if (skipped_ > 0)
      note(globals_, satin::cat(skipped_, " of ", total,
                                " skipped, their outputs exist (--exists overwrite)"));
    if (!failed_.empty())
      throw Failure(kSomeFailed, satin::cat(failed_.size(), " of ", total, " pictures failed"), "",
                    "they are listed above; the others are done");
  }

  void dry_run() {
    smoother_ = std::make_unique<Smoother>(open_model(arguments_.model), globals_);
    const double per_pixel = seconds_per_pixel();
    double total = 0;
    for (const PictureJob& job : list_.jobs) {
      try {
        const ImageHeader h = job.input == "-" ? probe_image(read_standard_input(), name_of(job))
                                               : probe_image(job.input);
        const int64_t pixels = int64_t{padded(h.width)} * padded(h.height);
        const int64_t memory = smoother_->needed_bytes(h.width, h.height, h.channels);
        const double seconds = per_pixel * static_cast<double>(pixels);
        total += seconds;
        char estimate[32];
        std::snprintf(estimate, sizeof estimate, "%.1f s", seconds);
        print(satin::cat(
            satin::one_line(job.input + " -> " + job.output), "  ", h.width, "x", h.height,
            "  memory ", size_text(memory), "  about ", estimate,
            globals_.max_mem > 0 && memory > globals_.max_mem ? "  over --max-mem\n" : "\n"));
      } catch (...) {
        Failure failure = to_failure(std::current_exception());
        if (!list_.batch) throw Failure(std::move(failure));
        failed_.push_back({job.input, failure});
      }
    }
    list_failures();
    print(satin::cat(list_.jobs.size(), " pictures, about ", time_text(total), "\n"));
    if (!failed_.empty())
      throw Failure(kSomeFailed,
                    satin::cat(failed_.size(), " of ", list_.jobs.size(), " pictures would fail"),
                    "", "they are listed above");
  }

 private:
  double seconds_per_pixel() {
    Image image;
    image.width = image.height = 64;
    image.pixels.resize(size_t{64} * 64 * 3);
    smoother_->smooth(image);  // the first run meets cold memory
    const auto start = std::chrono::steady_clock::now();
    smoother_->smooth(image);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 4096;
  }

  void list_failures() {
    for (const Failed& f : failed_) print_failure(f.failure);
  }

  void one(const PictureJob& job) {
    const std::string output = output_name(job);
    if (output.empty()) {
      ++skipped_;
      detail(globals_, "skipped, exists: " + satin::one_line(job.output));
      return;
    }
    const std::vector<uint8_t> bytes = read_input(job);
    ImageHeader header = probe_image(bytes, name_of(job));
    smoother_->require_memory(header.width, header.height, header.channels, name_of(job));
    const Format format = job.format.value_or(header.format);
    const Image in = decode_image(bytes, name_of(job));
    int bits = arguments_.bits == "8" ? 8 : arguments_.bits == "16" ? 16 : in.bits;
    if (format != Format::png) {
      if (bits == 16) warn(name_of(job) + ": " + format_name(format) + " holds 8 bits only");
      bits = 8;
    }
    const Image out = smooth(in, bits, name_of(job));
    const std::string lost = lost_in(out, format);
    if (!lost.empty()) warn(name_of(job) + ": " + lost);
    const std::vector<uint8_t> encoded = encode_image(out, format, arguments_.encode);
    if (output == "-") {
      print(std::string(encoded.begin(), encoded.end()));
      flush_output();
      return;
    }
    if (list_.batch) make_folder_of(output);
    satin::write_file(output, encoded);
    detail(globals_, satin::one_line(job.input + " -> " + output));
    if (!list_.batch) note(globals_, "wrote " + satin::one_line(output));
  }

  Image smooth(const Image& in, int bits, const std::string& name) {
    try {
      return smoother_->smooth(in, arguments_.strength, bits);
    } catch (const Failure& e) {
      if (e.code != kNotANumber) throw;
      throw Failure(e.code, e.what(), name, e.why);
    }
  }

  /// Where to write; empty: skip.
  std::string output_name(const PictureJob& job) const {
    if (job.output == "-") return job.output;
    struct stat status {};
    const bool exists = ::lstat(job.output.c_str(), &status) == 0;
    const bool special = ::stat(job.output.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
    if (!exists || special) return job.output;
    switch (exists_) {
      case Exists::skip:
        return {};
      case Exists::rename:
        return free_name(job.output);
      case Exists::error:
        throw Failure(kOutput, "the output exists", job.output,
                      "--exists overwrite|rename|skip says what to do");
      default:
        return job.output;
    }
  }

  const SmoothArguments& arguments_;
  const Globals& globals_;
  const JobList& list_;
  Exists exists_ = Exists::skip;
  std::unique_ptr<Smoother> smoother_;
  std::vector<Failed> failed_;
  size_t skipped_ = 0;
};

void smooth(SmoothArguments& arguments, const Globals& globals) {
  JobRequest request;
  request.inputs = arguments.positional;
  request.inputs.insert(request.inputs.end(), arguments.inputs.begin(), arguments.inputs.end());
  request.output = arguments.output;
  request.recursive = arguments.recursive;
  Format format{};
  if (!arguments.format.empty() && format_from_name(arguments.format, &format))
    request.format = format;
  const JobList list = list_jobs(request);
  if (list.jobs.front().output == "-" && isatty(STDOUT_FILENO) && !arguments.dry_run)
    throw Failure(kUsage, "a picture is not written to a terminal", "-o -",
                  "redirect standard output or give -o FILE");
  SmoothRun run(arguments, globals, list);
  if (arguments.dry_run) {
    run.dry_run();
  } else {
    announce_device(globals);
    run.run();
  }
}

}  // namespace

void add_smooth(CLI::App& app, Globals& globals) {
  CLI::App* command = app.add_subcommand("smooth", "smooths pictures, folders of them, or a pipe");
  const auto a = std::make_shared<SmoothArguments>();
  command->add_option("inputs", a->positional, "pictures, folders, - for standard input");
  command->add_option("-i,--input", a->inputs, "the same as an option");
  command->add_option("-o,--output", a->output,
                      "file, folder, or -; default: NAME_smooth beside the input");
  command->add_option("-m,--model", a->model, ".gguf or .safetensors; default: the embedded one")
      ->envname("MGPNET_MODEL");
  command->add_flag("-r,--recursive", a->recursive,
                    "folders below folders too; the tree is mirrored");
  command->add_option("-f,--format", a->format, "of the output; default: as its name or the input")
      ->check(choice({"png", "jpg", "jpeg", "bmp", "tga"}));
  command->add_option("--strength", a->strength, "in + X (net - in); default 1")
      ->check(number(0, 2));
  command
      ->add_option("--exists", a->exists,
                   "when the output exists; default: overwrite for one file, skip in a batch")
      ->check(choice({"skip", "overwrite", "rename", "error"}));
  command->add_option("--quality", a->encode.quality, "of JPEG; default 95")->check(whole(1, 100));
  command->add_option("--png-level", a->encode.png_level, "of compression; default 6")
      ->check(whole(0, 9));
  command->add_option("--bits", a->bits, "per value; default auto: as the input")
      ->check(choice({"auto", "8", "16"}));
  command->add_flag("--keep-going,!--no-keep-going", a->keep_going,
                    "a batch goes on after a failure (the default)");
  command->add_flag("--dry-run", a->dry_run, "print files, sizes, memory and time only");
  command->callback([a, &globals] { smooth(*a, globals); });
}

}  // namespace mgpnet
