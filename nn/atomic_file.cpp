// See atomic_file.h.  POSIX calls throughout: std::ofstream reports success before the data has
// reached the disk and has no fsync.
#include "nn/atomic_file.h"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/text.h"

namespace satin {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr std::string_view kTemporaryPrefix = ".satin-";
constexpr std::string_view kTemporarySuffix = ".tmp";

std::string why_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full; free some space or choose another folder";
    case EACCES:
    case EPERM:
      return "permission denied; choose a folder you may write to";
    case EROFS:
      return "the file system is read-only; choose another folder";
    case ENOENT:
      return "the folder does not exist; create it first";
    case ENOTDIR:
      return "a part of the path is a file, not a folder";
    case EISDIR:
      return "it is a folder; give a file name";
    case ENAMETOOLONG:
      return "the name is too long for the file system; choose a shorter one";
    case ELOOP:
      return "the links lead in a circle";
    case EFBIG:
      return "the file is larger than the file system or the limit of this process allows";
    case EPIPE:
      return "the reader of the pipe has gone";
    default:
      return std::string(std::strerror(error));
  }
}

// Names such as /dev/stdout stand for a descriptor of this process: a shell may have pointed it at
// a regular file and expects its own offset to move, so the descriptor itself is used.
int inherited_descriptor(const std::string& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(prefix)) continue;
    int fd = -1;
    const char* last = path.data() + path.size();
    auto [end, code] = std::from_chars(path.data() + prefix.size(), last, fd);
    if (code == std::errc() && end == last) return fd;
  }
  return -1;
}

uint64_t random_bits() {
  static std::atomic<uint64_t> counter{0};
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t x = static_cast<uint64_t>(now.tv_nsec) ^ (static_cast<uint64_t>(now.tv_sec) << 30) ^
               (static_cast<uint64_t>(getpid()) << 44) ^ (counter++ * 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

std::string temporary_name() {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::string name(kTemporaryPrefix);
  uint64_t bits = random_bits();
  for (int i = 0; i < 12; ++i, bits >>= 5) name += kDigits[bits & 31];
  return name.append(kTemporarySuffix);
}

// Some file systems and every pipe answer EINVAL to fsync: there is nothing to sync there.
bool sync_failed(int fd) {
  int result;
  do result = fsync(fd);
  while (result != 0 && errno == EINTR);
  return result != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (path.empty()) throw WriteError("cannot write: the file name is empty", "give a file name");
  if (path.find('\0') != std::string::npos || path.back() == '/')
    throw WriteError("cannot write: " + one_line(path), "it names a folder; give a file name");
  buffer_.reserve(kBufferBytes);

  if (const int inherited = inherited_descriptor(path); inherited >= 0) {
    fd_ = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
    if (fd_ < 0) fail("open", errno);
    return;
  }
  struct stat status {};
  const bool exists = stat(path.c_str(), &status) == 0;
  const int stat_error = errno;
  if (exists && S_ISDIR(status.st_mode)) fail("write", EISDIR);
  if (exists && !S_ISREG(status.st_mode)) {
    do fd_ = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail("open", errno);
    return;
  }
  if (!exists && stat_error != ENOENT) fail("write", stat_error);
  if (exists) {
    // A rename would replace a write-protected file without asking.
    if (access(path.c_str(), W_OK) != 0) fail("overwrite", errno);
    char* resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) fail("write", errno);
    target_ = resolved;
    std::free(resolved);
  } else {
    struct stat link {};
    if (lstat(path.c_str(), &link) == 0)
      throw WriteError("cannot write: " + one_line(path),
                       "it is a link that points to nothing; remove it or create its target");
    target_ = path;
  }
  const size_t slash = target_.rfind('/');
  folder_ = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  const size_t name_bytes = target_.size() - (slash == std::string::npos ? 0 : slash + 1);
  if (name_bytes > NAME_MAX) fail("write", ENAMETOOLONG);
  open_temporary(status.st_mode & 07777, exists);
}

// The mode comes from the kernel (0666 less umask and folder defaults); a file that is replaced
// keeps the mode it had.
void AtomicFile::open_temporary(unsigned keep_mode, bool has_mode) {
  const std::string base = folder_.back() == '/' ? folder_ : folder_ + '/';
  for (int attempt = 0; fd_ < 0; ++attempt) {
    temporary_ = base + temporary_name();
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ >= 0) break;
    const int error = errno;
    temporary_.clear();
    if (error == EINTR || (error == EEXIST && attempt < 100)) continue;
    fail("create", error);
  }
  if (has_mode && fchmod(fd_, keep_mode) != 0 && errno != EPERM && errno != ENOTSUP)
    fail("set the mode of", errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail(const char* step, int error) {
  discard();
  throw WriteError(cat("cannot ", step, ": ", one_line(path_)), why_of(error));
}

void AtomicFile::write(const void* data, size_t size) {
  write(std::span(static_cast<const uint8_t*>(data), size));
}

void AtomicFile::write(std::span<const uint8_t> bytes) {
  if (fd_ < 0) throw Error("AtomicFile::write: the file is already committed: " + one_line(path_));
  if (buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return;
  }
  put(buffer_.data(), buffer_.size());
  buffer_.clear();
  if (bytes.size() >= kBufferBytes) {
    put(bytes.data(), bytes.size());
  } else {
    buffer_.assign(bytes.begin(), bytes.end());
  }
}

void AtomicFile::put(const uint8_t* data, size_t size) {
  while (size > 0) {
    // Linux moves at most 2 GiB a call.
    const ssize_t written = ::write(fd_, data, std::min<size_t>(size, size_t{1} << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", errno);
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (fd_ < 0) throw Error("AtomicFile::commit: the file is already committed: " + one_line(path_));
  put(buffer_.data(), buffer_.size());
  buffer_.clear();
  if (sync_failed(fd_)) fail("sync", errno);
  // After EINTR from close the descriptor is gone on Linux, and its data were synced above.
  const int closed = close(fd_);
  fd_ = -1;
  if (closed != 0 && errno != EINTR) fail("close", errno);
  if (temporary_.empty()) return;

  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail("put in place", errno);
  temporary_.clear();
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A folder that may be written but not listed cannot be opened for syncing; the file is complete.
  if (folder < 0) return;
  const bool failed = sync_failed(folder);
  const int error = errno;
  close(folder);
  if (failed) fail("sync the folder of", error);
}

void write_file(const std::string& path, std::span<const uint8_t> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

bool is_temporary_name(std::string_view name) {
  return name.size() == kTemporaryPrefix.size() + 12 + kTemporarySuffix.size() &&
         name.starts_with(kTemporaryPrefix) && name.ends_with(kTemporarySuffix);
}

}  // namespace satin
