// The one way this library reads model and state files: a bounded reader over a regular file (or
// over bytes in memory, such as a model inside the program).  It knows the size from the start,
// never hands out a byte beyond it, and puts file and offset into every error.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tensor/error.h"

namespace satin {

/// A file that cannot be used: missing, damaged, of another kind, or not what the caller needs.
/// what() is `FILE: byte N: reason; advice` on one line; the parts are there for other layouts.
class FileError : public Error {
 public:
  FileError(std::string file,
            std::optional<uint64_t> offset,
            std::string reason,
            std::string advice);

  const std::string& file() const { return file_; }
  std::optional<uint64_t> offset() const { return offset_; }
  const std::string& reason() const { return reason_; }
  const std::string& advice() const { return advice_; }

 private:
  std::string file_;
  std::optional<uint64_t> offset_;
  std::string reason_, advice_;
};

class ByteReader {
 public:
  /// Opens a regular file.  errors: FileError when it is missing, unreadable, or a directory, FIFO,
  /// socket or device (none of which is ever waited for).
  explicit ByteReader(const std::string& path);
  /// Reads `bytes`, which must outlive the reader, under the name `name` in errors.
  ByteReader(std::string name, std::span<const std::byte> bytes);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  const std::string& file() const { return file_; }
  uint64_t size() const { return size_; }
  uint64_t offset() const { return offset_; }
  uint64_t left() const { return size_ - offset_; }

  /// The next read starts at `offset` <= size().
  void seek(uint64_t offset);

  /// The next n bytes.  errors: fewer are left (`what` says what was wanted), the file shrank, or
  /// the system reports an error.
  void read(void* to, uint64_t n, std::string_view what);

  /// The next little-endian number.
  template <class T>
  T get(std::string_view what) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    T x;
    read(&x, sizeof x, what);
    return x;
  }

  /// The next n bytes as text; n is compared with left() before anything is allocated.
  std::string get_text(uint64_t n, std::string_view what);

  /// Skips n padding bytes.  errors: one of them is not zero.
  void expect_zeros(uint64_t n, std::string_view what);

  /// errors: bytes are left, or the file's size has changed since it was opened.
  void expect_end(std::string_view what);

  /// Throws FileError.  Without advice: the file is damaged, get it again.
  [[noreturn]] void fail(uint64_t at, std::string reason, std::string advice = {}) const;

 private:
  void read_file(std::byte* to, uint64_t n, uint64_t at) const;
  void require(uint64_t n, std::string_view what) const;

  std::string file_;
  int fd_ = -1;  // -1: the bytes are in memory_
  std::span<const std::byte> memory_;
  uint64_t size_ = 0, offset_ = 0;
  std::vector<std::byte> buffer_;  // holds the file's bytes from buffer_at_ on
  uint64_t buffer_at_ = 0;
};

}  // namespace satin
