// Random numbers and elementary functions of the generator.
//
// Pair i of seed s must be the same picture on every machine, so nothing here leans on the standard
// library's distributions (each library has its own) or on libm (which picks code by processor):
// splitmix64 plus polynomials, made of additions, products and square roots that IEEE 754 fixes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace mgpnet::synth {

/// splitmix64: 64 bits of state, any seed is good, streams split by hashing.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ull); }

  /// A stream of its own: what is drawn from it leaves this one where it is.
  Rng split(uint64_t tag) const { return Rng(mix(state_ ^ mix(tag + 0x632be59bd9b4e019ull))); }

  /// In [0, 1), 24 bits.
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }
  float uniform(float low, float high) { return low + (high - low) * uniform(); }

  /// In [0, n).
  int below(int n) { return static_cast<int>(((next() >> 32) * static_cast<uint64_t>(n)) >> 32); }
  /// In [low, high], both ends included.
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(float p) { return uniform() < p; }
  float sign() { return (next() >> 63) ? 1.0f : -1.0f; }

  /// Mean 0, variance 1: the sum of four 16-bit uniforms, close enough to a bell and exact
  /// everywhere.
  float normal() {
    const uint64_t z = next();
    const uint64_t sum = (z & 0xffff) + ((z >> 16) & 0xffff) + ((z >> 32) & 0xffff) + (z >> 48);
    return (static_cast<float>(sum) * 0x1p-16f - 1.99997f) * 1.7320508f;
  }

  /// Every octave between low and high equally likely.
  float log_uniform(float low, float high);

 private:
  uint64_t state_;
};

/// sin(2 pi t), absolute error below 2e-5.
inline float sin_turns(float t) {
  t -= std::floor(t + 0.5f);  // [-0.5, 0.5)
  if (t > 0.25f) t = 0.5f - t;
  if (t < -0.25f) t = -0.5f - t;
  const float x = t * 6.2831853f, x2 = x * x;
  return x * (1.0f +
              x2 * (-0.16666667f + x2 * (8.3333333e-3f + x2 * (-1.9841270e-4f + x2 * 2.7557e-6f))));
}
inline float cos_turns(float t) { return sin_turns(t + 0.25f); }

/// 2^x, relative error below 3e-6.
inline float exp_2(float x) {
  x = std::clamp(x, -120.0f, 120.0f);
  const float whole = std::floor(x), f = (x - whole) * 0.69314718f;
  const float p =
      1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f +
                                          f * (0.041666667f + f * (8.3333e-3f + f * 1.3889e-3f)))));
  const uint32_t bits = static_cast<uint32_t>(static_cast<int>(whole) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

/// log2 of a positive number, absolute error below 1e-5.
inline float log_2(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  int exponent = static_cast<int>(bits >> 23) - 127;
  bits = (bits & 0x7fffffu) | 0x3f800000u;
  float m;
  std::memcpy(&m, &bits, sizeof m);
  if (m > 1.41421356f) m *= 0.5f, ++exponent;
  const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
  const float ln =
      2.0f * s * (1.0f + s2 * (0.33333333f + s2 * (0.2f + s2 * (0.14285714f + s2 * 0.111111f))));
  return static_cast<float>(exponent) + ln * 1.44269504f;
}
inline float power(float x, float y) { return x <= 0.0f ? 0.0f : exp_2(y * log_2(x)); }
inline float exp_e(float x) { return exp_2(x * 1.44269504f); }

inline float Rng::log_uniform(float low, float high) {
  const float a = log_2(low);
  return exp_2(a + (log_2(high) - a) * uniform());
}

inline float lerp(float a, float b, float t) { return a + (b - a) * t; }
inline float smoothstep(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3.0f - 2.0f * t);
}
inline int wrap(int i, int n) {
  i %= n;
  return i < 0 ? i + n : i;
}

}  // namespace mgpnet::synth
