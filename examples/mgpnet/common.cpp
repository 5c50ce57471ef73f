// Signals, messages, sizes, progress and the mapping of exceptions to exit codes.
#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>

#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mgpnet/command.h"
#include "mgpnet/dataset.h"
#include "mgpnet/image_io.h"
#include "nn/atomic_file.h"
#include "nn/byte_reader.h"
#include "nn/text.h"
#include "tensor/program.h"

namespace mgpnet {

using satin::cat;

// --- failures ----------------------------------------------------------------------------------

Failure to_failure(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Failure& e) {
    return e;
  } catch (const ImageError& e) {
    return {kInput, e.what(), "", e.why()};
  } catch (const DataError& e) {
    return {kInput, e.what(), "", e.why()};
  } catch (const satin::WriteError& e) {
    return {kOutput, e.what(), "", e.why()};
  } catch (const satin::FileError& e) {
    const std::string at = e.offset() ? cat("byte ", *e.offset(), ": ") : "";
    const bool state = e.file().ends_with(".state");
    return {kModel, state ? "cannot use training state" : "cannot use model file", e.file(),
            at + e.reason() + "; " + e.advice()};
  } catch (const satin::MemoryError& e) {
    return {kMemory, "not enough memory", "--max-mem",
            cat(e.what(), "; the smallest limit that would do is ", size_text(e.needed), " (",
                e.needed, " bytes)")};
  } catch (const satin::OutOfMemory& e) {
    return {kMemory, "not enough memory", "", e.what()};
  } catch (const satin::DeviceError& e) {
    return {kDevice, "the device failed", "", cat(e.what(), "; --device cpu goes without it")};
  } catch (const std::bad_alloc&) {
    return {kMemory, "not enough memory", "", "the system refused an allocation"};
  } catch (const std::exception& e) {
    return {kInternal, "internal error", "", cat(e.what(), "; please report this")};
  } catch (...) {
    return {kInternal, "internal error", "", "an unknown exception; please report this"};
  }
}

// --- signals -----------------------------------------------------------------------------------

namespace {

volatile std::sig_atomic_t signal_number = 0;
std::atomic<int64_t> signal_time_ms{0};

int64_t now_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1000000;
}

void on_signal(int number) {
  if (signal_number != 0) {
    // The second one: whoever waits has waited enough.  Temporaries stay; nothing half-written
    // bears a final name.
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  signal_time_ms = now_ms();
  signal_number = number;
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // writing to a closed pipe is an error like any other
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return signal_number != 0; }
int interrupt_signal() { return signal_number; }
void stop_if_interrupted() {
  if (interrupted()) throw Interrupted{};
}

void InterruptCheck::step(const satin::Node& node, double seconds) {
  if (next_) next_->step(node, seconds);
  if (interrupted() && now_ms() - signal_time_ms > 1000) throw Interrupted{};
}

// --- messages ----------------------------------------------------------------------------------

namespace {

Progress* shown = nullptr;

void say(const std::string& text) {
  if (shown) shown->clear();
  std::fputs(("mgpnet: " + text + "\n").c_str(), stderr);
}

[[noreturn]] void output_failed() {
  throw Failure(kOutput, "cannot write", "standard output", std::strerror(errno));
}

}  // namespace

void print(const std::string& text) {
  if (shown) shown->clear();
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) output_failed();
}

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) output_failed();
}

void note(const Globals& globals, const std::string& text) {
  if (!globals.quiet) say(text);
}
void detail(const Globals& globals, const std::string& text) {
  if (globals.verbose) say(text);
}
void warn(const std::string& text) { say("warning: " + satin::one_line(text)); }

void print_failure(const Failure& failure) {
  say("error: " + satin::one_line(failure.what()) +
      (failure.why.empty() ? "" : cat("\n  ", satin::one_line(failure.why))));
}

// --- sizes and times ---------------------------------------------------------------------------

std::string size_text(int64_t bytes) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string time_text(double seconds) {
  const auto s = static_cast<long long>(std::min(seconds + 0.5, 1e9));
  char text[64];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

int64_t usable_memory() {
  int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream in(file);
    int64_t limit = 0;
    if (in >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

int64_t left_for_plan(const Globals& globals, int64_t beside) {
  const int64_t limit = globals.max_mem > 0 ? globals.max_mem : device_memory(globals);
  return std::max<int64_t>(1, limit - beside);
}

void require_memory(const Globals& globals,
                    int64_t needed,
                    const std::string& what,
                    const std::string& where) {
  const bool asked = globals.max_mem > 0;
  const int64_t limit = asked ? globals.max_mem : device_memory(globals);
  if (needed > limit)
    throw Failure(kMemory, "not enough memory", where,
                  cat(what, " need ", size_text(needed), ", ",
                      asked                           ? "--max-mem allows "
                      : backend_of(globals).on_host() ? "this process may use "
                                                      : "free on the GPU are ",
                      size_text(limit), "; the smallest limit that would do is ", needed));
}

std::optional<int64_t> parse_size(const std::string& text, int64_t whole) {
  double value = 0;
  size_t end = 0;
  // stod also reads "inf", "nan" and hexadecimal numbers.
  if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0])) ||
      text.find_first_of("xX") != std::string::npos)
    return std::nullopt;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  std::string unit = text.substr(end);
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit == "%") {
    value = value / 100 * static_cast<double>(whole);
  } else {
    if (unit.ends_with("IB"))
      unit.resize(unit.size() - 2);
    else if (unit.ends_with("B"))
      unit.pop_back();
    const size_t power = std::string("KMGT").find(unit.empty() ? ' ' : unit[0]);
    if (unit.size() > 1 || (!unit.empty() && power == std::string::npos)) return std::nullopt;
    if (!unit.empty()) value *= std::pow(1024.0, static_cast<double>(power + 1));
  }
  if (!(value >= 1) || value > 9e18) return std::nullopt;
  return static_cast<int64_t>(value);
}

std::optional<PictureSize> parse_picture_size(const std::string& text) {
  PictureSize size;
  char rest = 0;
  if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0])) || text.size() > 21 ||
      std::sscanf(text.c_str(), "%9dx%9d%c", &size.width, &size.height, &rest) != 2 ||
      size.width < 1 || size.height < 1)
    return std::nullopt;
  return size;
}

std::optional<double> parse_duration(const std::string& text) {
  double total = 0;
  size_t at = 0;
  if (text.empty()) return std::nullopt;
  while (at < text.size()) {
    size_t end = at;
    while (end < text.size() &&
           (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.'))
      ++end;
    double value = 0;
    try {
      value = std::stod(text.substr(at, end - at));
    } catch (const std::exception&) {
      return std::nullopt;
    }
    double unit = 1;
    if (end < text.size()) {
      switch (text[end++]) {
        case 's':
          break;
        case 'm':
          unit = 60;
          break;
        case 'h':
          unit = 3600;
          break;
        case 'd':
          unit = 86400;
          break;
        default:
          return std::nullopt;
      }
    }
    total += value * unit;
    at = end;
  }
  return total;
}

// --- progress ----------------------------------------------------------------------------------

namespace {

ProgressMode resolved(const Globals& globals) {
  if (globals.quiet) return ProgressMode::none;
  if (globals.progress != ProgressMode::automatic) return globals.progress;
  const char* term = std::getenv("TERM");
  const bool dumb = term && std::string(term) == "dumb";
  return isatty(STDERR_FILENO) && !dumb ? ProgressMode::bar : ProgressMode::plain;
}

size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(const Globals& globals, std::string what, uint64_t total, std::string unit)
    : mode_(resolved(globals)), what_(std::move(what)), unit_(std::move(unit)), total_(total) {
  shown = this;
}

Progress::~Progress() {
  clear();
  if (shown == this) shown = nullptr;
}

void Progress::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void Progress::update(uint64_t done, const std::string& extra) {
  if (mode_ == ProgressMode::none) return;
  const auto now = Clock::now();
  if (!started_) {
    // A resumed run starts in the middle: the rate counts from here.
    started_ = true, first_ = done, start_ = now;
    if (mode_ == ProgressMode::plain) last_ = now;
  }
  const double pause = mode_ == ProgressMode::plain ? 10 : 0.1;
  const bool last = total_ > 0 && done >= total_;
  if (std::chrono::duration<double>(now - last_).count() < pause &&
      !(last && mode_ != ProgressMode::plain))
    return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(done - first_) / elapsed : 0;
  const double left = rate > 0 && total_ > done ? static_cast<double>(total_ - done) / rate : -1;
  if (mode_ == ProgressMode::json) {
    nlohmann::ordered_json line = {{"t", "progress"}, {"what", what_}, {"done", done}};
    if (total_ > 0) line["total"] = total_;
    line["rate"] = rate;
    if (left >= 0) line["eta_s"] = left;
    if (!extra.empty()) line["extra"] = extra;
    std::fputs((line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n").c_str(),
               stderr);
    return;
  }
  std::string text = what_ + " " + std::to_string(done);
  if (total_ > 0) text.append("/").append(std::to_string(total_));
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, rate >= 10 ? "  %.0f %s/s" : "  %.2f %s/s", rate,
                unit_.c_str());
  if (rate > 0) text += numbers;
  if (left >= 0) text.append("  ETA ").append(time_text(left));
  if (!extra.empty()) text.append("  ").append(satin::one_line(extra));
  if (mode_ == ProgressMode::plain) {
    std::fputs(("mgpnet: " + text + "\n").c_str(), stderr);
    return;
  }
  const size_t width = terminal_width() - 1;
  if (total_ > 0 && text.size() + 24 < width) {
    const auto full = static_cast<size_t>(20 * std::min(done, total_) / total_);
    std::string bar(23, ' ');
    bar.front() = '[', bar[21] = ']';
    std::fill_n(bar.begin() + 1, full, '=');
    text.insert(0, bar);
  }
  if (text.size() > width) text.resize(satin::valid_utf8_length(text.substr(0, width)));
  std::fputs(("\r\033[K" + text).c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace mgpnet
