// Global options, the list of subcommands, and one place that turns whatever they throw into a
// message and an exit code.
#include "mgpnet/app.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "mgpnet/command.h"
#include "mgpnet/command_line.h"
#include "mgpnet/config_file.h"
#include "mgpnet/model.h"
#include "nn/container.h"

namespace mgpnet {
namespace {

// What the user typed, before it is checked together.
struct Typed {
  std::string device = "auto", progress = "auto", max_mem;
  std::string gpu;
  int threads = 0;
};

std::string version_text(const Build& build) {
  std::string text = satin::cat("mgpnet ", build.version, "\ncommit    ", build.commit,
                                "\ncompiler  "
#ifdef __clang__
                                "clang " __clang_version__
#else
                                "g++ " __VERSION__
#endif
                                "\nbackends  cpu",
                                satin::cuda::gpus().built ? " cuda" : "", "\nisas     ");
  for (const satin::cpu::Isa isa : satin::cpu::available_isas())
    text += " " + std::string(satin::cpu::name_of(isa));
  text += "\ncodecs    png jpg bmp tga\nmodel     ";
  if (embedded_bytes().empty()) return text + "none embedded\n";
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(satin::checksum64(embedded_bytes())));
  text += satin::cat("embedded, ", embedded_bytes().size(), " bytes, xxh64 ", hash, "\n");
  return text;
}

void add_globals(CLI::App& app, Globals& globals, Typed& typed, const Build& build) {
  const std::string group = "Everywhere";
  const auto device = CLI::Validator(
      [](std::string& value) -> std::string {
        const bool numbered = value.starts_with("cuda:") && value.size() > 5 && value.size() < 9 &&
                              value.find_first_not_of("0123456789", 5) == std::string::npos;
        return numbered ? std::string() : choice({"auto", "cpu", "cuda", "cuda:N"})(value);
      },
      "auto|cpu|cuda|cuda:N");
  app.add_option("--device", typed.device, "where to compute (default auto)")
      ->check(device)
      ->envname("MGPNET_DEVICE")
      ->group(group);
  app.add_option("-g,--gpu", typed.gpu, "GPU number, -1 for the CPU: short for --device cuda:N")
      ->check(whole(-1, 999))
      ->group(group);
  app.add_option("--precision", globals.precision, "of the computation (default auto)")
      ->check(choice({"auto", "f32", "tf32", "bf16"}))
      ->group(group);
  app.add_option("--threads", typed.threads, "default: the cores this process may use")
      ->check(whole(0, 1024))
      ->envname("MGPNET_THREADS")
      ->group(group);
  app.add_option("--seed", globals.seed, "of everything random (default 1)")->group(group);
  app.add_option("--max-mem", typed.max_mem, "limit of memory: 6G, 512M, 80%")
      ->check(CLI::Validator(
          [](std::string& value) {
            return parse_size(value) ? std::string() : "a size such as 6G, 512M or 80%";
          },
          "SIZE"))
      ->group(group);
  app.add_option("--progress", typed.progress, "on stderr (default auto)")
      ->check(choice({"auto", "bar", "plain", "json", "none"}))
      ->group(group);
  app.add_flag("-q,--quiet", globals.quiet, "errors and warnings only")->group(group);
  app.add_flag("-v,--verbose", globals.verbose, "say more")->group(group);
  app.add_flag("--no-fuse", globals.no_fuse, "run compositions instead of fused kernels")
      ->group(group);
  app.add_flag("--debug-sync", globals.debug_sync,
               "wait after every kernel and name the failing one")
      ->group(group);
  app.set_version_flag("-V,--version", [build] { return version_text(build); });
}

void resolve(Globals& globals, const Typed& typed) {
  globals.device = typed.device;
  if (!typed.gpu.empty()) globals.device = typed.gpu == "-1" ? "cpu" : "cuda:" + typed.gpu;
  globals.threads = typed.threads > 0 ? typed.threads : satin::usable_cores();
  const std::pair<const char*, ProgressMode> modes[] = {{"bar", ProgressMode::bar},
                                                        {"plain", ProgressMode::plain},
                                                        {"json", ProgressMode::json},
                                                        {"none", ProgressMode::none}};
  for (const auto& [name, mode] : modes)
    if (typed.progress == name) globals.progress = mode;
  // Refuses what this machine lacks before any work.  `auto` looks for a GPU when work begins.
  if (globals.device != "auto" || globals.precision != "auto") backend_of(globals);
  if (typed.max_mem.ends_with('%'))
    globals.max_mem = parse_size(typed.max_mem, device_memory(globals)).value_or(0);
  else if (!typed.max_mem.empty())
    globals.max_mem = parse_size(typed.max_mem).value_or(0);
}

/// The app whose options apply: the subcommand in use, or the program itself.
const CLI::App& in_use(const CLI::App& app) {
  const auto used = app.get_subcommands();
  return used.empty() ? app : *used.front();
}

/// What the unknown words were probably meant to be.
std::string suggestion(const CLI::App& app) {
  const auto used = app.get_subcommands();
  std::vector<std::string> words = app.remaining(true);
  if (words.empty()) return {};
  std::string word = words.front();
  word.resize(std::min(word.find('='), word.size()));
  std::vector<std::string> known;
  if (word.starts_with("-")) {
    for (const CLI::App* a : {&app, &in_use(app)})
      for (const CLI::Option* option : a->get_options())
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  } else if (used.empty()) {
    for (const CLI::App* sub : app.get_subcommands(nullptr)) known.push_back(sub->get_name());
  }
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string near = satin::nearest_name(word, views);
  const std::string help =
      used.empty() ? "mgpnet --help" : "mgpnet " + in_use(app).get_name() + " --help";
  return (near.empty() ? "" : "did you mean " + near + "? ") + help + " lists what there is";
}

Failure usage_failure(const CLI::App& app, const CLI::ParseError& error) {
  const std::string help = app.get_subcommands().empty()
                               ? "mgpnet --help"
                               : "mgpnet " + in_use(app).get_name() + " --help";
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    const std::vector<std::string> words = app.remaining(true);
    const std::string word = words.empty() ? "" : words.front();
    const bool option = word.starts_with("-");
    const bool command = !option && app.get_subcommands().empty();
    return {kUsage,
            option    ? "unknown option"
            : command ? "unknown command"
                      : "unexpected argument",
            word, suggestion(app)};
  }
  if (dynamic_cast<const CLI::ValidationError*>(&error)) {
    const std::string text = error.what();
    const size_t colon = text.find(": ");
    if (colon != std::string::npos)
      return {kUsage, "bad value", text.substr(0, colon), text.substr(colon + 2)};
  }
  return {kUsage, "bad command line", error.what(), help + " says what is expected"};
}

/// Settings of the configuration file become defaults: flags and environment variables win.
/// A key names a global option or, without a table, that option of every subcommand that has it.
void apply_settings(CLI::App& app, const std::string& path) {
  if (path.empty()) return;
  for (const Setting& setting : read_settings(path)) {
    const size_t dot = setting.key.find('.');
    const std::string table = dot == std::string::npos ? "" : setting.key.substr(0, dot);
    const std::string name = "--" + setting.key.substr(dot == std::string::npos ? 0 : dot + 1);
    std::vector<CLI::Option*> options;
    std::vector<std::string> known;
    const auto look = [&](CLI::App* in, const std::string& prefix) {
      if (CLI::Option* option = in->get_option_no_throw(name)) options.push_back(option);
      for (const CLI::Option* option : in->get_options())
        for (const std::string& known_name : option->get_lnames())
          known.push_back(prefix + known_name);
    };
    if (table.empty()) look(&app, "");
    if (options.empty())
      for (CLI::App* command : app.get_subcommands(nullptr))
        if (table.empty() || command->get_name() == table)
          look(command, table.empty() ? "" : table + '.');
    const std::string where = satin::cat(path, ", line ", setting.line);
    if (options.empty()) {
      const std::vector<std::string_view> views(known.begin(), known.end());
      const std::string near = satin::nearest_name(setting.key, views);
      throw Failure(
          kUsage, "unknown setting " + satin::in_quotes(setting.key), where,
          near.empty() ? "settings are named as the long options" : "did you mean " + near + "?");
    }
    try {
      for (CLI::Option* option : options) option->default_val(setting.value);
    } catch (const CLI::Error& e) {
      throw Failure(kUsage, "bad value of " + satin::in_quotes(setting.key), where, e.what());
    }
  }
}

int run(int argc, char** argv, const Build& build) {
  Globals globals;
  Typed typed;
  CLI::App app("Smooths pictures: textures go, edges stay.  Trains and runs MGPNet.", "mgpnet");
  app.fallthrough();
  app.require_subcommand(0, 1);
  add_globals(app, globals, typed, build);

  add_smooth(app, globals);
  add_eval(app, globals);
  add_train(app, globals);
  add_convert(app, globals);
  add_inspect(app, globals);
  add_bench(app, globals);
  add_synth(app, globals);
  add_devices(app, globals);

  for (CLI::App* command : app.get_subcommands(nullptr)) command->fallthrough();
  apply_settings(app, settings_file());
  app.parse_complete_callback([&] { resolve(globals, typed); });

  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) {
      print(app.help());
      flush_output();
      return kUsage;
    }
    flush_output();
    stop_if_interrupted();  // it came so late that the work was done, but scripts should know
    return kDone;
  } catch (const CLI::CallForHelp&) {
    print(in_use(app).help());
  } catch (const CLI::CallForAllHelp&) {
    print(app.help("", CLI::AppFormatMode::All));
  } catch (const CLI::CallForVersion& e) {
    print(e.what());
  } catch (const CLI::ParseError& e) {
    throw usage_failure(app, e);
  }
  flush_output();
  return kDone;
}

}  // namespace

int run_app(int argc, char** argv, const Build& build) {
  install_signal_handlers();
  try {
    return run(argc, argv, build);
  } catch (const Interrupted&) {
    note({}, "interrupted");
    return 128 + (interrupt_signal() ? interrupt_signal() : SIGINT);
  } catch (...) {
    const Failure failure = to_failure(std::current_exception());
    print_failure(failure);
    return failure.code;
  }
}

}  // namespace mgpnet
