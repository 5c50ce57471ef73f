// Scratch memory for tasks that run at the same time: a task takes the lowest free slot, so that as
// many slots are in use as there are threads, and these stay in their caches.  With as many slots
// as tasks one is always free, whatever the number of threads.  What a task leaves in its slot must
// not matter to the next.
#pragma once

#include <cstdint>

#include "cpu/vec.h"

namespace satin::cpu::SATIN_ISA {

class Slots {
 public:
  static constexpr int64_t kMost = 64;

  SATIN_INLINE int64_t take() {
    uint64_t used = __atomic_load_n(&used_, __ATOMIC_RELAXED);
    for (;;) {
      const int slot = __builtin_ctzll(~used);
      if (__atomic_compare_exchange_n(&used_, &used, used | uint64_t{1} << slot, true,
                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return slot;
    }
  }
  SATIN_INLINE void give_back(int64_t slot) {
    __atomic_fetch_and(&used_, ~(uint64_t{1} << slot), __ATOMIC_RELEASE);
  }

 private:
  uint64_t used_ = 0;
};

}  // namespace satin::cpu::SATIN_ISA
