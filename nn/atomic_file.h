// Writing files so that a reader sees the old content or the whole new one, never a part: pictures,
// model files and training states all go through here.
//
// A regular file is written to a temporary in the same folder, synced, renamed over its name, and
// the folder is synced.  Everything else (/dev/full, a pipe, /dev/stdout) is written in place and
// never replaced.  Every step that can report a full disk is checked: write, fsync, close, rename.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/error.h"

namespace satin {

/// Output that could not be written (exit code 4 of mgpnet).  what() says what and where, why() the
/// reason and what to do.
class WriteError : public Error {
 public:
  WriteError(const std::string& what, std::string why) : Error(what), why_(std::move(why)) {}
  const std::string& why() const { return why_; }

 private:
  std::string why_;
};

/// A file that appears under its name only with commit().  Destroyed before that (an exception, an
/// early return), it leaves nothing behind.
class AtomicFile {
 public:
  /// Opens the temporary, or the target itself when it is a device, a pipe or an inherited stream.
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void write(const void* data, size_t size);

  /// Flushes, syncs, closes and renames.  After a failure the old file is untouched.
  void commit();

 private:
  void open_temporary(unsigned keep_mode, bool has_mode);
  void put(const uint8_t* data, size_t size);
  void discard() noexcept;
  [[noreturn]] void fail(const char* step, int error);

  std::string path_;       // as the user wrote it, for messages
  std::string target_;     // what is renamed over: path_ with links resolved
  std::string folder_;     // where target_ and the temporary lie
  std::string temporary_;  // empty when writing in place
  std::vector<uint8_t> buffer_;
  int fd_ = -1;
};

/// The whole content at once.
void write_file(const std::string& path, std::span<const uint8_t> bytes);

/// Whether a file name (without folder) is that of a temporary which a killed process left behind.
bool is_temporary_name(std::string_view name);

}  // namespace satin
