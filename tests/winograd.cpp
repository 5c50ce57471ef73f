// Winograd's convolution against the bound that cpu/winograd.h states, on every instruction set.
// The matrices are built here from the points alone, by division of polynomials.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "satin/satin.h"

namespace satin {
namespace {

using Real = long double;
using testing::Random;

/// A^T, B^T, G for the points 0, +-1/sqrt(2), +-sqrt(2) and infinity.
struct Matrices {
  std::array<std::array<Real, 6>, 4> at{};
  std::array<std::array<Real, 6>, 6> bt{};
  std::array<std::array<Real, 3>, 6> g{};

  Matrices() {
    const Real a = std::sqrt(Real(0.5)), b = std::sqrt(Real(2));
    const Real points[5] = {0, a, -a, b, -b};
    std::array<Real, 6> m = {1};  // product of all x - p, lowest power first
    for (const Real p : points)
      for (int i = 5; i >= 0; --i)
        m[static_cast<size_t>(i)] =
            (i ? m[static_cast<size_t>(i - 1)] : 0) - p * m[static_cast<size_t>(i)];
    for (size_t r = 0; r < 5; ++r) {
      Real rest = 0, slope = 1;  // m / (x - p), from the highest power down; m'(p)
      for (size_t i = 5; i-- > 0;) bt[r][i] = rest = m[i + 1] + points[r] * rest;
      for (size_t q = 0; q < 5; ++q)
        if (q != r) slope *= points[r] - points[q];
      for (size_t i = 0; i < 4; ++i) at[i][r] = std::pow(points[r], static_cast<Real>(i));
      for (size_t i = 0; i < 3; ++i) g[r][i] = std::pow(points[r], static_cast<Real>(i)) / slope;
    }
    bt[5] = m;
    at[3][5] = g[5][2] = 1;
  }
};

struct Sizes {
  int64_t n, h, w, cin, cout;
};

/// y = conv2d with pad 1, and what the header says y may be off by, in units of rounding.
void reference(const Sizes& s,
               const std::vector<double>& x,
               const std::vector<double>& w,
               std::vector<Real>& y,
               std::vector<Real>& bound) {
  const Matrices m;
  const auto pixel = [&](int64_t n, int64_t i, int64_t j, int64_t c) -> Real {
    if (i < 0 || j < 0 || i >= s.h || j >= s.w) return 0;
    return x[static_cast<size_t>(((n * s.h + i) * s.w + j) * s.cin + c)];
  };
  const auto weight = [&](int64_t i, int64_t j, int64_t ci, int64_t co) -> Real {
    return w[static_cast<size_t>(((i * 3 + j) * s.cin + ci) * s.cout + co)];
  };
  std::vector<Real> u(static_cast<size_t>(36 * s.cin * s.cout));  // |G| |g| |G^T|
  for (int64_t ci = 0; ci < s.cin; ++ci)
    for (int64_t co = 0; co < s.cout; ++co)
      for (size_t k = 0; k < 36; ++k)
        for (size_t i = 0; i < 9; ++i)
          u[(k * static_cast<size_t>(s.cin) + static_cast<size_t>(ci)) *
                static_cast<size_t>(s.cout) +
            static_cast<size_t>(co)] +=
              std::abs(m.g[k / 6][i / 3] * m.g[k % 6][i % 3] *
                       weight(static_cast<int64_t>(i / 3), static_cast<int64_t>(i % 3), ci, co));
  y.assign(static_cast<size_t>(s.n * s.h * s.w * s.cout), 0);
  bound = y;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t top = 0; top < s.h; top += 4)
      for (int64_t left = 0; left < s.w; left += 4) {
        std::vector<Real> products(static_cast<size_t>(36 * s.cout));
        for (int64_t ci = 0; ci < s.cin; ++ci)
          for (size_t k = 0; k < 36; ++k) {
            Real v = 0;  // |B^T| |d| |B|
            for (int64_t i = 0; i < 36; ++i)
              v += std::abs(m.bt[k / 6][static_cast<size_t>(i / 6)] *
                            m.bt[k % 6][static_cast<size_t>(i % 6)] *
                            pixel(n, top - 1 + i / 6, left - 1 + i % 6, ci));
            for (size_t co = 0; co < static_cast<size_t>(s.cout); ++co)
              products[k * static_cast<size_t>(s.cout) + co] +=
                  v * u[(k * static_cast<size_t>(s.cin) + static_cast<size_t>(ci)) *
                            static_cast<size_t>(s.cout) +
                        co];
          }
        for (int64_t i = top; i < std::min(top + 4, s.h); ++i)
          for (int64_t j = left; j < std::min(left + 4, s.w); ++j)
            for (int64_t co = 0; co < s.cout; ++co) {
              const size_t at = static_cast<size_t>(((n * s.h + i) * s.w + j) * s.cout + co);
              for (size_t k = 0; k < 36; ++k)
                bound[at] += std::abs(m.at[static_cast<size_t>(i - top)][k / 6] *
                                      m.at[static_cast<size_t>(j - left)][k % 6]) *
                             products[k * static_cast<size_t>(s.cout) + static_cast<size_t>(co)];
              for (int64_t t = 0; t < 9; ++t)
                for (int64_t ci = 0; ci < s.cin; ++ci)
                  y[at] +=
                      pixel(n, i + t / 3 - 1, j + t % 3 - 1, ci) * weight(t / 3, t % 3, ci, co);
            }
      }
}

std::vector<double> draw(int64_t size, Random& random, bool integers, DType t) {
  std::vector<double> values(static_cast<size_t>(size));
  for (double& v : values)
    v = integers ? static_cast<double>(random.below(7)) - 3 : random.uniform(-1, 1);
  return testing::decode(testing::encode(values, t), t);  // rounded
}

struct Errors {
  Real of_bound = 0, squared = 0;
};

/// The worst error over its bound, and the squared error over the squared values.
Errors errors(const Sizes& s, DType t, cpu::Isa isa, bool integers) {
  Random random(static_cast<uint64_t>(s.cin * 1000 + s.cout));
  const auto xs = draw(s.n * s.h * s.w * s.cin, random, integers, t);
  const auto ws = draw(9 * s.cin * s.cout, random, integers, t);
  std::vector<Real> expected, bound;
  reference(s, xs, ws, expected, bound);
  const Tensor x = input({s.n, s.h, s.w, s.cin}, t), w = input({3, 3, s.cin, s.cout}, t);
  const auto y = testing::decode(
      testing::run_program({conv2d(x, w, {.pad = 1})}, {x, w},
                           {testing::encode(xs, t), testing::encode(ws, t)}, cpu::backend(isa))[0],
      t);
  REQUIRE(y.size() == expected.size());
  const Real u = t == DType::f32 ? 0x1p-24L : 0x1p-53L;
  Errors e;
  Real size = 0, squares = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const Real error = std::abs(static_cast<Real>(y[i]) - expected[i]);
    e.of_bound = std::max(e.of_bound, error / (static_cast<Real>(s.cin + 40) * u * bound[i]));
    squares += error * error;  // a NaN stays
    size += expected[i] * expected[i];
  }
  e.squared = squares / size;
  return e;
}

const Sizes kSizes[] = {{1, 16, 16, 16, 16},  {1, 12, 13, 32, 32}, {2, 11, 9, 64, 64},
                        {1, 12, 9, 128, 128}, {1, 15, 18, 32, 16}, {1, 13, 14, 16, 64}};

}  // namespace

TEST_CASE("winograd: the error stays inside the stated bound") {
  for (const cpu::Isa isa : cpu::available_isas())
    for (const Sizes& s : kSizes) {
      CAPTURE(cpu::name_of(isa));
      CAPTURE(s.cin);
      CAPTURE(s.cout);
      const Errors narrow = errors(s, DType::f32, isa, false);
      CHECK(narrow.of_bound <= 1);
      CHECK(narrow.squared <= static_cast<Real>(s.cin + 16) * 1.5e-14L);
      const Errors wide = errors(s, DType::f64, isa, false);
      CHECK(wide.of_bound <= 1);
      CHECK(wide.squared <= static_cast<Real>(s.cin + 16) * 1.5e-14L * 0x1p-58L);
    }
}

TEST_CASE("winograd: runs at these sizes") {
  // Sums of products of small integers are exact any other way.
  for (const cpu::Isa isa : cpu::available_isas())
    for (const Sizes& s : kSizes) {
      CAPTURE(cpu::name_of(isa));
      CAPTURE(s.cin);
      CAPTURE(s.cout);
      CHECK(errors(s, DType::f32, isa, true).squared > 0);
      CHECK(errors(s, DType::f64, isa, true).squared > 0);
    }
}

}  // namespace satin
