// The functions that -fsanitize=thread makes the compiler call at every access to memory.  Only the
// kernels of the simulator are compiled so, and the sanitizer's own library is not linked: these
// are ours.  GCC's manual names the option, its gcc/sanitizer.def the functions.
#include "cuda/sim/hooks.h"

#include <cstdint>
#include <cstring>

// A build for the thread sanitizer has its own functions of these names, and watches the host.
#if !defined(__SANITIZE_THREAD__)

using satin::cuda::sim::access;
using satin::cuda::sim::watching;

extern "C" {

#define HOOKS(bytes)                                                   \
  void __tsan_read##bytes(void* p);                                    \
  void __tsan_write##bytes(void* p);                                   \
  void __tsan_volatile_read##bytes(void* p);                           \
  void __tsan_volatile_write##bytes(void* p);                          \
  void __tsan_read##bytes(void* p) {                                   \
    if (watching) access(p, bytes, false);                             \
  }                                                                    \
  void __tsan_write##bytes(void* p) {                                  \
    if (watching) access(p, bytes, true);                              \
  }                                                                    \
  void __tsan_volatile_read##bytes(void* p) { __tsan_read##bytes(p); } \
  void __tsan_volatile_write##bytes(void* p) { __tsan_write##bytes(p); }

#define UNALIGNED_HOOKS(bytes)                  \
  void __tsan_unaligned_read##bytes(void* p);   \
  void __tsan_unaligned_write##bytes(void* p);  \
  void __tsan_unaligned_read##bytes(void* p) {  \
    if (watching) access(p, bytes, false);      \
  }                                             \
  void __tsan_unaligned_write##bytes(void* p) { \
    if (watching) access(p, bytes, true);       \
  }

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
UNALIGNED_HOOKS(2)
UNALIGNED_HOOKS(4)
UNALIGNED_HOOKS(8)
UNALIGNED_HOOKS(16)

void __tsan_init();
void __tsan_func_entry(void*);
void __tsan_func_exit();
void __tsan_vptr_update(void**, void*);
void __tsan_vptr_read(void**);
void __tsan_read_range(void* p, size_t bytes);
void __tsan_write_range(void* p, size_t bytes);
void* __tsan_memcpy(void* to, const void* from, size_t bytes);
void* __tsan_memset(void* to, int value, size_t bytes);
void* __tsan_memmove(void* to, const void* from, size_t bytes);

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, size_t bytes) {
  if (watching) access(p, bytes, false);
}
void __tsan_write_range(void* p, size_t bytes) {
  if (watching) access(p, bytes, true);
}
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  __tsan_read_range(const_cast<void*>(from), bytes);
  __tsan_write_range(to, bytes);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  __tsan_read_range(const_cast<void*>(from), bytes);
  __tsan_write_range(to, bytes);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, size_t bytes) {
  __tsan_write_range(to, bytes);
  return std::memset(to, value, bytes);
}

}  // extern "C"

#endif
