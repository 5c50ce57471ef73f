// Random numbers by position: element i of a stream is a function of (stream, i), so that results
// do not depend on order or threads.
#pragma once

#include <cstdint>
#include <string_view>

namespace satin {

/// splitmix64's output function (Steele, Lea, Flood 2014) of state x + its increment.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// 64-bit FNV-1a: a name as a number.
constexpr uint64_t fnv1a(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

/// Element i of a stream, uniform in [0, 1) with 53 bits.
constexpr double uniform(uint64_t stream, uint64_t i) {
  return static_cast<double>(mix64(stream + i * 0xd1342543de82ef95u) >> 11) * 0x1p-53;
}

}  // namespace satin
