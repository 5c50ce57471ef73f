// The cases of the unary family: one line a row, the first case of each is the pair (x, y) in it.
#include "tensor/unary.h"

#include <cmath>
#include <limits>

#include "evaluate.h"
#include "opcheck.h"
#include "tensor/binary.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Case;
using opcheck::Cases;
using opcheck::In;

using Scalar = long double (*)(long double);

Cases unary_cases(const std::function<Tensor(const Tensor&)>& f,
                  Scalar oracle,
                  const In& in,
                  double x,
                  double y,
                  Bound f32 = {Bound::ulp, 4},
                  bool exact = false) {
  Cases cases;
  const auto add = [&](const Shape& shape) {
    In drawn = in;
    drawn.shape = shape;
    cases.push_back({{drawn},
                     [f](const Tensors& t) { return Tensors{f(t[0])}; },
                     [oracle](const Arrays& a) {
                       Array z = a[0];
                       for (double& value : z.data) value = static_cast<double>(oracle(value));
                       return Arrays{z};
                     },
                     f32,
                     exact});
  };
  add({1});
  cases[0].given = {{x}};
  cases[0].expected = {y};
  for (const Shape& shape : opcheck::usual_shapes()) add(shape);
  return cases;
}

// Draws that stay away from a kink at 0.
constexpr double kStep = 0.5, kOff = 0.25;
const In kAny{.low = -3, .high = 3};
const In kPositive{.low = 0.3, .high = 4};
const In kKinked{.low = -3, .high = 3, .step = kStep, .offset = kOff};
const In kFlat{.low = -3, .high = 3, .step = kStep, .offset = kOff, .flat = true};
constexpr Bound kUlp4{Bound::ulp, 4};
constexpr Bound kExact{Bound::ulp, 0};
constexpr Bound kOfInput{Bound::ulp_of_input, 4};
constexpr double kSlope = 0.25;

long double sigmoid_of(long double x) { return 1 / (1 + expl(-x)); }

#define SATIN_UNARY_ROW(row, in, x, y, bound, exact, oracle)                                 \
  OPCHECK(row) {                                                                             \
    return unary_cases([](const Tensor& t) { return satin::row(t); },                        \
                       [](long double v) -> long double { return oracle; }, in, x, y, bound, \
                       exact);                                                               \
  }

const In kLinear{.low = -3, .high = 3, .linear = true};

SATIN_UNARY_ROW(neg, kLinear, 2, -2, kExact, true, -v)
SATIN_UNARY_ROW(abs, kKinked, -2, 2, kExact, true, v < 0 ? -v : v)
SATIN_UNARY_ROW(sign, kFlat, -2, -1, kExact, true, v<0 ? -1 : v> 0 ? 1 : 0)
SATIN_UNARY_ROW(square, kAny, 3, 9, kUlp4, true, v* v)
SATIN_UNARY_ROW(reciprocal, kPositive, 4, 0.25, kUlp4, false, 1 / v)
SATIN_UNARY_ROW(sqrt, kPositive, 2, 1.4142136, kUlp4, false, sqrtl(v))
SATIN_UNARY_ROW(rsqrt, kPositive, 4, 0.5, kUlp4, false, 1 / sqrtl(v))
SATIN_UNARY_ROW(exp, kAny, 1, 2.7182818, kUlp4, false, expl(v))
SATIN_UNARY_ROW(log, kPositive, 2, 0.6931472, kUlp4, false, logl(v))
SATIN_UNARY_ROW(sin, kAny, 1, 0.8414710, kUlp4, false, sinl(v))
SATIN_UNARY_ROW(cos, kAny, 1, 0.5403023, kUlp4, false, cosl(v))
SATIN_UNARY_ROW(tanh, kAny, 1, 0.7615942, kUlp4, false, tanhl(v))
SATIN_UNARY_ROW(erf, kAny, 1, 0.8427008, kUlp4, false, erfl(v))
SATIN_UNARY_ROW(sigmoid, kAny, 1, 0.7310586, kUlp4, false, sigmoid_of(v))
SATIN_UNARY_ROW(silu, kAny, 1, 0.7310586, kUlp4, false, v* sigmoid_of(v))
SATIN_UNARY_ROW(relu, kKinked, -2, 0, kExact, true, v > 0 ? v : 0)
SATIN_UNARY_ROW(gelu, kAny, 1, 0.8413447, kOfInput, false, 0.5L * v * erfcl(-v * sqrtl(0.5L)))

#undef SATIN_UNARY_ROW

OPCHECK(leaky_relu) {
  return unary_cases([](const Tensor& t) { return leaky_relu(t, kSlope); },
                     [](long double v) { return v > 0 ? v : kSlope * v; }, kKinked, -2, -0.5,
                     kExact, true);
}

OPCHECK(clamp) {
  return unary_cases([](const Tensor& t) { return clamp(t, -1, 2); },
                     [](long double v) { return v < -1  ? -1
                                                : v > 2 ? 2
                                                        : v; }, kKinked, 3, 2,
                     kExact, true);
}

TEST_CASE("unary: NaN in gives NaN out, on every path") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType t : {DType::f32, DType::f64}) {
    const Tensor x = input({5}, t);
    const Tensors y = {neg(x),  abs(x),        sign(x), square(x),     reciprocal(x),
                       sqrt(x), rsqrt(x),      exp(x),  log(x),        sin(x),
                       cos(x),  tanh(x),       erf(x),  silu(x),       sigmoid(x),
                       relu(x), leaky_relu(x), gelu(x), clamp(x, 0, 1)};
    for (const auto& values : testing::values_of(y, {x}, {{nan, nan, nan, nan, nan}}))
      for (const double value : values) CHECK(std::isnan(value));
  }
}

TEST_CASE("unary: values at the ends and at ties") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x = input({4}, DType::f64), dy = input({4}, DType::f64);
  const auto at = [&](const Tensor& y) {
    return testing::values_of({y}, {x, dy}, {{0, -inf, inf, -1}, {1, 1, 1, 1}})[0];
  };
  CHECK(at(sigmoid(x)) == std::vector<double>{0.5, 0, 1, 1 / (1 + std::exp(1.0))});
  CHECK(at(tanh(x))[2] == 1);
  CHECK(at(exp(x))[1] == 0);
  CHECK(at(reciprocal(x))[0] == inf);
  CHECK(at(log(x))[0] == -inf);
  CHECK(std::isnan(at(sqrt(x))[3]));
  CHECK(at(sign(x)) == std::vector<double>{0, -1, 1, -1});
  // Derivatives at 0 as PyTorch has them.
  CHECK(at(leaky_relu_grad(x, dy, 0.25))[0] == 0.25);
}

TEST_CASE("unary: errors") {
  const Tensor x = input({2});
  opcheck::expect_error([&] { clamp(x, 2, 1); }, "clamp: the lower bound 2 is above");
  opcheck::expect_error([] { gelu(Tensor()); }, "gelu: x is an empty Tensor");
  opcheck::expect_error([] { exp(input({2}, DType::bf16)); },
                        "exp: input 0 is bf16; it takes f32 or f64");
}

}  // namespace
}  // namespace satin
