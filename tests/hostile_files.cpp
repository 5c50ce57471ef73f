#include "hostile_files.h"

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "growth_limit.h"
#include "nn/byte_reader.h"

namespace satin::testing {
namespace {

#ifdef NDEBUG
constexpr double kSlack = kSanitized ? 10 : 1;
#else
constexpr double kSlack = 10;  // unoptimized; the bar of a second holds for what users run
#endif

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Bytes& Bytes::raw(std::string_view text) {
  insert(end(), text.begin(), text.end());
  return *this;
}

Bytes& Bytes::number(uint64_t x, int width) {
  for (int i = 0; i < width; ++i) push_back(static_cast<uint8_t>(x >> (8 * i)));
  return *this;
}

Bytes& Bytes::f32(float x) {
  uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return u32(bits);
}

Bytes& Bytes::zeros(size_t n) {
  resize(size() + n);
  return *this;
}

Bytes& Bytes::append(const Bytes& other) {
  insert(end(), other.begin(), other.end());
  return *this;
}

std::string numbered(std::string_view prefix, uint64_t i) {
  std::string name(prefix);
  name += std::to_string(i);
  return name;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "satin-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string TemporaryFolder::write(std::string_view name, const Bytes& bytes, uint64_t size) const {
  const std::string file = path(name);
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  REQUIRE(out.good());
  if (size > 0) std::filesystem::resize_file(file, size);
  return file;
}

void within_limits(uint64_t file_size, const std::function<void()>& read) {
  const double wall = seconds_of(CLOCK_MONOTONIC), work = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  {
    const GrowthLimit limit(file_size + (64 << 20));
    read();
  }
  CHECK(seconds_of(CLOCK_THREAD_CPUTIME_ID) - work < 1.0 * kSlack);
  CHECK(seconds_of(CLOCK_MONOTONIC) - wall < 10.0 * kSlack);  // a busy machine is no failure
}

void expect_refused(const std::string& path,
                    const std::string& row,
                    const std::string& reason,
                    const std::function<void(const std::string&)>& read) {
  INFO("row: ", row);
  std::error_code ignored;
  const bool regular = std::filesystem::is_regular_file(path, ignored);
  const uint64_t size = regular ? std::filesystem::file_size(path, ignored) : 0;
  std::string message = "read without an error";
  within_limits(size, [&] {
    try {
      read(path);
    } catch (const FileError& error) {
      message = error.what();
      CHECK(error.file() == path);
      CHECK_FALSE(error.reason().empty());
      CHECK_FALSE(error.advice().empty());
    } catch (const std::exception& error) {
      message = std::string("not a FileError: ") + error.what();
    }
  });
  INFO("message: ", message);
  CHECK(message.find(path) == 0);
  CHECK(message.find(reason) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < path.size() + 400);
}

void expect_all_refused(const std::vector<HostileFile>& files,
                        std::string_view extension,
                        const std::function<void(const std::string&)>& read) {
  const TemporaryFolder folder;
  for (const HostileFile& file : files) {
    const std::string path =
        folder.write("hostile" + std::string(extension), file.make(), file.sparse_size);
    expect_refused(path, file.name, file.reason, read);
  }
}

void expect_special_files_refused(const std::function<void(const std::string&)>& read) {
  const TemporaryFolder folder;
  expect_refused(folder.path("none"), "missing", "No such file", read);
  std::filesystem::create_symlink(folder.path("none"), folder.path("dangling"));
  expect_refused(folder.path("dangling"), "dangling link", "a link that points to nothing", read);
  CHECK_THROWS_WITH_AS(read(folder.path("none\nsuch")), doctest::Contains("none\\x0asuch: cannot"),
                       FileError);
  expect_refused(folder.path("."), "directory", "a directory", read);
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  expect_refused(folder.path("fifo"), "FIFO", "a FIFO", read);
  expect_refused("/dev/zero", "endless device", "a device", read);
  expect_refused("/dev/null", "empty device", "a device", read);

  // Root reads everything, so it steps down to nobody for this one.
  const std::string secret = folder.write("secret", {1, 2, 3});
  std::filesystem::permissions(folder.path("."), std::filesystem::perms(0755));
  std::filesystem::permissions(secret, std::filesystem::perms(0));
  const bool root = geteuid() == 0;
  if (root && seteuid(65534) != 0) {
    MESSAGE("not tested: an unreadable file, because root cannot become nobody here");
    return;
  }
  expect_refused(secret, "unreadable", "Permission denied", read);
  if (root) REQUIRE(seteuid(0) == 0);
}

int corrupt_everywhere(const Bytes& bytes,
                       const std::function<void(const Bytes&)>& read,
                       const std::function<void(const Bytes&)>& accepted) {
  int count = 0;
  const auto attempt = [&](const Bytes& corrupt) {
    try {
      read(corrupt);
    } catch (const FileError&) {
      return false;
    }
    ++count;
    if (accepted) accepted(corrupt);
    return true;
  };
  for (size_t n = 0; n < bytes.size(); ++n) {
    INFO("cut after byte ", n);
    CHECK_FALSE(attempt(Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n))));
  }
  std::mt19937 random(20240611);
  for (size_t at = 0; at < bytes.size(); ++at) {
    const uint8_t old = bytes[at];
    const auto any = static_cast<uint8_t>(random());
    for (const uint8_t value : {uint8_t{0}, uint8_t{0xff}, static_cast<uint8_t>(old ^ 1),
                                static_cast<uint8_t>(old ^ 0x80), any}) {
      if (value == old) continue;
      INFO("byte ", at, " from ", int{old}, " to ", int{value});
      Bytes corrupt = bytes;
      corrupt[at] = value;
      attempt(corrupt);
    }
  }
  for (int round = 0; round < 3000; ++round) {
    INFO("random corruption ", round);
    Bytes corrupt = bytes;
    for (size_t edits = 1 + random() % 6; edits > 0; --edits) {
      const auto at = corrupt.begin() + static_cast<ptrdiff_t>(random() % corrupt.size());
      const auto n = static_cast<ptrdiff_t>(1 + random() % 8);
      const auto end = corrupt.end() - at < n ? corrupt.end() : at + n;
      switch (random() % 4) {
        case 0:
          if (end - at < static_cast<ptrdiff_t>(corrupt.size())) corrupt.erase(at, end);
          break;
        case 1: {
          const Bytes copy(at, end);
          corrupt.insert(at, copy.begin(), copy.end());
          break;
        }
        default:
          *at = static_cast<uint8_t>(random());
      }
    }
    if (corrupt != bytes) attempt(corrupt);
  }
  return count;
}

}  // namespace satin::testing
