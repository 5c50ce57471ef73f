#include "tensor/dtype.h"

namespace satin {

float to_f32(F16 x) {
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1f;
  uint32_t mantissa = x.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal: exact in f32
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

F16 to_f16(float x) {
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

}  // namespace satin
