// The cases of cast, and the conversions of tensor/dtype.h over all 65536 values of both storage
// types.  The oracle rounds by searching the neighbours, not by bit tricks.
#include "tensor/cast.h"

#include <cmath>
#include <limits>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;

/// x rounded to nearest even with `digits` binary digits and exponents of at least `least`.
double rounded(double x, int digits, int least, double largest) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), least) - digits + 1);
  const double y = std::nearbyint(x / unit) * unit;
  return std::abs(y) > largest ? std::copysign(std::numeric_limits<double>::infinity(), x) : y;
}

double rounded_to(double x, DType t) {
  switch (t) {
    case DType::f64:
      return x;
    case DType::f32:
      return rounded(x, 24, -126, std::numeric_limits<float>::max());
    case DType::bf16:
      return rounded(x, 8, -126, 0x1.fep127);
    case DType::f16:
      return rounded(x, 11, -14, 65504);
  }
  return x;
}

/// x -> via -> to.
opcheck::Case cast_case(const Shape& shape, DType via, DType to) {
  return {.in = {{.shape = shape, .linear = true}},
          .build = [=](const Tensors& x) { return Tensors{cast(cast(x[0], via), to)}; },
          .oracle =
              [=](const Arrays& x) {
                Arrays y = x;
                for (double& value : y[0].data) value = rounded_to(rounded_to(value, via), to);
                return y;
              },
          .f32 = {Bound::ulp, 0},
          .exact = true};
}

OPCHECK(cast) {
  Cases cases = {cast_case({1}, DType::bf16, DType::bf16)};
  cases[0].given = {{1.00390625}};
  cases[0].expected = {1};
  cases[0].exact = false;
  const DType storage[] = {DType::f32, DType::bf16, DType::f16};
  int i = 0;
  for (const Shape& shape : opcheck::usual_shapes()) {
    cases.push_back(cast_case(shape, storage[i++ % 3], DType::f64));  // and back: differentiable
    cases.back().in[0].step = 1;
    cases.back().coarse = true;
    cases.push_back(cast_case(shape, storage[i % 3], storage[i / 3 % 3]));
  }
  return cases;
}

TEST_CASE("cast: every bf16 and f16 value survives, through f32 and f64") {
  for (const DType t : {DType::bf16, DType::f16}) {
    const Tensor x = input({65536}, t);
    testing::Bytes all(2 * 65536);
    for (uint32_t i = 0; i < 65536; ++i) {
      all[2 * i] = std::byte(i & 255);
      all[2 * i + 1] = std::byte(i >> 8);
    }
    for (const DType wide : {DType::f32, DType::f64}) {
      const auto out =
          testing::run_program({cast(x, wide), cast(cast(x, wide), t)}, {x}, {all}, cpu::backend());
      const auto values = testing::decode(out[0], wide), back = testing::decode(out[1], t),
                 direct = testing::decode(all, t);
      int wrong = 0;
      for (uint32_t i = 0; i < 65536; ++i) {
        // The value by the definition of the format: sign, exponent, mantissa.
        const int digits = t == DType::bf16 ? 7 : 10, bias = t == DType::bf16 ? 127 : 15;
        const int exponent = static_cast<int>(i & 0x7fff) >> digits, top = 2 * bias + 1;
        const double mantissa = static_cast<double>(i & ((1u << digits) - 1));
        double value = exponent == 0
                           ? std::ldexp(mantissa, 1 - bias - digits)
                           : std::ldexp(mantissa + (1 << digits), exponent - bias - digits);
        if (exponent == top) value = mantissa == 0 ? std::numeric_limits<double>::infinity() : NAN;
        if (i & 0x8000) value = -value;
        const bool nan = std::isnan(value);
        wrong += nan ? !std::isnan(values[i]) || !std::isnan(direct[i]) || !std::isnan(back[i])
                     : values[i] != value || direct[i] != value || back[i] != value ||
                           std::signbit(values[i]) != std::signbit(value);
        if (!nan) wrong += out[1][2 * i] != all[2 * i] || out[1][2 * i + 1] != all[2 * i + 1];
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("cast: midpoints and their neighbours round to nearest even, from f32 and from f64") {
  for (const DType t : {DType::bf16, DType::f16}) {
    std::vector<double> values;
    testing::Random random(1);
    const double largest = t == DType::bf16 ? 0x1.fep127 : 65504;
    for (int i = 0; i < 65536; ++i) {  // a value, the middle to the next one, and just beside it
      const double v = testing::decode({std::byte(i & 255), std::byte(i >> 8)}, t)[0];
      if (!std::isfinite(v)) continue;
      const int digits = t == DType::bf16 ? 8 : 11, least = t == DType::bf16 ? -126 : -14;
      const double unit =
          std::ldexp(1.0, std::max(v == 0 ? least : std::ilogb(v), least) - digits + 1);
      const double middle = v + std::copysign(unit / 2, v);
      for (const double x : {middle, std::nextafter(middle, 0), std::nextafter(middle, 2 * middle),
                             v + unit * random.uniform(-0.5, 0.5)})
        values.push_back(x);
    }
    for (const double x : {1e300, -1e300, 1e-300, -1e-300, 5e-324, largest * 1.001, 0x1p-150,
                           0x1.fffffefp127, 0x1.ffffffp127, 0x1p-25, 0x1.8p-25})
      values.push_back(x);
    const auto n = static_cast<int64_t>(values.size());
    for (const DType from : {DType::f64, DType::f32}) {
      const Tensor x = input({n}, from);
      const testing::Bytes in = testing::encode(values, from);
      const auto out =
          testing::decode(testing::run_program({cast(x, t)}, {x}, {in}, cpu::backend())[0], t);
      const auto read = testing::decode(in, from);
      int wrong = 0;
      for (size_t i = 0; i < read.size(); ++i) wrong += out[i] != rounded_to(read[i], t);
      CHECK(wrong == 0);
      MESSAGE(t, " from ", from, ": ", read.size(), " values");
    }
  }
}

TEST_CASE("cast: f64 to f32, NaN and infinities") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x = input({6}, DType::f64);
  const std::vector<double> in = {1e300, -1e300, inf, 1 + 0x1p-24, 1 + 0x1.8p-24, 0x1p-150};
  for (const DType t : {DType::f32, DType::bf16, DType::f16}) {
    const auto y = testing::values_of({cast(x, t)}, {x}, {in})[0];
    for (size_t i = 0; i < in.size(); ++i) CHECK(y[i] == rounded_to(in[i], t));
    CHECK(std::isnan(testing::values_of({cast(x, t)}, {x}, {{NAN, 0, 0, 0, 0, 0}})[0][0]));
  }
}

TEST_CASE("cast: errors") {
  const Tensor x = input({2});
  CHECK(cast(x, DType::f32) == x);
  opcheck::expect_error([] { cast(Tensor(), DType::f32); }, "cast: input 0 is an empty Tensor");
}

}  // namespace
}  // namespace satin
