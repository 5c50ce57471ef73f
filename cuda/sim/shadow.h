// What the simulator knows of every two bytes of device memory: who wrote them last and who read
// them.
//
// Two accesses race if at least one writes, two threads make them, and nothing orders them: within
// a block a barrier does (or, within a warp, __syncwarp), between blocks of one launch nothing
// does.  A cell remembers its last writer and its last reader, the latter as "several" once there
// are several.  That is enough to notice that a race happened, with one of its sides named.  Cells
// are as small as the smallest element (bf16), so that neighbors are never taken for one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace satin::cuda::sim {

/// Where in time an access happens.
struct Moment {
  uint32_t launch = 0;                       ///< counted from 1
  uint32_t block = 0;                        ///< linear
  uint16_t thread = 0;                       ///< linear in the block
  uint16_t barriers = 0, warp_barriers = 0;  ///< that the thread has passed

  /// Another thread's access at `earlier` has certainly happened before this one.
  bool after(const Moment& earlier) const {
    if (earlier.launch != launch) return true;
    if (earlier.block != block) return false;
    if (earlier.thread == thread || earlier.barriers != barriers) return true;
    return earlier.thread / 32 == thread / 32 && earlier.warp_barriers != warp_barriers;
  }
};

/// A range of memory under watch.
class Region {
 public:
  /// name is what messages call it ("shared memory", "device memory").
  Region(const char* name, const void* begin, size_t bytes);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  const char* name() const { return name_; }
  bool contains(const void* p) const {
    return static_cast<const char*>(p) >= begin_ && static_cast<const char*>(p) < begin_ + bytes_;
  }
  size_t bytes() const { return bytes_; }
  size_t offset(const void* p) const {
    return static_cast<size_t>(static_cast<const char*>(p) - begin_);
  }
  /// Notes an access that lies inside; false if it races.
  bool access(const void* p, size_t bytes, bool write, const Moment& now) {
    const size_t from = offset(p), to = from + bytes;
    for (size_t c = from / 2; c * 2 < to; ++c) {
      Cell& cell = cells_[c];
      if (clash(cell.write, now) || (write && clash(cell.read, now))) return false;
      if (write)
        cell.write = {now};
      else
        note_reader(cell.read, now);
    }
    return true;
  }
  /// Who an access that races does race with.
  std::string race(const void* p, size_t bytes, bool write, const Moment& now) const;

 private:
  struct Mark {
    Moment moment;
    bool several = false;   ///< threads of this block, between the same barriers
    bool far_away = false;  ///< threads of several blocks
  };
  struct Cell {
    Mark write, read;
  };
  static bool clash(const Mark& mark, const Moment& now) {
    if (mark.moment.launch != now.launch) return false;
    if (mark.far_away || mark.moment.block != now.block) return true;
    if (mark.several) return mark.moment.barriers == now.barriers;
    return !now.after(mark.moment);
  }
  static void note_reader(Mark& mark, const Moment& now) {
    const Moment then = mark.moment;
    if (then.launch != now.launch) {
      mark = {now};
      return;
    }
    mark.far_away = mark.far_away || then.block != now.block;
    mark.several = then.barriers == now.barriers && (mark.several || !now.after(then));
    mark.moment = now;
  }

  const char* name_;
  const char* begin_;
  size_t bytes_;
  Cell* cells_;  ///< pages that are never touched cost nothing
};

}  // namespace satin::cuda::sim
