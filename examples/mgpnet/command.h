// What the subcommands share: the global options, exit codes, failures, interruption, progress and
// the one way to print results and messages.  No CLI11 here: command_line.h has what needs it.
//
// A subcommand is one file, NAME_command.cpp, with one function add_NAME that registers it;
// app.cpp lists them.  Whatever it throws, app.cpp turns into a message and an exit code.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cpu/thread_pool.h"
#include "tensor/backend.h"
#include "tensor/precision.h"

namespace CLI {
class App;
}

namespace mgpnet {

/// Exit codes that scripts may rely on.
enum ExitCode : int {
  kDone = 0,
  kInternal = 1,
  kUsage = 2,
  kInput = 3,
  kOutput = 4,
  kModel = 5,
  kDevice = 6,
  kMemory = 7,
  kNotANumber = 8,
  kCheckFailed = 9,
  kSomeFailed = 10,
};

/// The end of a command, printed as `mgpnet: error: WHAT: WHERE` and an indented `why`.
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode exit_code, const std::string& what, const std::string& where, std::string reason)
      : std::runtime_error(where.empty() ? what : what + ": " + where),
        code(exit_code),
        why(std::move(reason)) {}
  ExitCode code;
  std::string why;  ///< the reason and what to do; empty when `what` says it all
};

/// SIGINT or SIGTERM came and the work stopped at a clean place; main exits with 130 or 143.
struct Interrupted {};

enum class ProgressMode { automatic, bar, plain, json, none };

/// The options that every command takes, checked and resolved before a command runs.
struct Globals {
  std::string device = "auto";     ///< auto, cpu, cuda, cuda:N
  std::string precision = "auto";  ///< auto, f32, tf32, bf16
  int threads = 0;                 ///< resolved: at least 1
  uint64_t seed = 1;
  int64_t max_mem = 0;  ///< bytes; 0: no limit
  ProgressMode progress = ProgressMode::automatic;
  bool quiet = false;
  bool verbose = false;
  bool no_fuse = false;
  bool debug_sync = false;
};

/// The backend that --device names.
/// errors: Failure(kDevice) when this binary or machine lacks it
const satin::Backend& backend_of(const Globals& globals);
/// What --precision asks of a Program.
satin::Precision precision_of(const Globals& globals);
std::string_view precision_name(const Globals& globals);  ///< f32, tf32 or bf16
/// "cpu (avx2), 2 threads"
std::string device_name(const Globals& globals);
/// Says once, on stderr, which device `auto` chose.
void announce_device(const Globals& globals);

/// The largest difference to the plain loops on a small graph, relative to the largest value;
/// infinite for NaN.
double self_test(const satin::Backend& backend, const satin::Exec& exec);
inline constexpr double kSelfTestBar = 1e-5;

/// Any exception as the Failure it stands for.  satin::FileError becomes kModel.
/// requires: not Interrupted
Failure to_failure(const std::exception_ptr& error);

// Interruption.  The flag is set by the first SIGINT or SIGTERM; a second one ends the process.
void install_signal_handlers();
bool interrupted();
int interrupt_signal();  ///< SIGINT, SIGTERM or 0
/// Throws Interrupted if a signal came.
void stop_if_interrupted();
/// As Exec::profiler: ends a run between two steps when a signal came more than a second ago.
/// Passes times on to `next`.
class InterruptCheck : public satin::Profiler {
 public:
  explicit InterruptCheck(satin::Profiler* next = nullptr) : next_(next) {}
  void step(const satin::Node& node, double seconds) override;
  bool passes_on() const { return next_ != nullptr; }

 private:
  satin::Profiler* next_;
};
/// How runs go under these options.  On a device only a check that passes times on is used: runs
/// are short there, and a kernel that is timed is waited for.
satin::Exec exec_of(const Globals& globals,
                    satin::ThreadPool& pool,
                    InterruptCheck* check = nullptr);

/// Results: text to stdout.  errors: Failure(kOutput) when it cannot be written
void print(const std::string& text);
/// Flushes stdout, with the same check.
void flush_output();
/// A message on stderr, `mgpnet: TEXT`; silent with -q.
void note(const Globals& globals, const std::string& text);
/// The same, only with -v.
void detail(const Globals& globals, const std::string& text);
/// `mgpnet: warning: TEXT`, also with -q.
void warn(const std::string& text);
void print_failure(const Failure& failure);

/// "1.5 GiB", "93.0 MiB"
std::string size_text(int64_t bytes);
/// "2:05", "1:00:09"
std::string time_text(double seconds);
/// The memory this process may use: RAM or the cgroup's limit.
int64_t usable_memory();
/// Where plans lie: the same on the CPU, what was free on a GPU when it was taken into use.
int64_t device_memory(const Globals& globals);
/// What counts against the limit beside plans: on a GPU nothing that the host holds.
int64_t counted_beside(const Globals& globals, int64_t host_bytes);
/// 6G, 512M, 1048576, or 80% of `whole`; nothing for other text.
std::optional<int64_t> parse_size(const std::string& text, int64_t whole = usable_memory());
/// What the process holds beside plans and data: itself, its libraries and stacks; measured as the
/// resident size before a model is loaded.
inline constexpr int64_t kProcessBytes = int64_t{24} << 20;
/// What --max-mem, or without it the machine, leaves for a plan (Options::max_bytes) when the
/// process holds `beside` bytes else; at least 1.
int64_t left_for_plan(const Globals& globals, int64_t beside);
/// errors: Failure(kMemory) when the whole process would need more than --max-mem, or without it
/// than it may use.  `what` needs it ("512 x 384 pixels"), `where` is the place of the error.
void require_memory(const Globals& globals,
                    int64_t needed,
                    const std::string& what,
                    const std::string& where);
/// 512x384; nothing for other text or sides under 1.
struct PictureSize {
  int width = 0, height = 0;
};
std::optional<PictureSize> parse_picture_size(const std::string& text);
/// 2h, 30m, 90s, 90, 1h30m as seconds; nothing for other text.
std::optional<double> parse_duration(const std::string& text);

/// n of total on stderr: a bar on a terminal, one line every 10 s otherwise, or as --progress says.
class Progress {
 public:
  /// total 0: unknown.  unit: "pictures", "steps".
  Progress(const Globals& globals, std::string what, uint64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of the total are done; `extra` follows on the line ("loss 0.0123").
  void update(uint64_t done, const std::string& extra = {});
  /// Removes the bar so that a message may be printed; the next update draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  ProgressMode mode_;
  std::string what_, unit_;
  uint64_t total_, first_ = 0;
  bool started_ = false, drawn_ = false;
  Clock::time_point start_ = Clock::now(), last_ = {};
};

// The subcommands.
void add_smooth(CLI::App& app, Globals& globals);
void add_train(CLI::App& app, Globals& globals);
void add_eval(CLI::App& app, Globals& globals);
void add_inspect(CLI::App& app, Globals& globals);
void add_bench(CLI::App& app, Globals& globals);
void add_convert(CLI::App& app, Globals& globals);
void add_synth(CLI::App& app, Globals& globals);
void add_devices(CLI::App& app, Globals& globals);

}  // namespace mgpnet
