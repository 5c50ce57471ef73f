// Element types.  f32 and f64 compute; bf16 and f16 store.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace satin {

enum class DType : uint8_t { f32, f64, bf16, f16 };

constexpr size_t size_of(DType t) { return t == DType::f64 ? 8 : t == DType::f32 ? 4 : 2; }

constexpr std::string_view name_of(DType t) {
  constexpr std::string_view kNames[] = {"f32", "f64", "bf16", "f16"};
  return kNames[static_cast<int>(t)];
}

std::ostream& operator<<(std::ostream& out, DType t);

// Storage types are their bits; the conversions round to nearest even and keep NaN a NaN.  Kernels
// of every instruction set and of CUDA use them: always inlined, so that no code is shared between
// instruction sets, and constexpr, which nvcc lets a kernel call.
#define SATIN_CONVERSION [[gnu::always_inline]] constexpr
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

/// bf16 is the upper half of an f32.
SATIN_CONVERSION float to_f32(Bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }
SATIN_CONVERSION Bf16 to_bf16(float x) {
  const uint32_t b = std::bit_cast<uint32_t>(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((b >> 16) | 0x40)};
  return {static_cast<uint16_t>((b + 0x7fffu + ((b >> 16) & 1)) >> 16)};
}

/// IEEE 754 binary16, subnormals included.
SATIN_CONVERSION float to_f32(F16 x) {
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1f;
  uint32_t mantissa = x.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal: exact in f32
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}
SATIN_CONVERSION F16 to_f16(float x) {
  const uint32_t b = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>((b >> 16) & 0x8000u);
  const uint32_t magnitude = b & 0x7fffffffu;
  const auto with_sign = [sign](uint32_t bits) { return F16{static_cast<uint16_t>(sign | bits)}; };
  if (magnitude > 0x7f800000u) return with_sign(0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return with_sign(0x7c00u);  // rounds to 65536 or more: infinity
  if (magnitude >= 0x38800000u) {                           // normal in f16
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
    return with_sign((rounded - 0x38000000u) >> 13);
  }
  // Adding 0.5 leaves the value in units of 2^-24 in the low mantissa bits, rounded to nearest
  // even.
  const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
  return with_sign(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
}

/// x as f32, rounded to odd: to_bf16 and to_f16 of the result round x once, not twice, because the
/// last bit still tells on which side of a tie x was.
SATIN_CONVERSION float to_odd(double x) {
  const float y = static_cast<float>(x);
  if (static_cast<double>(y) == x || y != y) return y;
  uint32_t bits = std::bit_cast<uint32_t>(y);
  const double magnitude = x < 0 ? -x : x;
  const double rounded = y < 0 ? -static_cast<double>(y) : static_cast<double>(y);
  if (rounded > magnitude) --bits;  // truncate toward zero
  return std::bit_cast<float>(bits | 1u);
}

#undef SATIN_CONVERSION

}  // namespace satin
