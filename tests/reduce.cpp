// The cases of amax and l2_norm; sum and mean are compositions of sum_to, checked here by hand.
#include "tensor/reduce.h"

#include <algorithm>
#include <cmath>

#include "autograd/grad.h"
#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::Index;

/// All elements different by 0.25 or more, in a random order: away from the ties.
void spread(Arrays& x) {
  std::vector<double>& data = x[0].data;
  std::vector<size_t> order(data.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return data[a] < data[b]; });
  for (size_t i = 0; i < order.size(); ++i) data[order[i]] = 0.25 * static_cast<double>(i) - 2;
}

OPCHECK(amax) {
  Cases cases;
  const auto add = [&](const Shape& shape, const std::vector<int>& axes) {
    cases.push_back({.in = {{.shape = shape}},
                     .build =
                         [axes](const Tensors& x) {
                           return Tensors{amax(x[0], axes, ReducedAxes::keep_as_one)};
                         },
                     .oracle =
                         [axes](const Arrays& x) {
                           Shape kept = x[0].shape;
                           for (const int axis : axes) kept = kept.with(axis, 1);
                           Array y = opcheck::zeros(kept);
                           for (double& value : y.data) value = -1e9;
                           opcheck::for_each_index(x[0].shape, [&](Index i) {
                             const double value = x[0][opcheck::offset_of(x[0].shape, i)];
                             for (const int axis : axes) i[axis] = 0;
                             double& largest = y[opcheck::offset_of(kept, i)];
                             largest = std::max(largest, value);
                           });
                           return Arrays{y};
                         },
                     .f32 = {Bound::ulp, 0},
                     .exact = true,
                     .adjust = spread});
  };
  add({2, 2}, {1});
  cases[0].given = {{1, 5, 3, 2}};
  cases[0].expected = {5, 3};
  for (const int64_t n : {2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 1025}) add({n}, {0});
  add({3, 4}, {0});
  add({3, 4}, {0, 1});
  add({2, 3, 4}, {1});
  add({2, 3, 4}, {0, 2});
  add({2, 1, 4, 3}, {1, 3});
  add({2, 1, 2, 2, 1, 2}, {0, 3, 5});
  add({0, 3}, {1});
  add({130, 65}, {1});
  add({65, 130}, {0});
  return cases;
}

OPCHECK(l2_norm) {
  Cases cases;
  const auto add = [&](const Shape& shape) {
    cases.push_back({.in = {{.shape = shape, .low = 0.5, .high = 2}},
                     .build = [](const Tensors& x) { return Tensors{l2_norm(x[0])}; },
                     .oracle =
                         [](const Arrays& x) {
                           Array y = opcheck::zeros({});
                           for (const double v : x[0].data) y[0] += v * v;
                           y[0] = std::sqrt(y[0]);
                           return Arrays{y};
                         }});
  };
  add({2});
  cases[0].given = {{3, -4}};
  cases[0].expected = {5};
  for (const int64_t n : {1, 3, 5, 7, 8, 9, 31, 33, 255, 256, 257, 1023, 1025, 4099}) add({n});
  for (const Shape& shape : {Shape{}, {1, 1}, {3, 4}, {2, 3, 5}, {2, 1, 2, 2, 1, 2}}) add(shape);
  add({16384});
  add({2, 16385});
  return cases;
}

TEST_CASE("reduce: sum and mean by hand, axes dropped or kept") {
  const Tensor x = input({2, 3}, DType::f64);
  const Tensors y = {sum(x),       sum(x, {1}), sum(x, {-2}), sum(x, {0}, ReducedAxes::keep_as_one),
                     mean(x, {1}), mean(x),     sum(x, {}),   sum(input({0, 2}, DType::f64), {0})};
  CHECK(y[0].shape() == Shape{});
  CHECK(y[3].shape() == Shape{1, 3});
  CHECK(y[7].shape() == Shape{2});
  const auto v = testing::values_of(y, {x}, {{1, 2, 3, 4, 5, 6}});
  CHECK(v[0] == std::vector<double>{21});
  CHECK(v[1] == std::vector<double>{6, 15});
  CHECK(v[2] == std::vector<double>{5, 7, 9});
  CHECK(v[3] == std::vector<double>{5, 7, 9});
  CHECK(v[4][0] == doctest::Approx(2).epsilon(1e-15));
  CHECK(v[5][0] == doctest::Approx(3.5).epsilon(1e-15));
  CHECK(v[6] == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(v[7] == std::vector<double>{0, 0});
}

TEST_CASE("reduce: amax at ties and NaN") {
  const Tensor x = input({4}, DType::f64);
  CHECK(testing::values_of({grad(amax(x, {0}), {x})[0]}, {x}, {{3, 1, 3, 2}})[0] ==
        std::vector<double>{0.5, 0, 0.5, 0});
  for (const std::vector<double>& v :
       {std::vector<double>{NAN, 1, 2, 3}, {1, 2, NAN, 3}, {1, 2, 3, NAN}})
    CHECK(std::isnan(testing::values_of({amax(x, {0})}, {x}, {v})[0][0]));
}

TEST_CASE("reduce: errors") {
  const Tensor x = input({2, 3});
  opcheck::expect_error([&] { sum(x, {2}); }, "sum: axis 2 is not one of the 2 axes");
  opcheck::expect_error([&] { sum(x, {1, -1}); }, "sum: axis 1 is named twice");
  opcheck::expect_error([&] { mean(x, {-3}); }, "axis -3 is not one of the 2 axes");
  opcheck::expect_error(
      [] {
        amax(input({0, 2}), {0});
      },
      "amax: an empty axis of [0,2] has no largest element");
  opcheck::expect_error([] { sum(Tensor()); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
