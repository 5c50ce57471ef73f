// nn/atomic_file: complete files or none, on every way a write can fail.
#include "nn/atomic_file.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;
using satin::AtomicFile;
using satin::write_file;
using satin::WriteError;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "satin-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  int entries() const {
    return static_cast<int>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
};

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("atomic_file: a new file, a replaced file, an empty file") {
  Folder folder;
  write_file(folder / "a", bytes_of("one"));
  CHECK(content(folder / "a") == "one");
  write_file(folder / "a", bytes_of("second"));
  CHECK(content(folder / "a") == "second");
  write_file(folder / "a", {});
  CHECK(content(folder / "a").empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("atomic_file: many small writes and one of several buffers add up in order") {
  Folder folder;
  std::string expected;
  AtomicFile file(folder / "stream");
  for (int i = 0; i < 30000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    file.write(piece.data(), piece.size());
    expected += piece;
  }
  const std::string large(1 << 20, 'x');
  file.write(bytes_of(large));
  expected += large;
  CHECK_FALSE(fs::exists(folder / "stream"));
  file.commit();
  CHECK(content(folder / "stream") == expected);
  CHECK_THROWS_AS(file.write(bytes_of("late")), satin::Error);
  CHECK_THROWS_AS(file.commit(), satin::Error);
}

TEST_CASE("atomic_file: without commit nothing changes and nothing stays") {
  Folder folder;
  write_file(folder / "a", bytes_of("old"));
  {
    AtomicFile file(folder / "a");
    file.write(bytes_of(std::string(1 << 20, 'n')));
    CHECK(folder.entries() == 2);
    for (const auto& entry : fs::directory_iterator(folder.path)) {
      const std::string name = entry.path().filename().string();
      CHECK((name == "a" || satin::is_temporary_name(name)));
    }
  }
  CHECK(content(folder / "a") == "old");
  CHECK(folder.entries() == 1);
  CHECK_FALSE(satin::is_temporary_name("a"));
}

TEST_CASE("atomic_file: the mode follows umask; a replaced file keeps its own") {
  Folder folder;
  const mode_t before = umask(027);
  write_file(folder / "a", bytes_of("x"));
  umask(before);
  CHECK(mode_of(folder / "a") == 0640);
  chmod((folder / "a").c_str(), 0604);
  write_file(folder / "a", bytes_of("y"));
  CHECK(mode_of(folder / "a") == 0604);
}

TEST_CASE("atomic_file: names with spaces, newline, UTF-8, a leading dash, 255 bytes") {
  Folder folder;
  for (const std::string& name : {std::string("a b"), std::string("a\nb"), std::string("-o"),
                                  std::string("gr\xc3\xbc\xc3\x9f"), std::string(255, 'n')}) {
    write_file(folder / name, bytes_of(name));
    CHECK(content(folder / name) == name);
  }
  CHECK_THROWS_AS(write_file(folder / std::string(256, 'n'), bytes_of("x")), WriteError);
  CHECK(folder.entries() == 5);
}

TEST_CASE("atomic_file: a link's target is replaced, the link stays") {
  Folder folder;
  fs::create_directory(folder / "real");
  write_file(folder / "real/file", bytes_of("old"));
  fs::create_symlink("real/file", folder / "link");
  write_file(folder / "link", bytes_of("new"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(content(folder / "real/file") == "new");
  fs::create_symlink("nowhere", folder / "dangling");
  CHECK_THROWS_AS(write_file(folder / "dangling", bytes_of("x")), WriteError);
  CHECK(fs::is_symlink(folder / "dangling"));
}

TEST_CASE("atomic_file: /dev/full is reported, as a device it stays") {
  CHECK_THROWS_AS(write_file("/dev/full", bytes_of("x")), WriteError);
  CHECK_THROWS_AS(write_file("/dev/full", bytes_of(std::string(1 << 20, 'x'))), WriteError);
  CHECK(fs::is_character_file("/dev/full"));
  write_file("/dev/null", bytes_of("x"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("atomic_file: a named pipe is written, not replaced") {
  Folder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::string got;
  std::thread reader([&] { got = content(pipe); });
  write_file(pipe, bytes_of("through the pipe"));
  reader.join();
  CHECK(got == "through the pipe");
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("atomic_file: a name of a descriptor writes at that descriptor's own place") {
  Folder folder;
  const int fd = open((folder / "log").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, "before ", 7) == 7);
  write_file("/dev/fd/" + std::to_string(fd), bytes_of("during "));
  REQUIRE(write(fd, "after", 5) == 5);
  close(fd);
  CHECK(content(folder / "log") == "before during after");
  CHECK(folder.entries() == 1);
}

TEST_CASE("atomic_file: what cannot be a file is refused with a sentence") {
  Folder folder;
  const std::string file = folder / "file";
  write_file(file, bytes_of("x"));
  for (const std::string& path :
       {std::string(), folder.path.string(), folder.path.string() + "/", file + "/below",
        folder / "missing/name", std::string("/proc/nothing/here")}) {
    CAPTURE(path);
    try {
      write_file(path, bytes_of("x"));
      FAIL("was accepted");
    } catch (const WriteError& error) {
      CHECK(std::string(error.what()).starts_with("cannot "));
      CHECK_FALSE(error.why().empty());
    }
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("atomic_file: a folder that vanishes while writing is an error") {
  Folder folder;
  fs::create_directory(folder / "sub");
  AtomicFile file(folder / "sub/a");
  file.write(bytes_of("x"));
  fs::remove_all(folder / "sub");
  CHECK_THROWS_AS(file.commit(), WriteError);
  CHECK(folder.entries() == 0);
}

TEST_CASE("atomic_file: a write that fails half way leaves the old file alone") {
  Folder folder;
  write_file(folder / "a", bytes_of("old"));
  // The file-size limit stands in for a disk that fills up: it needs no mount.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &small);
  CHECK_THROWS_AS(write_file(folder / "a", bytes_of(std::string(3 << 20, 'x'))), WriteError);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(content(folder / "a") == "old");
  CHECK(folder.entries() == 1);
}
