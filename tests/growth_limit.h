// Bounds the memory that a piece of a test may take.  A limit on address space is kept on every
// system and deterministic; a peak of resident memory is neither, and cannot always be read.
#pragma once

#include <cstdint>
#include <fstream>

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

namespace satin::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/// From the start large blocks come from the system and go back to it, and threads have no arenas
/// with address space in reserve: under a limit, neither must serve.
inline const bool kNoReserve =
    mallopt(M_MMAP_THRESHOLD, 128 << 10) == 1 && mallopt(M_ARENA_MAX, 1) == 1;

/// Lets the process grow by `bytes` at most; beyond that allocations throw bad_alloc.  Sanitizers
/// reserve address space of their own, so nothing is limited under them.
class GrowthLimit {
 public:
  explicit GrowthLimit(uint64_t bytes) {
    if (kSanitized) return;
    malloc_trim(0);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    if (pages == 0 || getrlimit(RLIMIT_AS, &old_) != 0) return;
    rlimit limit = old_;
    limit.rlim_cur = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + bytes;
    active_ = limit.rlim_cur < old_.rlim_cur && setrlimit(RLIMIT_AS, &limit) == 0;
  }
  ~GrowthLimit() {
    if (active_) setrlimit(RLIMIT_AS, &old_);
  }
  GrowthLimit(const GrowthLimit&) = delete;
  GrowthLimit& operator=(const GrowthLimit&) = delete;

  bool active() const { return active_; }

 private:
  rlimit old_{};
  bool active_ = false;
};

}  // namespace satin::testing
