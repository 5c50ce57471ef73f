// The cases of the binary family: every row on equal shapes and on shapes that broadcast.
#include "tensor/binary.h"

#include <cmath>
#include <limits>

#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::In;
using opcheck::Index;

using Scalar = long double (*)(long double, long double);

/// The element of a that NumPy's rule puts at `index` of `shape`.
double broadcast_at(const Array& a, const Shape& shape, const Index& index) {
  Index own{};
  for (int i = 0; i < a.shape.rank(); ++i)
    own[i] = a.shape[i] == 1 ? 0 : index[i + shape.rank() - a.shape.rank()];
  return a[opcheck::offset_of(a.shape, own)];
}

Cases binary_cases(const std::function<Tensor(const Tensor&, const Tensor&)>& f,
                   Scalar oracle,
                   In x,
                   In y,
                   std::array<double, 3> example,
                   Bound f32 = {Bound::ulp, 4},
                   bool exact = false) {
  Cases cases;
  const auto add = [&](const Shape& xs, const Shape& ys) {
    x.shape = xs;
    y.shape = ys;
    cases.push_back({{x, y},
                     [f](const Tensors& t) { return Tensors{f(t[0], t[1])}; },
                     [oracle](const Arrays& a) {
                       Array z = opcheck::zeros(broadcast_shape(a[0].shape, a[1].shape));
                       opcheck::for_each_index(z.shape, [&](const Index& i) {
                         z[opcheck::offset_of(z.shape, i)] = static_cast<double>(oracle(
                             broadcast_at(a[0], z.shape, i), broadcast_at(a[1], z.shape, i)));
                       });
                       return Arrays{z};
                     },
                     f32,
                     exact});
  };
  add({1}, {1});
  cases[0].given = {{example[0]}, {example[1]}};
  cases[0].expected = {example[2]};
  for (const Shape& shape : opcheck::usual_shapes()) add(shape, shape);
  add({}, {7});
  add({5, 9}, {});
  add({4, 17}, {17});
  add({4, 17}, {4, 1});
  add({3, 1}, {1, 5});
  add({1, 1}, {3, 2});
  add({2, 1, 5, 1}, {4, 1, 3});
  add({2, 3, 1, 2, 1, 2}, {2, 1, 2, 2, 3, 1});
  add({129, 2}, {129, 1});
  add({0, 3}, {1, 3});
  add({16385}, {1});
  return cases;
}

constexpr Bound kUlp4{Bound::ulp, 4};
constexpr Bound kExact{Bound::ulp, 0};
constexpr Bound kHalf{Bound::ulp, 0.5};
constexpr double kSlope = 0.25;
const In kAny{.low = -3, .high = 3};
const In kLinear{.low = -3, .high = 3, .linear = true};
const In kPositive{.low = 0.5, .high = 3};
// Two lattices that never meet, for what changes where x = y.
const In kX{.low = -3, .high = 3, .step = 0.5};
const In kY{.low = -3, .high = 3, .step = 0.5, .offset = 0.25};
const In kFlatX{.low = -3, .high = 3, .step = 0.5, .flat = true};
const In kFlatY{.low = -3, .high = 3, .step = 0.5, .offset = 0.25, .flat = true};

long double gelu_derivative(long double x) {
  return 0.5L * erfcl(-x * sqrtl(0.5L)) + x * expl(-0.5L * x * x) / sqrtl(2 * acosl(-1.0L));
}

#define SATIN_BINARY_ROW(row, x, y, example, bound, exact, oracle)                                \
  OPCHECK(row) {                                                                                  \
    return binary_cases([](const Tensor& a, const Tensor& b) { return satin::row(a, b); },        \
                        [](long double v, long double w) -> long double { return oracle; }, x, y, \
                        std::array<double, 3> example, bound, exact);                             \
  }

SATIN_BINARY_ROW(add, kAny, kAny, ({2, 3, 5}), kHalf, true, v + w)
SATIN_BINARY_ROW(sub, kAny, kAny, ({2, 3, -1}), kHalf, true, v - w)
SATIN_BINARY_ROW(mul, kLinear, kLinear, ({2, 3, 6}), kHalf, true, v* w)
SATIN_BINARY_ROW(div, kLinear, kPositive, ({3, 2, 1.5}), kUlp4, false, v / w)
SATIN_BINARY_ROW(maximum, kX, kY, ({2, 3, 3}), kExact, true, v > w ? v : w)
SATIN_BINARY_ROW(minimum, kX, kY, ({2, 3, 2}), kExact, true, v < w ? v : w)
SATIN_BINARY_ROW(less, kFlatX, kFlatY, ({2, 3, 1}), kExact, true, v < w)
SATIN_BINARY_ROW(less_equal, kFlatX, kFlatY, ({2, 3, 1}), kExact, true, v <= w)
SATIN_BINARY_ROW(equal, kFlatX, kFlatY, ({2, 3, 0}), kExact, true, v == w)
SATIN_BINARY_ROW(gelu_grad,
                 kAny,
                 kLinear,
                 ({0, 2, 1}),
                 (Bound{Bound::ulp_of_one, 8}),
                 false,
                 gelu_derivative(v) * w)

#undef SATIN_BINARY_ROW

OPCHECK(leaky_relu_grad) {
  const In x{.low = -3, .high = 3, .step = 0.5, .offset = 0.25, .flat = true};
  return binary_cases(
      [](const Tensor& a, const Tensor& dy) { return leaky_relu_grad(a, dy, kSlope); },
      [](long double v, long double w) { return v > 0 ? w : kSlope * w; }, x, kLinear, {-1, 2, 0.5},
      kExact, true);
}

TEST_CASE("binary: NaN, infinities and ties") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = input({3}, DType::f64), y = input({3}, DType::f64);
  const auto at = [&](const Tensor& z, const std::vector<double>& a, const std::vector<double>& b) {
    return testing::values_of({z}, {x, y}, {a, b})[0];
  };
  for (const Tensor& z : {maximum(x, y), minimum(x, y), add(x, y)}) {
    for (const double value : at(z, {nan, 1, nan}, {1, nan, nan})) CHECK(std::isnan(value));
  }
  CHECK(at(less(x, y), {nan, 1, 2}, {1, nan, 2}) == std::vector<double>{0, 0, 0});
  CHECK(at(div(x, y), {1, -1, 0}, {0, 0, 5})[1] == -std::numeric_limits<double>::infinity());
}

TEST_CASE("binary: operators take plain numbers") {
  const Tensor x = input({2}, DType::f64);
  const auto v = testing::values_of({x + 1.0, x - 1.0, x * 3.0, x / 2.0, -x}, {x}, {{4, 6}});
  CHECK(v[0] == std::vector<double>{5, 7});
  CHECK(v[1] == std::vector<double>{3, 5});
  CHECK(v[2] == std::vector<double>{12, 18});
  CHECK(v[3] == std::vector<double>{2, 3});
  CHECK(v[4] == std::vector<double>{-4, -6});
}

TEST_CASE("binary: errors") {
  const Tensor x = input({2, 3});
  opcheck::expect_error([&] { add(x, input({4})); }, "add: shapes [2,3] and [4] do not broadcast");
  opcheck::expect_error(
      [&] {
        mul(x, input({2, 3}, DType::f64));
      },
      "mul: input 0 is f32, input 1 is f64: cast one of them");
  opcheck::expect_error([&] { less(x, Tensor()); }, "less: an operand is an empty Tensor");
}

}  // namespace
}  // namespace satin
