#include "cuda/sim/fiber.h"

#include <cstdint>
#include <new>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// satin_fiber_switch(save, to): keeps the stack pointer in *save and goes on with `to`.
#if defined(__x86_64__)
asm(R"(
.text
.globl satin_fiber_switch
.type satin_fiber_switch, @function
satin_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size satin_fiber_switch, .-satin_fiber_switch
.globl satin_fiber_entry
.type satin_fiber_entry, @function
satin_fiber_entry:
  movq %r12, %rdi
  callq *%r13
  ud2
.size satin_fiber_entry, .-satin_fiber_entry
)");
extern "C" void satin_fiber_switch(void** save, void* to);
extern "C" void satin_fiber_entry();
#else
#error "the simulator switches stacks in assembly: x86-64 only so far"
#endif

namespace satin::cuda::sim {
namespace {

constexpr size_t kGuardBytes = 4096;

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(memory) + kGuardBytes;
  mprotect(memory, kGuardBytes, PROT_NONE);  // a stack that overflows stops the test right there
}

Fiber::~Fiber() { munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes); }

void Fiber::start(void (*body)(void*), void* context) {
  body_ = body;
  context_ = context;
  finished_ = false;
  inside_fake_ = nullptr;
  // What satin_fiber_switch pops: r15, r14, r13, r12, rbx, rbp and the address to go to.  At that
  // address the stack must be 16-byte aligned, because it makes a call itself.
  auto* top = reinterpret_cast<uint64_t*>(stack_ + kStackBytes) - 9;
  for (int i = 0; i < 9; ++i) top[i] = 0;
  top[2] = reinterpret_cast<uint64_t>(&Fiber::run);
  top[3] = reinterpret_cast<uint64_t>(this);
  top[6] = reinterpret_cast<uint64_t>(&satin_fiber_entry);
  inside_ = top;
}

void Fiber::enter() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&outside_fake_, stack_, kStackBytes);
#endif
  satin_fiber_switch(&outside_, inside_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(outside_fake_, nullptr, nullptr);
#endif
}

void Fiber::leave() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(finished_ ? nullptr : &inside_fake_, outside_bottom_,
                                 outside_size_);
#endif
  satin_fiber_switch(&inside_, outside_);
  arrived_inside();
}

void Fiber::arrived_inside() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(inside_fake_, &outside_bottom_, &outside_size_);
#endif
}

void Fiber::run(Fiber* self) {
  self->arrived_inside();
  self->body_(self->context_);
  self->finished_ = true;
  self->leave();
  __builtin_unreachable();
}

}  // namespace satin::cuda::sim
