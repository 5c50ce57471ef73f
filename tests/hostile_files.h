// A generator of files that must be refused: one row for every way a GGUF, a safetensors or a
// training-state file can be wrong.  Files are built byte by byte, not by the library's writers.
// expect_refused states what "refused cleanly" means.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace satin::testing {

/// Little-endian bytes, appended one after the other.
class Bytes : public std::vector<uint8_t> {
 public:
  using std::vector<uint8_t>::vector;
  Bytes& raw(std::string_view text);
  Bytes& number(uint64_t x, int width);
  Bytes& u32(uint64_t x) { return number(x, 4); }
  Bytes& u64(uint64_t x) { return number(x, 8); }
  Bytes& text(std::string_view s) { return u64(s.size()).raw(s); }  ///< as GGUF writes strings
  Bytes& f32(float x);
  Bytes& zeros(size_t n);
  Bytes& append(const Bytes& other);
};

/// prefix7
std::string numbered(std::string_view prefix, uint64_t i);

struct HostileFile {
  std::string name;             ///< the row, for messages
  std::string reason;           ///< part of the message that must come
  std::function<Bytes()> make;  ///< called when the row is tested: some are large
  uint64_t sparse_size = 0;     ///< grown to this size by zeros that take no disk
};

/// Against the model below: keys general.architecture and mgpnet.levels (1 to 8), tensors
/// "a.weight" [2,3] and "b.bias" [4].
std::vector<HostileFile> hostile_gguf();
std::vector<HostileFile> hostile_safetensors();
/// Containers of kind "test-state", schema 7, with the sections of state_bytes().
std::vector<HostileFile> hostile_state();

/// The valid files from which the hostile ones are derived.
Bytes gguf_bytes();
Bytes safetensors_bytes();
Bytes state_bytes();

/// {"a":{...}}-like header text and data, with the true or a false length.
Bytes safetensors_of(std::string_view header, size_t data, std::optional<uint64_t> length = {});

/// A folder that goes away with its content.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  std::string write(std::string_view name, const Bytes& bytes, uint64_t size = 0) const;

 private:
  std::filesystem::path folder_;
};

/// Runs `read` for a file of this size, letting the process grow by that and 64 MiB at most
/// (beyond, allocations throw bad_alloc), and checks that it works for under a second.  Sanitized
/// and unoptimized builds have ten, and the former no limit of memory.
void within_limits(uint64_t file_size, const std::function<void()>& read);

/// Runs read(path): it must throw FileError with the file's name and `reason` in it, in under a
/// second, without asking the system for more than the file's size and 64 MiB.
void expect_refused(const std::string& path,
                    const std::string& row,
                    const std::string& reason,
                    const std::function<void(const std::string&)>& read);
void expect_all_refused(const std::vector<HostileFile>& files,
                        std::string_view extension,
                        const std::function<void(const std::string&)>& read);

/// What is no file at all (missing, FIFO, directory, devices, unreadable) is refused by `read`.
void expect_special_files_refused(const std::function<void(const std::string&)>& read);

/// Every prefix is tried, every byte of `bytes` replaced by several others, and some thousand times
/// several bytes replaced, removed or doubled at random (a fixed seed): `read` must return or throw
/// FileError.  Returns how many of the corruptions were read without an error.
/// `accepted` (optional) is called with those.
int corrupt_everywhere(const Bytes& bytes,
                       const std::function<void(const Bytes&)>& read,
                       const std::function<void(const Bytes&)>& accepted = {});

}  // namespace satin::testing
