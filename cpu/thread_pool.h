// A small pool of threads.  (libgomp would be a shared library, and the thread sanitizer cannot see
// through it.)
#pragma once

#include <cstdint>
#include <memory>

namespace satin {

/// Runs bodies of loops on a fixed number of threads.  Which thread runs which index is left to
/// chance; kernels therefore split work by the size of the problem, never by the number of threads.
class ThreadPool {
 public:
  /// `threads` in all, the calling one included; 0: as many as this process may use (affinity and
  /// cgroup limits included).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Calls body(context, i) once for every i in [0, n), and returns when all calls have.  Bodies
  /// must not throw and must not call parallel() of the same pool.
  void parallel(int64_t n, void (*body)(void* context, int64_t i), void* context);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

/// The cores this process may use: affinity mask and cgroup quota, at least 1.
int usable_cores();

}  // namespace satin
