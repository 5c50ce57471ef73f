// Work across the lanes of a vector: sums of several vectors at once, square roots.  Included by
// kernel files only.
#pragma once

#include "cpu/vec.h"

namespace satin::cpu::SATIN_ISA {

template <class T>
SATIN_INLINE Vec<T> square_root(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
#if defined(__AVX512F__)
    return __builtin_ia32_sqrtps512_mask(x, Vec<T>{}, -1, 4);
#elif defined(__AVX2__)
    return __builtin_ia32_sqrtps256(x);
#elif defined(__SSE2__)
    return __builtin_ia32_sqrtps(x);
#endif
  } else {  // baseline's (kernel.h)
#if defined(__SSE2__)
    return __builtin_ia32_sqrtpd(x);
#endif
  }
#if !defined(__SSE2__)
  for (int i = 0; i < kLanes<T>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
#endif
}

/// Loads and stores of the n first lanes only; the others read as 0.
template <class T>
SATIN_INLINE Vec<T> load_part(const T* p, int64_t n) {
  Vec<T> x{};
  for (int64_t i = 0; i < n; ++i) x[i] = p[i];
  return x;
}
template <class T>
SATIN_INLINE void store_part(T* p, Vec<T> x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = x[i];
}

/// Lanes of a, then of b, in any order.
template <class T>
SATIN_INLINE Vec<T> shuffled(Vec<T> a, Vec<T> b, typename VecTypes<T>::Index order) {
#if defined(__clang__)
  Vec<T> y;
  for (int i = 0; i < kLanes<T>; ++i)
    y[i] = order[i] < kLanes<T> ? a[order[i]] : b[order[i] - kLanes<T>];
  return y;
#else
  return __builtin_shuffle(a, b, order);
#endif
}

/// Lane i of the result is the sum of the lanes of v[i]; v is used up.  Every sum is the same tree,
/// wherever its vector stands: lanes half a vector apart first.
template <class T>
SATIN_INLINE Vec<T> sum_across(Vec<T>* v) {
  using I = typename VecTypes<T>::Index;
  constexpr int kCount = kLanes<T>;
  // Each turn joins vectors i and i + span: the result holds the one's halves folded in blocks of
  // `span` lanes at even places, the other's at odd places.  Half of what is added lies there
  // already: a blend, which more of the processor's ports can do than a shuffle.
  const auto fold = [&]<int Span>(std::integral_constant<int, Span>)
      __attribute__((always_inline)) {
    I stay, come;
    SATIN_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const bool odd = i / Span % 2 != 0;
      stay[i] = odd ? i + kCount : i;
      come[i] = odd ? i - Span + kCount : i + Span;
    }
    SATIN_UNROLL
    for (int i = 0; i < Span; ++i)
      v[i] = shuffled<T>(v[i], v[i + Span], stay) + shuffled<T>(v[i], v[i + Span], come);
  };
  if constexpr (kCount >= 16) fold(std::integral_constant<int, 8>{});
  if constexpr (kCount >= 8) fold(std::integral_constant<int, 4>{});
  if constexpr (kCount >= 4) fold(std::integral_constant<int, 2>{});
  fold(std::integral_constant<int, 1>{});
  return v[0];
}

/// The sum of the lanes of one vector, by the same tree.
template <class T>
SATIN_INLINE T sum_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
  for (int span = kLanes<T> / 2; span > 0; span /= 2)
    for (int i = 0; i < span; ++i) lanes[i] += lanes[i + span];
  return lanes[0];
}

}  // namespace satin::cpu::SATIN_ISA
