// The simulated device's memory: one stretch of addresses, reserved once, of which allocations take
// pieces with gaps between them.  Whatever a kernel touches inside of the stretch but outside of an
// allocation is an error, so nothing needs to be written into the gaps.
//
// It is not the host's memory: its pages can be touched only while somebody holds an Opened, which
// the simulator does while a kernel runs or a copy is made.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cuda/sim/shadow.h"

namespace satin::cuda::sim {

class Memory {
 public:
  static constexpr size_t kSharedBytes = 256 * 1024;

  static Memory& get();
  /// The allocation of p; ours: whether p is an address of the device at all.
  Region* find(const void* p, bool& ours) {
    const char* at = static_cast<const char*>(p);
    ours = at >= base_ && at < base_ + kAddresses;
    if (!ours) return nullptr;
    if (is_shared(p)) return shared_ && shared_->contains(at) ? shared_.get() : nullptr;
    return last_ && last_->contains(at) ? last_ : find_allocation(at);
  }
  /// Where an address lies that find() does not know.
  std::string outside(const void* p) const;
  bool is_shared(const void* p) const { return p < base_ + kSharedBytes; }
  void* allocate(size_t bytes);
  void release(void* memory);
  /// Bytes allocated now.
  size_t used() const { return used_; }

  class Opened {
   public:
    Opened() { get().protect(true); }
    ~Opened() { get().protect(false); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
  };
  /// Shared memory of a block that asked for so many bytes, filled with NaN.
  void* open_shared(size_t bytes);

 private:
  static constexpr size_t kAddresses = size_t{1} << 38;  ///< reserved, not used: 256 GiB

  Memory();
  void protect(bool open);
  Region* find_allocation(const char* at);

  char* base_;
  char* next_;
  std::unique_ptr<Region> shared_;
  std::map<const char*, std::unique_ptr<Region>> regions_;
  Region* last_ = nullptr;
  size_t used_ = 0;
};

}  // namespace satin::cuda::sim
