// A fiber: a function with a stack of its own that can be left and entered again.  The simulator
// gives one to every thread of a block.  Switching saves the registers the calling convention
// wants kept and nothing else; no system call.  The address sanitizer is told of every switch.
#pragma once

#include <cstddef>

namespace satin::cuda::sim {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next enter() begins body(context).  What the stack held before is forgotten: a fiber may
  /// be started again although its last body never returned.
  void start(void (*body)(void* context), void* context);
  /// Runs the fiber until it leaves or its body returns.
  void enter();
  /// Called inside: back to whoever entered.
  void leave();
  bool finished() const { return finished_; }
  /// Whether p points into its stack.
  bool holds(const void* p) const { return p >= stack_ && p < stack_ + kStackBytes; }

 private:
  static constexpr size_t kStackBytes = 128 * 1024;

  [[noreturn]] static void run(Fiber* self);
  void arrived_inside();

  char* stack_;
  void* inside_ = nullptr;   ///< stack pointer of the fiber while it is left
  void* outside_ = nullptr;  ///< stack pointer of who entered
  void (*body_)(void*) = nullptr;
  void* context_ = nullptr;
  bool finished_ = true;
  // What the address sanitizer wants to know of the two stacks.
  void* inside_fake_ = nullptr;
  void* outside_fake_ = nullptr;
  const void* outside_bottom_ = nullptr;
  size_t outside_size_ = 0;
};

}  // namespace satin::cuda::sim
