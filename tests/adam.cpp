// The cases of adam_update: forward only, it has no derivative.
#include "tensor/adam.h"

#include <cmath>
#include <limits>

#include "autograd/grad.h"
#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Case;
using opcheck::Cases;

Arrays adam_oracle(const Arrays& x, const AdamAttrs& a) {
  const double lr = x[4][0], t = x[5][0], scale = x[6][0];
  Arrays y = {x[0], x[2], x[3]};
  if (!std::isfinite(scale)) return y;
  for (int64_t i = 0; i < x[0].shape.size(); ++i) {
    const double g = scale * x[1][i];
    const double m = a.beta1 * x[2][i] + (1 - a.beta1) * g;
    const double v = a.beta2 * x[3][i] + (1 - a.beta2) * g * g;
    y[1][i] = m;
    y[2][i] = v;
    y[0][i] -=
        lr * (m / (1 - std::pow(a.beta1, t))) / (std::sqrt(v / (1 - std::pow(a.beta2, t))) + a.eps);
  }
  return y;
}

OPCHECK(adam_update) {
  Cases cases;
  const auto add = [&](const Shape& s, double t, AdamAttrs attrs) {
    cases.push_back({.in = {{.shape = s},
                            {.shape = s},
                            {.shape = s, .low = -0.5, .high = 0.5},
                            {.shape = s, .low = 0.01, .high = 1},
                            {.low = 1e-3, .high = 1e-1},
                            {.low = t, .high = t, .step = 1},
                            {.low = 0.5, .high = 1}},
                     .build =
                         [=](const Tensors& x) {
                           return adam_update(x[0], x[1], x[2], x[3], x[4], x[5], x[6], attrs);
                         },
                     .oracle = [=](const Arrays& x) { return adam_oracle(x, attrs); }});
  };
  add({1}, 1, {});
  cases[0].given = {{1}, {2}, {0}, {0}, {0.1}, {1}, {1}};
  cases[0].expected = {0.9, 0.2, 0.004};
  double t = 1;
  for (const Shape& shape : opcheck::usual_shapes()) {
    add(shape, t, {});
    add(shape, t += 7, {.beta1 = 0.5, .beta2 = 0.75, .eps = 1e-3});
  }
  return cases;
}

TEST_CASE("adam: a scale that is not finite leaves everything as it was") {
  Tensors x;
  for (int i = 0; i < 4; ++i) x.push_back(input({3}, DType::f64));
  for (int i = 0; i < 3; ++i) x.push_back(input({}, DType::f64));
  const Tensors y = adam_update(x[0], x[1], x[2], x[3], x[4], x[5], x[6]);
  const std::vector<double> p = {1, 2, 3}, g = {NAN, 1, 2}, m = {4, 5, 6}, v = {7, 8, 9};
  for (const double scale : {static_cast<double>(NAN), std::numeric_limits<double>::infinity()}) {
    const auto out = testing::values_of(y, x, {p, g, m, v, {0.1}, {1}, {scale}});
    CHECK(out[0] == p);
    CHECK(out[1] == m);
    CHECK(out[2] == v);
  }
}

TEST_CASE("adam: errors") {
  const Tensor p = input({3}), one = input({});
  opcheck::expect_error([&] { adam_update(p, input({4}), p, p, one, one, one); },
                        "adam_update: p, grad, m and v must have one shape");
  opcheck::expect_error([&] { adam_update(p, p, p, p, p, one, one); },
                        "adam_update: lr, t and scale are scalars");
  opcheck::expect_error([&] { adam_update(Tensor(), p, p, p, one, one, one); }, "adam_update");
  const Tensor q = adam_update(p, p, p, p, one, one, one)[0];
  opcheck::expect_error([&] { grad(q, {p}, q); }, "adam_update: has no derivative");
}

}  // namespace
}  // namespace satin
