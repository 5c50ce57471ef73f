#include "nn/byte_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/text.h"

namespace satin {
namespace {

constexpr size_t kBuffer = 64 << 10;

std::string describe(const std::string& file,
                     std::optional<uint64_t> offset,
                     const std::string& reason,
                     const std::string& advice) {
  std::string text = one_line(file) + ": ";
  if (offset) text += "byte " + std::to_string(*offset) + ": ";
  return text + reason + (advice.empty() ? "" : "; " + advice);
}

std::string reason_of(int error) { return std::generic_category().message(error); }

// Empty for a regular file.
const char* kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO (named pipe)";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "not a regular file";
}

void require_regular(const std::string& path, const struct stat& info) {
  const std::string kind = kind_of(info.st_mode);
  if (!kind.empty())
    throw FileError(path, {}, "this is " + kind + ", not a file", "name a regular file");
}

[[noreturn]] void refuse_open(const std::string& path, int error) {
  struct stat link {};
  if (error == ENOENT && lstat(path.c_str(), &link) == 0)
    throw FileError(path, {}, "this is a link that points to nothing", "name a regular file");
  throw FileError(path, {}, "cannot be opened: " + reason_of(error),
                  error == ENOENT ? "check the name" : "check the path and its permissions");
}

}  // namespace

FileError::FileError(std::string file,
                     std::optional<uint64_t> offset,
                     std::string reason,
                     std::string advice)
    : Error(describe(file, offset, reason, advice)),
      file_(std::move(file)),
      offset_(offset),
      reason_(std::move(reason)),
      advice_(std::move(advice)) {}

ByteReader::ByteReader(const std::string& path) : file_(path) {
  // The kind is looked at before opening, because opening a device can act on it, and after,
  // because only then it is certain.  O_NONBLOCK: a FIFO that slips in between must not hang.
  struct stat info {};
  if (path.find('\0') != std::string::npos) refuse_open(path, ENOENT);
  if (stat(path.c_str(), &info) != 0) refuse_open(path, errno);
  require_regular(path, info);
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd_ < 0) refuse_open(path, errno);
  try {
    if (fstat(fd_, &info) != 0) refuse_open(path, errno);
    require_regular(path, info);
    size_ = static_cast<uint64_t>(info.st_size);
    buffer_.reserve(std::min<uint64_t>(kBuffer, size_));
  } catch (...) {
    close(fd_);
    throw;
  }
}

ByteReader::ByteReader(std::string name, std::span<const std::byte> bytes)
    : file_(std::move(name)), memory_(bytes), size_(bytes.size()) {}

ByteReader::~ByteReader() {
  if (fd_ >= 0) close(fd_);
}

void ByteReader::fail(uint64_t at, std::string reason, std::string advice) const {
  if (advice.empty()) advice = "the file is damaged or incomplete, get or make it again";
  throw FileError(file_, at, std::move(reason), std::move(advice));
}

void ByteReader::require(uint64_t n, std::string_view what) const {
  if (n > left())
    fail(offset_,
         cat("the file ends inside ", what, ": ", n, " bytes are needed, ", left(), " are left"));
}

void ByteReader::seek(uint64_t offset) {
  if (offset > size_) fail(size_, cat("the file ends before byte ", offset));
  offset_ = offset;
}

void ByteReader::read_file(std::byte* to, uint64_t n, uint64_t at) const {
  while (n > 0) {
    const ssize_t got =
        pread(fd_, to, std::min<uint64_t>(n, size_t{1} << 30), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(at, "cannot be read: " + reason_of(errno), "check the disk");
    if (got == 0)
      fail(at, cat("the file shrank while it was read (it had ", size_, " bytes)"),
           "try again when nothing writes to it");
    to += got;
    n -= static_cast<uint64_t>(got);
    at += static_cast<uint64_t>(got);
  }
}

void ByteReader::read(void* to, uint64_t n, std::string_view what) {
  require(n, what);
  auto* out = static_cast<std::byte*>(to);
  if (fd_ < 0) {
    std::copy_n(memory_.begin() + static_cast<ptrdiff_t>(offset_), n, out);
    offset_ += n;
    return;
  }
  while (n > 0) {
    if (offset_ >= buffer_at_ && offset_ - buffer_at_ < buffer_.size()) {
      const uint64_t from = offset_ - buffer_at_;
      const uint64_t count = std::min<uint64_t>(n, buffer_.size() - from);
      std::memcpy(out, buffer_.data() + from, count);
      out += count;
      offset_ += count;
      n -= count;
    } else if (n >= kBuffer) {
      read_file(out, n, offset_);
      offset_ += n;
      n = 0;
    } else {
      const uint64_t count = std::min<uint64_t>(kBuffer, left());
      buffer_.resize(count);
      buffer_at_ = size_;  // nothing is buffered should the next line throw
      read_file(buffer_.data(), count, offset_);
      buffer_at_ = offset_;
    }
  }
}

std::string ByteReader::get_text(uint64_t n, std::string_view what) {
  require(n, what);
  std::string text(n, '\0');
  read(text.data(), n, what);
  return text;
}

void ByteReader::expect_zeros(uint64_t n, std::string_view what) {
  require(n, what);
  for (uint64_t i = 0; i < n; ++i)
    if (get<uint8_t>(what) != 0) fail(offset_ - 1, cat(what, " is not zero"));
}

void ByteReader::expect_end(std::string_view what) {
  if (left() > 0) fail(offset_, cat(left(), " bytes follow ", what));
  struct stat info {};
  if (fd_ >= 0 && (fstat(fd_, &info) != 0 || static_cast<uint64_t>(info.st_size) != size_))
    fail(size_,
         cat("the file's size changed while it was read, from ", size_, " to ", info.st_size,
             " bytes"),
         "try again when nothing writes to it");
}

}  // namespace satin
