// What every kernel file includes.  A kernel file is compiled once per instruction set, with
// SATIN_ISA naming it (baseline, avx2, avx512); all it defines lives in satin::cpu::SATIN_ISA, so
// that the linker can never hand code for a newer processor to an older path.
#pragma once

#include <cstdint>

#include "tensor/backend.h"

#ifndef SATIN_ISA
#error "kernel files are compiled per instruction set; the build defines SATIN_ISA"
#endif

namespace satin {

/// ThreadPool::parallel as a plain function, defined once outside the per-ISA code.
void parallel_on(ThreadPool* pool,
                 int64_t n,
                 void (*body)(void* context, int64_t i),
                 void* context);

namespace cpu::SATIN_ISA {

// The kernels of the table, one per row: cpu::name.
#define SATIN_KERNEL_plain(name) void name(const Call& call);
#define SATIN_KERNEL_scratch(name) \
  void name(const Call& call);     \
  int64_t name##_scratch(const Call& call);
#define SATIN_KERNEL_packed(name)                                      \
  SATIN_KERNEL_scratch(name) Packing name##_packing(const Call& call); \
  void name##_pack(const Call& call);
#define SATIN_KERNEL_none(name)
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_KERNEL_##kernel(name)
#include "tensor/ops.def"
#undef SATIN_OP
#undef SATIN_KERNEL_plain
#undef SATIN_KERNEL_packed
#undef SATIN_KERNEL_scratch
#undef SATIN_KERNEL_none

/// body(i) for every i in [0, n), on the threads of the call.
template <class Body>
inline void parallel_for(const Call& call, int64_t n, Body body) {
  parallel_on(
      call.exec->pool, n, [](void* context, int64_t i) { (*static_cast<Body*>(context))(i); },
      &body);
}

/// body(begin, end) over pieces of [0, n) of `grain` elements: the pieces depend on n alone.
template <class Body>
inline void parallel_chunks(const Call& call, int64_t n, int64_t grain, Body body) {
  parallel_for(call, (n + grain - 1) / grain, [&](int64_t i) {
    const int64_t begin = i * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

/// body(worker, i) for every i in [0, n), at most `workers` of them at a time.  Workers have
/// scratch memory: few stay in use with few threads, and in their caches.  Which worker gets which
/// i is left to chance; what one leaves in its memory must not matter to the next.
template <class Body>
inline void parallel_workers(const Call& call, int64_t workers, int64_t n, Body body) {
  int64_t next = 0;
  parallel_for(call, workers < n ? workers : n, [&](int64_t worker) {
    for (int64_t i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < n;) body(worker, i);
  });
}

// What the kernels of wider instruction sets leave to baseline (CpuBackend, cpu.cpp), because it
// would be compiled again only to be faster where that matters little: the loops that state an
// operation's meaning, and f64, which exists to check f32.
#if defined(__AVX2__)
#define SATIN_BASELINE 0
#else
#define SATIN_BASELINE 1
#endif

/// Whether to run the loops that state the meaning.
inline bool wants_plain(const Call& call) { return SATIN_BASELINE && call.exec->plain; }

/// Whether this value's elements are f64.
inline bool is_f64(const View& x) { return SATIN_BASELINE && x.dtype == DType::f64; }

/// f(T{}) with T the element type that computes: float or double.
template <class F>
inline void with_type(DType t, F f) {
  if constexpr (SATIN_BASELINE != 0)
    if (t == DType::f64) return f(double{});
  f(float{});
}

}  // namespace cpu::SATIN_ISA
}  // namespace satin
