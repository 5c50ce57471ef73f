// Vectors of the instruction set that SATIN_ISA names, written with GCC's vector extension: one
// source serves SSE2, AVX2, AVX-512 and NEON, in float and double.  Include this in kernel files
// only.
#pragma once

#include <cstdint>
#include <utility>

#define SATIN_INLINE inline __attribute__((always_inline))
/// Before a loop with a constant number of turns: it becomes that many copies of its body.
#if defined(__clang__)
#define SATIN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SATIN_UNROLL _Pragma("GCC unroll 64")
#endif

namespace satin::cpu::SATIN_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VecTypes;
template <>
struct VecTypes<float> {
  using Aligned = float __attribute__((vector_size(kVectorBytes)));
  using Packed = float __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  using Index = int32_t __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VecTypes<double> {
  using Aligned = double __attribute__((vector_size(kVectorBytes)));
  using Packed = double __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  using Index = int64_t __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vec = typename VecTypes<T>::Aligned;

/// Lanes of a vector of T.
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
SATIN_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecTypes<T>::Packed*>(p);
}
template <class T>
SATIN_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecTypes<T>::Packed*>(p) = v;
}
template <class T>
SATIN_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}

/// acc += a * b, fused where the instruction set can.  As assembly because g++ 12 otherwise copies
/// accumulators between registers (vfmadd132/213 and moves) in large tiles.  f64 is baseline's.
SATIN_INLINE void fma(Vec<float>& acc, Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
#elif defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
#else
  acc += a * b;
#endif
}
SATIN_INLINE void fma(Vec<double>& acc, Vec<double> a, Vec<double> b) { acc += a * b; }

/// Brings the cache line of p into L2, or all the way into L1.
SATIN_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }
SATIN_INLINE void prefetch_near(const void* p) { __builtin_prefetch(p, 0, 3); }
SATIN_INLINE void prefetch_for_writing(void* p) { __builtin_prefetch(p, 1, 3); }

/// store() past the caches, for what nobody reads soon: the line written to is not read first.  A
/// thread that has stored so calls settle() before others may read.
template <class T>
SATIN_INLINE void store_far(T* p, Vec<T> v) {
#if defined(__AVX512F__) && !defined(__clang__)
  if constexpr (sizeof(T) == 4)
    if (reinterpret_cast<uintptr_t>(p) % sizeof(v) == 0) return __builtin_ia32_movntps512(p, v);
#elif defined(__AVX2__) && !defined(__clang__)
  if constexpr (sizeof(T) == 4)
    if (reinterpret_cast<uintptr_t>(p) % sizeof(v) == 0) return __builtin_ia32_movntps256(p, v);
#endif
  store(p, v);
}
SATIN_INLINE void settle() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

/// {a0, b0, a1, b1 ...} of the lower halves, and of the upper halves.
template <class V, int... I>
SATIN_INLINE V zip_lower(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + I % 2 * static_cast<int>(sizeof...(I)))...);
}
template <class V, int... I>
SATIN_INLINE V zip_upper(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int kN = sizeof...(I);
  return __builtin_shufflevector(a, b, (kN / 2 + I / 2 + I % 2 * kN)...);
}

/// Transposes a square of vectors: log2 perfect shuffles of its rows.
template <class T>
SATIN_INLINE void transpose(Vec<T> (&v)[kLanes<T>]) {
  constexpr int kN = kLanes<T>;
  constexpr std::make_integer_sequence<int, kN> kAll{};
  for (int stage = 1; stage < kN; stage *= 2) {
    Vec<T> w[kN];
    SATIN_UNROLL
    for (int i = 0; i < kN / 2; ++i) {
      w[2 * i] = zip_lower(v[i], v[i + kN / 2], kAll);
      w[2 * i + 1] = zip_upper(v[i], v[i + kN / 2], kAll);
    }
    SATIN_UNROLL
    for (int i = 0; i < kN; ++i) v[i] = w[i];
  }
}

}  // namespace satin::cpu::SATIN_ISA
