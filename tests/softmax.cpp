// The cases of softmax.
#include "tensor/softmax.h"

#include <cmath>
#include <limits>

#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Cases;

OPCHECK(softmax) {
  Cases cases;
  const auto add = [&](const Shape& shape) {
    cases.push_back({.in = {{.shape = shape, .low = -3, .high = 3}},
                     .build = [](const Tensors& x) { return Tensors{softmax(x[0])}; },
                     .oracle =
                         [](const Arrays& x) {
                           Arrays y = x;
                           const int64_t n = x[0].shape.at(-1);
                           for (int64_t row = 0; n > 0 && row < x[0].shape.size() / n; ++row) {
                             long double sum = 0;
                             for (int64_t i = 0; i < n; ++i) sum += expl(x[0][row * n + i]);
                             for (int64_t i = 0; i < n; ++i)
                               y[0][row * n + i] =
                                   static_cast<double>(expl(x[0][row * n + i]) / sum);
                           }
                           return y;
                         }});
  };
  add({2});
  cases[0].given = {{0, 0}};
  cases[0].expected = {0.5, 0.5};
  for (const Shape& shape : opcheck::usual_shapes())
    if (shape.rank() > 0) add(shape);
  return cases;
}

TEST_CASE("softmax: large values do not overflow, NaN spreads over its row only") {
  const Tensor x = input({3, 2}, DType::f32);
  const auto y = testing::values_of({softmax(x)}, {x}, {{1e30, 1e30, NAN, 1, -1e30, 1e30}})[0];
  CHECK(y[0] == 0.5);
  CHECK(std::isnan(y[2]));
  CHECK(std::isnan(y[3]));
  CHECK(y[4] == 0);
  CHECK(y[5] == 1);
}

TEST_CASE("softmax: errors") {
  opcheck::expect_error([] { softmax(input({})); }, "softmax: x needs an axis to sum over");
  opcheck::expect_error([] { softmax(Tensor()); }, "softmax: x needs an axis");
}

}  // namespace
}  // namespace satin
