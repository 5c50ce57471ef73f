// GELU beside its derivative, as the gradients of the gMLPs compute them, and the coarse ones
// before rounding to bf16: within the bounds that the kernels' headers state, against f64.  The
// operations gelu and gelu_grad are vector_math.cpp's.
#define SATIN_ISA baseline
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "cpu/bf16_gmlp.h"

namespace satin::cpu::baseline {
namespace {

using F = Vec<float>;

double gelu_of(double x) { return x / 2 * std::erfc(-x * std::sqrt(0.5)); }
double slope_of(double x) {
  return std::erfc(-x * std::sqrt(0.5)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
}

struct Worst {
  double gelu = 0, slope = 0;  ///< as a multiple of |x|; absolute
};

/// f(x, slope) over [-9, 9].
template <class Function>
Worst sweep(Function f) {
  Worst worst;
  for (int i = -900000; i <= 900000; ++i) {
    const float x = static_cast<float>(i) * 1e-5f;
    F slope;
    const F y = f(splat(x), slope);
    const auto at = static_cast<double>(x);
    if (i != 0) worst.gelu = std::fmax(worst.gelu, std::fabs((double{y[0]} - gelu_of(at)) / at));
    worst.slope = std::fmax(worst.slope, std::fabs(double{slope[0]} - slope_of(at)));
  }
  return worst;
}

F coarse_with_slope(F x, F& slope) { return bf16::coarse_gelu_and_slope(x, slope); }

TEST_CASE("fused GELU and its slope stay within their stated bounds") {
  const Worst fine = sweep([](F x, F& slope) { return vmath::gelu_and_slope(x, slope); });
  MESSAGE("f32: " << fine.gelu << " |x|, slope " << fine.slope);
  CHECK(fine.gelu <= 2.6e-7);
  CHECK(fine.slope <= 7e-7);
  const Worst coarse = sweep(coarse_with_slope);
  MESSAGE("before bf16: " << coarse.gelu << " |x|, slope " << coarse.slope);
  CHECK(coarse.gelu <= 1.9e-4);
  CHECK(coarse.slope <= 7.1e-4);
}

TEST_CASE("fused GELU: both are as they should be at infinity and NaN, and agree with GELU alone") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& both :
       {+[](F x, F&slope) { return vmath::gelu_and_slope(x, slope); }, +coarse_with_slope}) {
    F slope;
    CHECK(both(splat(infinity), slope)[0] == infinity);
    CHECK(slope[0] == 1);
    CHECK(both(splat(-infinity), slope)[0] == 0);
    CHECK(slope[0] == 0);
    CHECK(std::isnan(both(splat(std::nanf("")), slope)[0]));
    CHECK(std::isnan(slope[0]));
  }
  for (const float x : {-6.0f, -5.68f, -1.5f, -0.1f, 0.0f, 0.3f, 2.0f, 5.66f, 7.0f}) {
    F slope;
    CHECK(vmath::gelu_and_slope(splat(x), slope)[0] == vmath::gelu(splat(x))[0]);
    CHECK(bf16::coarse_gelu_and_slope(splat(x), slope)[0] == bf16::coarse_gelu(splat(x))[0]);
  }
}

}  // namespace
}  // namespace satin::cpu::baseline
