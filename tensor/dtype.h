// Element types.  f32 and f64 compute; bf16 and f16 store.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string_view>

namespace satin {

enum class DType : uint8_t { f32, f64, bf16, f16 };

constexpr size_t size_of(DType t) { return t == DType::f64 ? 8 : t == DType::f32 ? 4 : 2; }

constexpr std::string_view name_of(DType t) {
  constexpr std::string_view kNames[] = {"f32", "f64", "bf16", "f16"};
  return kNames[static_cast<int>(t)];
}

inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

// Storage types are their bits; the conversions round to nearest even and keep NaN a NaN.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

/// bf16 is the upper half of an f32.
inline float to_f32(Bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }
inline Bf16 to_bf16(float x) {
  const uint32_t b = std::bit_cast<uint32_t>(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((b >> 16) | 0x40)};
  return {static_cast<uint16_t>((b + 0x7fffu + ((b >> 16) & 1)) >> 16)};
}

/// IEEE 754 binary16, subnormals included.
float to_f32(F16 x);
F16 to_f16(float x);

/// x as f32, rounded to odd: to_bf16 and to_f16 of the result round x once, not twice, because the
/// last bit still tells on which side of a tie x was.
inline float to_odd(double x) {
  const float y = static_cast<float>(x);
  if (static_cast<double>(y) == x || y != y) return y;
  uint32_t bits = std::bit_cast<uint32_t>(y);
  const double magnitude = x < 0 ? -x : x;
  const double rounded = y < 0 ? -static_cast<double>(y) : static_cast<double>(y);
  if (rounded > magnitude) --bits;  // truncate toward zero
  return std::bit_cast<float>(bits | 1u);
}

}  // namespace satin
