// Size arithmetic that cannot wrap.  Every size computed from numbers found in a file goes through
// these three functions; an empty optional means the result does not fit in 64 bits.
#pragma once

#include <cstdint>
#include <optional>

namespace satin::checked {

inline std::optional<uint64_t> add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// The next multiple of `alignment` (> 0) from n on.
inline std::optional<uint64_t> pad(uint64_t n, uint64_t alignment) {
  const uint64_t rest = n % alignment;
  return rest == 0 ? n : add(n, alignment - rest);
}

}  // namespace satin::checked
