// The pool: workers look for an open loop, claim indices from one counter, and sleep when there has
// been nothing to do for some microseconds.  A worker that wakes too late simply finds the loop
// closed; the caller waits only for workers that joined.
#include "cpu/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace satin {
namespace {

// Kernels follow each other within microseconds; waking a sleeping thread costs tens of them.
constexpr auto kSpin = std::chrono::microseconds(50);

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits until done() for a short while; whether it came true.
template <class Done>
bool spin_until(Done done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

struct ThreadPool::Shared {
  std::vector<std::thread> threads;
  bool spin = true;  // not when there are more threads than cores

  std::mutex one_loop;  // callers of parallel() take turns

  std::mutex mutex;  // guards what follows, except that the atomics may be read without it
  std::condition_variable work, done;
  std::atomic<uint64_t> loops{0};  // opened so far
  std::atomic<int> joined{0};      // workers inside the open loop
  bool open = false;
  bool stop = false;
  void (*body)(void*, int64_t) = nullptr;
  void* context = nullptr;
  int64_t n = 0;

  alignas(64) std::atomic<int64_t> next{0};

  void claim(int64_t end, void (*f)(void*, int64_t), void* c) {
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < end;
         i = next.fetch_add(1, std::memory_order_relaxed))
      f(c, i);
  }

  void work_forever() {
    uint64_t seen = 0;
    for (;;) {
      if (spin) spin_until([&] { return loops.load(std::memory_order_relaxed) != seen; });
      std::unique_lock lock(mutex);
      work.wait(lock, [&] { return stop || loops.load(std::memory_order_relaxed) != seen; });
      if (stop) return;
      seen = loops.load(std::memory_order_relaxed);
      if (!open) continue;
      joined.fetch_add(1, std::memory_order_relaxed);
      const int64_t end = n;
      const auto f = body;
      void* const c = context;
      lock.unlock();
      claim(end, f, c);
      if (joined.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        lock.lock();  // so that the caller is either before its check or already waiting
        done.notify_one();
      }
    }
  }
};

ThreadPool::ThreadPool(int threads) : shared_(std::make_unique<Shared>()) {
  const int usable = usable_cores();
  if (threads <= 0) threads = usable;
  shared_->spin = threads <= usable;
  shared_->threads.reserve(static_cast<size_t>(threads - 1));
  for (int i = 1; i < threads; ++i) {
    try {
      shared_->threads.emplace_back([shared = shared_.get()] { shared->work_forever(); });
    } catch (const std::system_error&) {
      break;  // the system allows no more threads: fewer do the same work
    }
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
    shared_->loops.fetch_add(1, std::memory_order_relaxed);
  }
  shared_->work.notify_all();
  for (std::thread& t : shared_->threads) t.join();
}

int ThreadPool::threads() const { return static_cast<int>(shared_->threads.size()) + 1; }

void ThreadPool::parallel(int64_t n, void (*body)(void* context, int64_t i), void* context) {
  if (n <= 0) return;
  if (n == 1 || shared_->threads.empty()) {
    for (int64_t i = 0; i < n; ++i) body(context, i);
    return;
  }
  Shared& s = *shared_;
  const std::lock_guard turn(s.one_loop);
  {
    const std::lock_guard lock(s.mutex);
    s.body = body;
    s.context = context;
    s.n = n;
    s.next.store(0, std::memory_order_relaxed);
    s.open = true;
    s.loops.fetch_add(1, std::memory_order_relaxed);
  }
  s.work.notify_all();
  s.claim(n, body, context);
  {
    const std::lock_guard lock(s.mutex);
    s.open = false;  // nobody joins from here on
  }
  const auto finished = [&] { return s.joined.load(std::memory_order_acquire) == 0; };
  if (s.spin && spin_until(finished)) return;
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, finished);
}

namespace {

/// quota / period of the two numbers, rounded up; a huge number where there is no limit.
int cores_of(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return 1 << 20;
  return static_cast<int>(std::clamp((quota + period - 1) / period, 1.0, 1048576.0));
}

int cores_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 1 << 20;
  return cores_of(std::strtod(quota.c_str(), nullptr), period);
}

int cores_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"),
      period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (!(quota_file >> quota) || !(period_file >> period)) return 1 << 20;
  return cores_of(quota, period);
}

/// The tightest limit on the way from a group up to the root.
template <class Read>
int tightest(const std::string& root, std::string path, Read read) {
  int cores = read(root);
  while (path.size() > 1) {
    cores = std::min(cores, read(root + path));
    path.resize(path.find_last_of('/'));
  }
  return cores;
}

int cgroup_cores() {
  int cores = std::min(cores_v2("/sys/fs/cgroup"), cores_v1("/sys/fs/cgroup/cpu"));
  std::ifstream groups("/proc/self/cgroup");  // lines of hierarchy:controllers:path
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1);
    if (path.empty() || path[0] != '/') continue;
    if (controllers.empty())
      cores = std::min(cores, tightest("/sys/fs/cgroup", path, cores_v2));
    else if (("," + controllers + ",").find(",cpu,") != std::string::npos)
      cores = std::min(cores, tightest("/sys/fs/cgroup/" + controllers, path, cores_v1));
  }
  return cores;
}

int affinity_cores() {
#ifdef __linux__
  // A mask longer than cpu_set_t is needed beyond 1024 processors; the kernel says so by EINVAL.
  for (size_t words = 16; words <= 4096; words *= 4) {
    std::vector<unsigned long> mask(words);
    if (sched_getaffinity(0, words * sizeof(unsigned long),
                          reinterpret_cast<cpu_set_t*>(mask.data())) == 0) {
      int count = 0;
      for (const unsigned long word : mask) count += __builtin_popcountl(word);
      return std::max(1, count);
    }
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int usable_cores() { return std::max(1, std::min(affinity_cores(), cgroup_cores())); }

}  // namespace satin
