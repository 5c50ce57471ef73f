// The f32 polynomials of cpu/vmath.h against f64, on every instruction set this machine has: a
// dense sample of all floats with the special ones, or all 2^32 of them for the function that
// SATIN_ALL_FLOATS names (minutes).
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "tensor/binary.h"
#include "tensor/program.h"
#include "tensor/unary.h"

namespace satin {
namespace {

constexpr int64_t kBatch = 1 << 16;
constexpr double kSqrtHalf = 0.70710678118654752440, kInvSqrt2Pi = 0.39894228040143267794;

/// Distance in units of the last place of the exact value rounded to f32 (subnormals included).
double ulps(float y, double exact) {
  if (std::isnan(exact)) return std::isnan(y) ? 0 : 1e30;
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded) || std::isinf(y)) {
    if (y == rounded) return 0;
    // One of them overflowed: the largest float is one step from infinity.
    const float other = std::isinf(y) ? rounded : y;
    return std::fabs(other) == std::numeric_limits<float>::max() && (other > 0) == (exact > 0)
               ? 1
               : 1e30;
  }
  int exponent = 0;
  std::frexp(rounded, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(y - exact) / unit;
}

/// Error as a multiple of the size of x (at least of the smallest float).
double of_x(float y, double exact, float x) {
  if (std::isnan(exact)) return std::isnan(y) ? 0 : 1e30;
  if (std::isinf(x)) return y == static_cast<float>(exact) ? 0 : 1e30;
  return std::max(0.0, std::fabs(y - exact) - 0x1p-149) / std::max(std::fabs(double(x)), 0x1p-149);
}

double absolute(float y, double exact, float) {
  return std::isnan(exact) ? (std::isnan(y) ? 0 : 1e30) : std::fabs(y - exact);
}

struct Function {
  const char* name;
  Tensor (*build)(const Tensor& x);
  double (*exact)(double x);
  double (*error)(float y, double exact, float x);
  double bound;
};

double in_ulps(float y, double exact, float) { return ulps(y, exact); }

const Function kFunctions[] = {
    {"exp", exp, [](double x) { return std::exp(x); }, in_ulps, 2},
    {"log", log, [](double x) { return std::log(x); }, in_ulps, 2},
    {"tanh", tanh, [](double x) { return std::tanh(x); }, in_ulps, 2},
    {"erf", erf, [](double x) { return std::erf(x); }, in_ulps, 2},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, in_ulps, 3},
    {"silu", silu, [](double x) { return std::isinf(x) && x < 0 ? -0.0 : x / (1 + std::exp(-x)); },
     in_ulps, 4},
    {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, in_ulps, 0.5},
    {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, in_ulps, 1.5},
    {"gelu", gelu,
     [](double x) { return std::isinf(x) ? std::max(x, 0.0) : x / 2 * std::erfc(-x * kSqrtHalf); },
     of_x, 2.6e-7},
    {"gelu_grad", [](const Tensor& x) { return gelu_grad(x, scalar_like(x, 1)); },
     [](double x) {
       if (std::isinf(x)) return x > 0 ? 1.0 : 0.0;
       return std::erfc(-x * kSqrtHalf) / 2 + x * kInvSqrt2Pi * std::exp(-x * x / 2);
     },
     absolute, 2.6e-7},
};

struct Worst {
  double error = -1;
  float x = 0;
  int64_t compared = 0;
};

/// `next` fills a batch and returns false when there is nothing left.
template <class Next>
Worst sweep(const Function& f, cpu::Isa isa, Next next) {
  const Tensor x = input({kBatch}, DType::f32, "x");
  const Tensor y = f.build(x);
  Program program({y}, cpu::backend(isa));
  std::vector<float> values(kBatch);  // y may take the place of x
  const auto* results = static_cast<const float*>(program.memory(y));
  Worst worst;
  for (bool more = true; more;) {
    more = next(values.data());
    program.write<float>(x, values);
    program.run();
    for (int64_t i = 0; i < kBatch; ++i) {
      const float at = values[static_cast<size_t>(i)];
      const double error = f.error(results[i], f.exact(at), at);
      if (!(error <= worst.error)) worst = {error, at, worst.compared};
      ++worst.compared;
    }
  }
  return worst;
}

void check(const Function& f, cpu::Isa isa, const Worst& worst) {
  const std::string what =
      cat(f.name, " on ", cpu::name_of(isa), ": error ", worst.error, " at ", worst.x);
  INFO(what);
  CHECK(worst.compared >= kBatch);
  CHECK(worst.error <= f.bound);
  MESSAGE(what);
}

/// SATIN_ALL_FLOATS names the functions to sweep over every float; 1 stands for gelu.
bool all_floats_of(std::string_view name) {
  const char* wanted = std::getenv("SATIN_ALL_FLOATS");
  return wanted && (wanted == name || (std::string_view(wanted) == "1" && name == "gelu"));
}

}  // namespace

TEST_CASE("vector mathematics stays within its stated bounds") {
  // An odd stride visits every exponent and, over the batches, varied low bits.
  for (const cpu::Isa isa : cpu::available_isas())
    for (const Function& f : kFunctions) {
      const uint64_t stride = all_floats_of(f.name) ? 1 : 5003;
      uint64_t bits = 0;
      check(f, isa, sweep(f, isa, [&](float* x) {
              for (int64_t i = 0; i < kBatch; ++i, bits += stride)
                x[i] = std::bit_cast<float>(static_cast<uint32_t>(bits));
              return bits < (uint64_t{1} << 32);
            }));
    }
}

TEST_CASE("vector mathematics at special values and around its seams") {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> centers = {0,           0x1p-149f,   0x1p-126f, 1e-20f, 0.625f,  1,
                                4,           5.65f,       5.7f,      6.1f,   6.15f,   0.34657f,
                                0.70710678f, 1.41421356f, 9.01f,     16.6f,  87.33f,  88.7228f,
                                89,          103.97f,     104,       1e10f,  3.4e38f, infinity};
  std::vector<float> values;
  for (const float center : centers)
    for (const float sign : {1.0f, -1.0f}) {
      float up = sign * center, down = up;
      for (int i = 0; i < 300; ++i) {
        values.insert(values.end(), {up, down});
        up = std::nextafter(up, infinity);
        down = std::nextafter(down, -infinity);
      }
    }
  values.insert(values.end(), {std::nanf(""), -std::nanf(""), -0.0f});
  REQUIRE(static_cast<int64_t>(values.size()) <= kBatch);
  for (const cpu::Isa isa : cpu::available_isas())
    for (const Function& f : kFunctions)
      check(f, isa, sweep(f, isa, [&](float* x) {
              for (int64_t i = 0; i < kBatch; ++i)
                x[i] = values[static_cast<size_t>(i) % values.size()];
              return false;
            }));
}

}  // namespace satin
