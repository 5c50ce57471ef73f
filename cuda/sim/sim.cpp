// The scheduler: blocks, their threads as fibers, and what makes a thread wait for others.
#include "cuda/sim/sim.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/async_copy.h"
#include "cuda/sim/fiber.h"
#include "cuda/sim/hooks.h"
#include "cuda/sim/memory.h"
#include "tensor/error.h"

// From the linker: where the program begins and ends in memory.
extern "C" const char __executable_start, _end;

namespace satin::cuda::sim {

Position position;
bool watching = false;

namespace {

thread_local bool recording_now = false;
thread_local std::vector<Launch> recorded;

constexpr int kWarp = 32;

enum class State { ready, at_barrier, at_warp_barrier, at_gather, ended };

/// On its way into shared memory (cuda/async_copy.h).
struct Copy {
  void* to;
  std::byte values[16];
};

struct Thread {
  Fiber fiber;
  State state = State::ended;
  int line = 0;                       ///< where it waits
  const char* what = nullptr;         ///< for which gather
  uint32_t words[kGatherWords] = {};  ///< brought to it
  Moment moment;
  std::vector<Copy> copies;    ///< asked for and not waited for
  std::vector<size_t> groups;  ///< the copies of each group, oldest first
};

/// What the lanes of a warp brought to the gather that they left last.
struct Gathered {
  uint32_t words[kWarp * kGatherWords];
};

class Device {
 public:
  static Device& get() {
    static Device device;
    return device;
  }

  void run(const Launch& launch);
  void wait(State state, int line, const char* what = nullptr);
  const uint32_t* gather(const uint32_t* words, int count, const char* what, int line);
  void check(const void* p, size_t bytes, bool write);
  void copy_async(void* to, const void* from);
  void close_copies();
  void wait_copies(size_t open);
  void check_alignment(const void* p, size_t bytes);
  [[noreturn]] void fail(std::string&& what);
  void* allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    return Memory::get().allocate(bytes);
  }
  void release(void* memory) {
    const std::lock_guard lock(mutex_);
    Memory::get().release(memory);
  }
  void upload(void* to, const void* host, size_t bytes) {
    const std::lock_guard lock(mutex_);
    check_copy("an upload", to, bytes);
    const Memory::Opened opened;
    std::memcpy(to, host, bytes);
  }
  void download(void* host, const void* from, size_t bytes) {
    const std::lock_guard lock(mutex_);
    check_copy("a download", from, bytes);
    const Memory::Opened opened;
    std::memcpy(host, from, bytes);
  }
  size_t free_bytes() {
    const std::lock_guard lock(mutex_);
    const size_t used = Memory::get().used();
    return used < limit_ ? limit_ - used : 0;
  }
  void limit_memory(size_t bytes) { limit_ = bytes; }
  Counts& counts() { return counts_; }
  void seed(uint64_t value) {
    seed_ = value;
    random_.seed(value);
  }
  int lane() const { return current_ % kWarp; }
  int lanes() const { return std::min(kWarp, count_ - current_ / kWarp * kWarp); }

 private:
  Device() {
    const char* text = std::getenv("SATIN_SIM_SEED");
    seed(text ? std::strtoull(text, nullptr, 10) : 1);
  }
  void check_launch() const;
  static void check_copy(const char* what, const void* p, size_t bytes);
  bool may_touch(const void* p);
  void run_block(uint64_t block);
  /// Lets go on whoever waited for the last one to come: the warp of thread t, or the block.
  void settle_warp(int t);
  void settle_block();
  std::string where(const Thread& t) const;
  Thread& now() { return *threads_[static_cast<size_t>(current_)]; }
  Thread& at(int t) { return *threads_[static_cast<size_t>(t)]; }

  std::mutex mutex_;
  std::mt19937_64 random_;
  uint64_t seed_ = 0;
  uint32_t launches_ = 0, blocks_ = 0;  ///< so far
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Gathered> gathered_;  ///< by warp
  int count_ = 0;                   ///< threads of a block
  int current_ = 0;
  std::vector<int> ready_;
  void* shared_ = nullptr;
  const Launch* launch_ = nullptr;
  size_t limit_ = size_t{64} << 30;
  Counts counts_;
  std::string failure_;

  friend void* sim::shared_memory();
};

dim3 place(uint64_t i, const dim3& size) {
  return {static_cast<unsigned>(i % size.x), static_cast<unsigned>(i / size.x % size.y),
          static_cast<unsigned>(i / size.x / size.y)};
}

uint64_t volume(const dim3& d) { return uint64_t{d.x} * d.y * d.z; }

void Device::check_launch() const {
  const Limits limits;
  const Launch& s = *launch_;
  const auto refuse = [&](const auto&... what) {
    throw Error(cat("launch of ", s.kernel, ": ", what...));
  };
  if (volume(s.block) == 0 || volume(s.grid) == 0) refuse("an empty grid or block");
  if (volume(s.block) > limits.threads)
    refuse(volume(s.block), " threads a block, the limit is ", limits.threads);
  if (s.block.z > limits.block_z)
    refuse("block.z is ", s.block.z, ", the limit is ", limits.block_z);
  if (s.grid.x > limits.grid_x || s.grid.y > limits.grid_yz || s.grid.z > limits.grid_yz)
    refuse("a grid of ", s.grid.x, " x ", s.grid.y, " x ", s.grid.z, ", the limits are ",
           limits.grid_x, ", ", limits.grid_yz, " and ", limits.grid_yz);
  if (s.shared_bytes > limits.shared_bytes)
    refuse(s.shared_bytes, " bytes of shared memory, the limit is ", limits.shared_bytes);
  if (s.argument_bytes > limits.argument_bytes)
    refuse(s.argument_bytes, " bytes of arguments, the limit is ", limits.argument_bytes);
}

void Device::check_copy(const char* what, const void* p, size_t bytes) {
  bool ours = false;
  const Region* region = Memory::get().find(p, ours);
  if (!ours) throw Error(cat(what, " that leaves the device out: an address of the host"));
  if (!region) throw Error(cat(what, ' ', Memory::get().outside(p)));
  if (region->offset(p) + bytes > region->bytes())
    throw Error(cat(what, " of ", bytes, " bytes across the end of ", region->name()));
}

void Device::run(const Launch& launch) {
  const std::lock_guard lock(mutex_);
  launch_ = &launch;
  check_launch();
  const Memory::Opened opened;
  ++launches_;
  ++counts_.launches;
  count_ = static_cast<int>(volume(launch.block));
  while (threads_.size() < static_cast<size_t>(count_))
    threads_.push_back(std::make_unique<Thread>());
  gathered_.resize((threads_.size() + kWarp - 1) / kWarp);
  position.grid = launch.grid;
  position.block = launch.block;

  const uint64_t blocks = volume(launch.grid);
  if (blocks > UINT32_MAX)
    throw Error(cat("launch of ", launch.kernel, ": too many blocks to simulate"));
  std::vector<uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random_);
  for (const uint32_t block : order) run_block(block);
}

void Device::run_block(uint64_t block) {
  ++blocks_;
  position.block_at = place(block, launch_->grid);
  shared_ = Memory::get().open_shared(launch_->shared_bytes);
  ready_.resize(static_cast<size_t>(count_));
  std::iota(ready_.begin(), ready_.end(), 0);
  for (int t = 0; t < count_; ++t) {
    Thread& thread = at(t);
    thread.state = State::ready;
    thread.copies.clear();
    thread.groups.clear();
    thread.moment = {launches_, static_cast<uint32_t>(block), static_cast<uint16_t>(t), 0, 0};
    thread.fiber.start(
        [](void* self) {
          auto& device = *static_cast<Device*>(self);
          watching = true;
          device.launch_->body(device.launch_->arguments.get());
          watching = false;
          device.now().state = State::ended;
        },
        this);
  }
  for (int ended = 0; ended < count_;) {
    if (ready_.empty()) settle_block();
    if (failure_.empty()) {
      std::swap(ready_[random_() % ready_.size()], ready_.back());
      current_ = ready_.back();
      ready_.pop_back();
      Thread& thread = now();
      position.thread_at = place(static_cast<uint64_t>(current_), launch_->block);
      thread.fiber.enter();
      watching = false;
      if (thread.state == State::ended) ++ended;
      if (failure_.empty()) settle_warp(current_);
    }
    if (!failure_.empty()) {
      const std::string what =
          cat(launch_->kernel, ", block (", position.block_at.x, ", ", position.block_at.y, ", ",
              position.block_at.z, "): ", failure_, "; SATIN_SIM_SEED=", seed_);
      failure_.clear();
      throw Error(what);
    }
  }
}

std::string Device::where(const Thread& t) const {
  const int index = t.moment.thread;
  switch (t.state) {
    case State::ended:
      return cat("thread ", index, " has ended");
    case State::at_barrier:
      return cat("thread ", index, " waits at the barrier of line ", t.line);
    case State::at_warp_barrier:
      return cat("thread ", index, " waits at the warp's barrier of line ", t.line);
    case State::at_gather:
      return cat("thread ", index, " waits at the ", t.what, " of line ", t.line);
    case State::ready:
      break;
  }
  return cat("thread ", index, " runs");
}

void Device::settle_warp(int t) {
  const State state = at(t).state;
  if (state != State::at_gather && state != State::at_warp_barrier) return;
  const int begin = t / kWarp * kWarp, end = std::min(begin + kWarp, count_);
  for (int i = begin; i < end; ++i)
    if (at(i).state != state || at(i).line != at(t).line || at(i).what != at(t).what) return;
  Gathered& gathered = gathered_[static_cast<size_t>(t / kWarp)];
  for (int i = begin; i < end; ++i) {
    Thread& thread = at(i);
    if (state == State::at_gather)
      std::memcpy(gathered.words + (i - begin) * kGatherWords, thread.words, sizeof thread.words);
    else
      ++thread.moment.warp_barriers;
    thread.state = State::ready;
    ready_.push_back(i);
  }
}

void Device::settle_block() {
  const Thread* other = nullptr;
  for (int i = 0; i < count_ && !other; ++i)
    if (at(i).state != at(0).state || at(i).line != at(0).line) other = &at(i);
  if (other || at(0).state != State::at_barrier) {
    failure_ = cat("threads have parted: ", where(at(0)));
    if (other) failure_ += ", " + where(*other);
    return;
  }
  for (int i = 0; i < count_; ++i) {
    Thread& thread = at(i);
    ++thread.moment.barriers;
    thread.state = State::ready;
    ready_.push_back(i);
  }
}

void Device::wait(State state, int line, const char* what) {
  watching = false;
  Thread& thread = now();
  thread.state = state;
  thread.line = line;
  thread.what = what;
  thread.fiber.leave();
  watching = true;
}

const uint32_t* Device::gather(const uint32_t* words, int count, const char* what, int line) {
  Thread& thread = now();
  std::memcpy(thread.words, words, static_cast<size_t>(count) * sizeof *words);
  wait(State::at_gather, line, what);
  return gathered_[static_cast<size_t>(current_ / kWarp)].words;
}

void Device::check(const void* p, size_t bytes, bool write) {
  watching = false;
  bool ours = false;
  Region* region = Memory::get().find(p, ours);
  if (ours) {
    Moment moment = now().moment;
    if (region && Memory::get().is_shared(p)) moment.launch = blocks_;  // each block has its own
    std::string what;
    if (!region)
      what = cat(write ? "writes " : "reads ", bytes, " bytes ", Memory::get().outside(p));
    else if (region->offset(p) + bytes > region->bytes())
      what = cat(write ? "writes " : "reads ", bytes, " bytes across the end of ", region->name());
    else if (!region->access(p, bytes, write, moment))
      what = region->race(p, bytes, write, moment);
    if (!what.empty()) fail(std::move(what));
  } else if (!may_touch(p)) {
    fail(cat(write ? "writes " : "reads ", bytes, " bytes of the host's memory"));
  }
  watching = true;
}

void Device::copy_async(void* to, const void* from) {
  Copy copy{to, {}};
  for (const void* p : {static_cast<const void*>(to), from})
    if (reinterpret_cast<uintptr_t>(p) % sizeof copy.values != 0)
      fail("an asynchronous copy of 16 bytes at an address that is no multiple of that");
  if (from) {
    check(from, sizeof copy.values, false);
    std::memcpy(copy.values, from, sizeof copy.values);
  }
  check(to, sizeof copy.values, true);
  if (!Memory::get().is_shared(to)) fail("an asynchronous copy to what is no shared memory");
  std::memset(to, 0xff, sizeof copy.values);
  now().copies.push_back(copy);
}

void Device::close_copies() {
  Thread& thread = now();
  size_t closed = 0;
  for (const size_t group : thread.groups) closed += group;
  thread.groups.push_back(thread.copies.size() - closed);
}

void Device::wait_copies(size_t open) {
  Thread& thread = now();
  while (thread.groups.size() > open) {
    const size_t group = thread.groups.front();
    for (size_t i = 0; i < group; ++i) {
      const Copy& copy = thread.copies[i];
      check(copy.to, sizeof copy.values, true);
      std::memcpy(copy.to, copy.values, sizeof copy.values);
    }
    thread.copies.erase(thread.copies.begin(),
                        thread.copies.begin() + static_cast<std::ptrdiff_t>(group));
    thread.groups.erase(thread.groups.begin());
  }
}

/// What is not device memory and still a thread's: its stack, the arguments, and what the program
/// is made of (constants, threadIdx).
bool Device::may_touch(const void* p) {
  if (now().fiber.holds(p)) return true;
  const char* at = static_cast<const char*>(p);
  const auto* arguments = static_cast<const char*>(launch_->arguments.get());
  return (at >= arguments && at < arguments + launch_->argument_bytes) ||
         (at >= &__executable_start && at < &_end);
}

void Device::check_alignment(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0)
    fail(cat("a vector of ", bytes, " bytes at an address that is no multiple of that"));
}

// The fiber is left for good, so nothing on its stack may own memory: hence a string to move from.
void Device::fail(std::string&& what) {
  watching = false;
  failure_ = std::move(what);
  failure_.insert(0, cat("thread ", current_, ": "));
  for (;;) now().fiber.leave();  // run_block throws
}

}  // namespace

void* shared_memory() { return Device::get().shared_; }
void barrier(int line) { Device::get().wait(State::at_barrier, line); }
void warp_barrier(int line) { Device::get().wait(State::at_warp_barrier, line); }
const uint32_t* gather(const uint32_t* words, int count, const char* what, int line) {
  return Device::get().gather(words, count, what, line);
}
uint32_t exchange(uint32_t bits, int from, int line) {
  const uint32_t* words = gather(&bits, 1, "shuffle", line);
  if (from < 0 || from >= kWarp) from = lane();
  if (from >= lanes()) fail(cat("shuffles from lane ", from, ", which its warp lacks"));
  return words[from * kGatherWords];
}
void check_alignment(const void* p, size_t bytes) {
  if (watching) Device::get().check_alignment(p, bytes);
}
void copy_async(void* to, const void* from) { Device::get().copy_async(to, from); }
void close_copies() { Device::get().close_copies(); }
void wait_copies(int open) { Device::get().wait_copies(static_cast<size_t>(open)); }
int lane() { return Device::get().lane(); }
int lanes() { return Device::get().lanes(); }
void fail(std::string&& what) { Device::get().fail(std::move(what)); }
void seed(uint64_t value) { Device::get().seed(value); }
void access(const void* p, size_t bytes, bool write) { Device::get().check(p, bytes, write); }
void run(const Launch& launch) { Device::get().run(launch); }
void launch(Launch launch) {
  if (!recording_now) return run(launch);
  recorded.push_back(std::move(launch));
  ++Device::get().counts().recorded;
}
void begin_recording() {
  recording_now = true;
  recorded.clear();
}
bool recording() { return recording_now; }
std::vector<Launch> end_recording() {
  recording_now = false;
  return std::move(recorded);
}
Counts counts() { return Device::get().counts(); }
void count_replay() { ++Device::get().counts().replays; }
void upload(void* to, const void* host, size_t bytes) { Device::get().upload(to, host, bytes); }
void download(void* host, const void* from, size_t bytes) {
  Device::get().download(host, from, bytes);
}
size_t free_bytes() { return Device::get().free_bytes(); }
void limit_memory(size_t bytes) { Device::get().limit_memory(bytes); }
void* allocate(size_t bytes) { return Device::get().allocate(bytes); }
void release(void* memory) { Device::get().release(memory); }

}  // namespace satin::cuda::sim
