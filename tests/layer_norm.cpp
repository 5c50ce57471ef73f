// The cases of layer_norm and layer_norm_grad.
#include "tensor/layer_norm.h"

#include <cmath>

#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Cases;

// Rows around the 1024 that layer_norm_grad sums together, channels around the vector widths.
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list = {{2},          {1, 3},
                                          {2, 4},       {3, 5},
                                          {1, 7},       {2, 8},
                                          {3, 9},       {1, 15},
                                          {4, 16},      {5, 17},
                                          {2, 31},      {1, 32},
                                          {3, 33},      {2, 63},
                                          {1, 64},      {2, 65},
                                          {1, 257},     {0, 4},
                                          {2, 3, 4},    {2, 0, 3},
                                          {1, 2, 3, 5}, {2, 1, 2, 1, 2, 6},
                                          {1023, 8},    {1025, 7}};
  return list;
}

struct Moments {
  double mean, rstd;
};
Moments moments(const Array& x, int64_t row, int64_t c) {
  double mean = 0, variance = 0;
  for (int64_t i = 0; i < c; ++i) mean += x[row * c + i];
  mean /= static_cast<double>(c);
  for (int64_t i = 0; i < c; ++i) variance += (x[row * c + i] - mean) * (x[row * c + i] - mean);
  return {mean, 1 / std::sqrt(variance / static_cast<double>(c) + LayerNormAttrs{}.eps)};
}

OPCHECK(layer_norm) {
  Cases cases;
  for (const Shape& shape : shapes()) {
    const int64_t c = shape.at(-1);
    cases.push_back(
        {.in = {{.shape = shape}, {.shape = {c}}, {.shape = {c}}},
         .build = [](const Tensors& x) { return Tensors{layer_norm(x[0], x[1], x[2])}; },
         .oracle =
             [c](const Arrays& x) {
               Array y = x[0];
               for (int64_t row = 0; row < y.shape.size() / c; ++row) {
                 const auto [mean, rstd] = moments(x[0], row, c);
                 for (int64_t i = 0; i < c; ++i)
                   y[row * c + i] = x[1][i] * (x[0][row * c + i] - mean) * rstd + x[2][i];
               }
               return Arrays{y};
             }});
  }
  for (opcheck::Case& c : cases) c.step = 1e-4;
  cases[0].given = {{1, 3}, {1, 1}, {0, 0}};
  cases[0].expected = {-1, 1};
  cases[0].expected_within = 1e-5;
  cases[0].smooth = false;  // two channels are -1 and 1 whatever x is
  return cases;
}

OPCHECK(layer_norm_grad) {
  Cases cases;
  for (const Shape& shape : shapes()) {
    const int64_t c = shape.at(-1);
    if (c == 2) continue;  // dx cancels to nothing
    cases.push_back({.in = {{.shape = shape}, {.shape = {c}}, {.shape = shape, .linear = true}},
                     .build = [](const Tensors& x) { return layer_norm_grad(x[0], x[1], x[2]); },
                     .oracle =
                         [c](const Arrays& x) {
                           Arrays y = {x[0], opcheck::zeros({c}), opcheck::zeros({c})};
                           const double n = static_cast<double>(c);
                           for (int64_t row = 0; row < x[0].shape.size() / c; ++row) {
                             const auto [mean, rstd] = moments(x[0], row, c);
                             double g_mean = 0, gh_mean = 0;
                             for (int64_t i = 0; i < c; ++i) {
                               const double h = (x[0][row * c + i] - mean) * rstd,
                                            dy = x[2][row * c + i];
                               g_mean += x[1][i] * dy / n;
                               gh_mean += x[1][i] * dy * h / n;
                               y[1][i] += dy * h;
                               y[2][i] += dy;
                             }
                             for (int64_t i = 0; i < c; ++i) {
                               const double h = (x[0][row * c + i] - mean) * rstd;
                               y[0][row * c + i] =
                                   rstd * (x[1][i] * x[2][row * c + i] - g_mean - h * gh_mean);
                             }
                           }
                           return y;
                         }});
  }
  for (opcheck::Case& c : cases) c.step = 1e-4;
  return cases;
}

TEST_CASE("layer_norm: the kernels mean what the compositions say") {
  const Tensor x = input({5, 6}, DType::f64), gamma = input({6}, DType::f64),
               beta = input({6}, DType::f64), dy = input({5, 6}, DType::f64);
  Tensors y = layer_norm_grad(x, gamma, dy);
  y.push_back(layer_norm(x, gamma, beta));
  testing::Random random(3);
  std::vector<std::vector<double>> values;
  for (const Tensor& t : {x, gamma, beta, dy}) {
    values.emplace_back();
    for (int64_t i = 0; i < t.size(); ++i) values.back().push_back(random.uniform(-2, 2));
  }
  const auto fused = testing::values_of(y, {x, gamma, beta, dy}, values),
             composed = testing::values_of(y, {x, gamma, beta, dy}, values, {.fuse = false});
  for (size_t o = 0; o < y.size(); ++o)
    for (size_t i = 0; i < fused[o].size(); ++i)
      CHECK(fused[o][i] == doctest::Approx(composed[o][i]).epsilon(1e-12));
}

TEST_CASE("layer_norm_grad: one tensor as x and gamma keeps its two cotangents apart") {
  const Tensor x = input({4}, DType::f64), dy = input({4}, DType::f64);
  const Tensors y = layer_norm_grad(x, x, dy);
  const std::vector<std::vector<double>> values = {{1, 2, -1, 4}, {1, -2, 3, 0.5}};
  const auto fused = testing::values_of(y, {x, dy}, values),
             composed = testing::values_of(y, {x, dy}, values, {.fuse = false});
  for (size_t o = 0; o < 3; ++o)
    for (size_t i = 0; i < 4; ++i)
      CHECK(fused[o][i] == doctest::Approx(composed[o][i]).epsilon(1e-12));
}

TEST_CASE("layer_norm: errors") {
  const Tensor x = input({2, 3}), c = input({3});
  opcheck::expect_error([&] { layer_norm(input({}), c, c); },
                        "layer_norm: x needs a last axis of one element or more");
  opcheck::expect_error(
      [&] {
        layer_norm(input({2, 0}), input({0}), input({0}));
      },
      "x needs a last");
  opcheck::expect_error([&] { layer_norm(x, input({2}), c); },
                        "layer_norm: gamma is [2], x is [2,3]: it must be [3]");
  opcheck::expect_error([&] { layer_norm(x, c, x); }, "layer_norm: beta is [2,3]");
  opcheck::expect_error([&] { layer_norm_grad(x, c, c); },
                        "layer_norm_grad: dy must have the shape of x, [2,3]");
}

}  // namespace
}  // namespace satin
