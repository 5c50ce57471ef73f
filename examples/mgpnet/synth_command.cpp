// mgpnet synth: training pairs as files, from the built-in generator or blended from folders, and
// the contact sheet of the generator.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "mgpnet/command_line.h"
#include "mgpnet/dataset.h"
#include "mgpnet/image_io.h"
#include "mgpnet/synth.h"
#include "mgpnet/synth_pictures.h"
#include "nn/atomic_file.h"

namespace mgpnet {
namespace {

namespace fs = std::filesystem;

struct SynthCommand {
  std::string out, structures, textures, sheet, size = "256";
  uint64_t count = 0, first = 0;
  float strength = 1.0f, max_std = 25.0f;
};

/// "256" or "320x240".
std::optional<PictureSize> side_or_size(const std::string& text) {
  return parse_picture_size(text.find('x') == std::string::npos ? text + "x" + text : text);
}

void write_picture(const fs::path& path, const Image& image) {
  satin::write_file(path.string(), encode_image(image, Format::png));
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder))
    throw Failure(kOutput, "cannot make folder", folder.string(),
                  error ? error.message() : "something else has this name");
}

/// Calls make(i) for [0, count) on all threads, piece by piece; the first exception ends it.
template <class Make>
void for_each_pair(const Globals& globals, uint64_t count, Make make) {
  satin::ThreadPool pool(globals.threads);
  Progress progress(globals, "synth", count, "pairs");
  const auto piece = static_cast<uint64_t>(pool.threads());
  struct Job {
    Make* make;
    uint64_t base = 0;
    std::mutex mutex;
    std::exception_ptr error;
  } job{&make, 0, {}, {}};
  for (; job.base < count; job.base += piece) {
    stop_if_interrupted();
    pool.parallel(
        static_cast<int64_t>(std::min(piece, count - job.base)),
        [](void* context, int64_t i) {
          Job& j = *static_cast<Job*>(context);
          try {
            (*j.make)(j.base + static_cast<uint64_t>(i));
          } catch (...) {
            const std::lock_guard lock(j.mutex);
            if (!j.error) j.error = std::current_exception();
          }
        },
        &job);
    if (job.error) std::rethrow_exception(job.error);
    progress.update(std::min(count, job.base + piece));
  }
}

void from_generator(const SynthCommand& command, const SynthOptions& options, const Globals& g) {
  const fs::path gt = fs::path(command.out) / "gt", input = fs::path(command.out) / "input";
  for_each_pair(g, command.count, [&](uint64_t i) {
    const uint64_t index = command.first + i;
    const Pair pair = synth_pair(options, index);
    const std::string name = fmt::format("{:06}.png", index);
    write_picture(gt / name, pair.gt);
    write_picture(input / name, pair.input);
  });
}

void from_folders(const SynthCommand& command, const Globals& globals) {
  const FolderBlender blender(
      command.structures, command.textures,
      {.seed = globals.seed, .strength = command.strength, .max_std = command.max_std},
      [](const std::string& path) { return read_image(path); });
  // Without --count every combination once; more than there are would repeat names.
  const uint64_t rest = blender.count() - std::min(blender.count(), command.first);
  const uint64_t count = command.count ? std::min(command.count, rest) : rest;
  if (count < command.count)
    note(globals, fmt::format("the folders give {} pairs, not {}", count, command.count));
  const fs::path gt = fs::path(command.out) / "gt", input = fs::path(command.out) / "input";
  for_each_pair(globals, count, [&](uint64_t i) {
    std::string name;
    const Pair pair = blender.pair(command.first + i, &name);
    write_picture(gt / (name + ".png"), pair.gt);
    write_picture(input / (name + ".png"), pair.input);
  });
}

void run_synth(const SynthCommand& command, const Globals& globals) {
  const bool folders = !command.structures.empty();
  if (command.out.empty() && command.sheet.empty())
    throw Failure(kUsage, "nothing to do", "synth",
                  "-o DIR --count N writes pairs, --sheet FILE a contact sheet");
  if (!command.out.empty() && !folders && command.count == 0)
    throw Failure(kUsage, "how many pairs?", "synth -o " + command.out, "give --count N");
  const PictureSize size = side_or_size(command.size).value();
  const SynthOptions options{.width = size.width, .height = size.height, .seed = globals.seed};
  if (!command.sheet.empty()) {
    const Image sheet = contact_sheet(options, 4, 8, command.first);
    Format format = Format::png;
    if (!format_from_name(fs::path(command.sheet).extension().string(), &format))
      throw Failure(kUsage, "unknown picture format", command.sheet,
                    "the name should end with .png, .jpg, .bmp or .tga");
    satin::write_file(command.sheet, encode_image(sheet, format));
  }
  if (command.out.empty()) return;
  make_folder(fs::path(command.out) / "gt");
  make_folder(fs::path(command.out) / "input");
  if (folders)
    from_folders(command, globals);
  else
    from_generator(command, options, globals);
}

}  // namespace

void add_synth(CLI::App& app, Globals& globals) {
  const auto options = std::make_shared<SynthCommand>();
  CLI::App* command = app.add_subcommand("synth", "make training pairs: gt/ and input/ folders");
  command->add_option("-o,--output", options->out, "folder that receives gt/ and input/");
  command->add_option("--count", options->count, "pairs")->check(whole(1, 10'000'000));
  command->add_option("--first", options->first, "number of the first pair (default 0)")
      ->check(whole(0, INT32_MAX));
  command
      ->add_option("--size", options->size,
                   "side, or WxH, of the pairs that are drawn (default 256)")
      ->check(CLI::Validator(
          [](std::string& value) -> std::string {
            const auto size = side_or_size(value);
            return size && size->width <= 4096 && size->height <= 4096
                       ? std::string()
                       : "a side or WxH, sides 1 to 4096";
          },
          "SIZE"));
  CLI::Option* structures =
      command->add_option("--structures", options->structures, "folder of pictures to blend into");
  CLI::Option* textures =
      command->add_option("--textures", options->textures, "folder of textures to blend");
  structures->needs(textures);
  textures->needs(structures);
  command->add_option("--strength", options->strength, "of the blended textures (default 1)")
      ->check(number(0, 10));
  command
      ->add_option("--max-std", options->max_std,
                   "stronger textures are weakened to this many gray levels; 0: never (default 25)")
      ->check(number(0, 128));
  command->add_option("--sheet", options->sheet, "write a sheet of 32 drawn pairs to this file");
  command->callback([options, &globals] { run_synth(*options, globals); });
}

}  // namespace mgpnet
