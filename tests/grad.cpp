// The walk of grad() itself; the rules are opcheck's business.
#include "autograd/grad.h"

#include "evaluate.h"
#include "opcheck.h"
#include "tensor/binary.h"
#include "tensor/layer_norm.h"
#include "tensor/reduce.h"
#include "tensor/unary.h"

namespace satin {
namespace {

std::vector<double> value(const Tensor& y,
                          const Tensors& x,
                          const std::vector<std::vector<double>>& v) {
  return testing::values_of({y}, x, v)[0];
}

TEST_CASE("grad: the header's example") {
  const Tensor x = input({1}, DType::f64);
  CHECK(value(grad(square(x), {x})[0], {x}, {{3}}) == std::vector<double>{6});
}

TEST_CASE("grad: a value reached on several ways collects all of them") {
  const Tensor x = input({2}, DType::f64), dy = input({2}, DType::f64);
  const Tensor s = square(x);
  const Tensor y = s * x + s + x;  // x^3 + x^2 + x
  CHECK(value(grad(y, {x}, dy)[0], {x, dy}, {{2, -1}, {1, 10}}) == std::vector<double>{17, 20});
  CHECK(value(grad(x + x, {x}, dy)[0], {x, dy}, {{2, -1}, {1, 10}}) == std::vector<double>{2, 20});
}

TEST_CASE("grad: inner values, y itself, and values that y does not need") {
  const Tensor x = input({2}, DType::f64), z = input({3}, DType::f64), dy = input({2}, DType::f64);
  const Tensor s = square(x), y = s * 3.0;
  const Tensors d = grad(y, {s, y, z, x}, dy);
  const auto v = testing::values_of(d, {x, z, dy}, {{2, 3}, {0, 0, 0}, {1, 10}});
  CHECK(v[0] == std::vector<double>{3, 30});
  CHECK(v[1] == std::vector<double>{1, 10});
  CHECK(v[2] == std::vector<double>{0, 0, 0});
  CHECK(v[3] == std::vector<double>{12, 180});
}

TEST_CASE("grad: vjp_of takes its values as independent") {
  const Tensor x = input({2}, DType::f64), dy = input({2}, DType::f64);
  const Tensor s = square(x), y = s * x;
  const Tensors d = vjp_of({y}, {dy}, {x, s});
  const auto v = testing::values_of(d, {x, dy}, {{2, 3}, {1, 1}});
  CHECK(v[0] == std::vector<double>{4, 9});  // s alone; not the 2 x^2 through s
  CHECK(v[1] == std::vector<double>{2, 3});
}

TEST_CASE("grad: unused outputs of a node with several") {
  const Tensor x = input({3, 4}, DType::f64), gamma = input({4}, DType::f64),
               dy = input({3, 4}, DType::f64), u = input({4}, DType::f64);
  const Tensors all = layer_norm_grad(x, gamma, dy);
  // dgamma = sum of dy h does not depend on gamma, dbeta only on dy.
  const Tensors d = grad(all[1], {gamma, dy}, u);
  testing::Random random(4);
  std::vector<std::vector<double>> values;
  for (const Tensor& t : {x, gamma, dy, u}) {
    values.emplace_back();
    for (int64_t i = 0; i < t.size(); ++i) values.back().push_back(random.uniform(-1, 1));
  }
  const auto v = testing::values_of({d[0], d[1], all[1]}, {x, gamma, dy, u}, values);
  CHECK(v[0] == std::vector<double>{0, 0, 0, 0});
  double a = 0, b = 0;  // linear in dy: <u, A dy> = <A'u, dy>
  for (size_t i = 0; i < 4; ++i) a += v[2][i] * values[3][i];
  for (size_t i = 0; i < 12; ++i) b += v[1][i] * values[2][i];
  CHECK(a == doctest::Approx(b).epsilon(1e-13));
  CHECK(a != 0);
}

TEST_CASE("grad: an input given twice to a composite") {
  const Tensor x = input({4}, DType::f64), beta = input({4}, DType::f64),
               dy = input({4}, DType::f64);
  const std::vector<std::vector<double>> values = {{1, -2, 0.5, 3}, {0, 0, 0, 0}, {1, 2, -1, 0.5}};
  // As x, gamma and, second time round, through its composition.
  const Tensor y = layer_norm(x, x, x), copy = x * 1.0, again = x * 1.0;
  const Tensor distinct = layer_norm(x, copy, again);
  const auto g = [&](const Tensor& t) { return grad(t, {x}, dy)[0]; };
  for (const bool fuse : {true, false}) {
    Options options;
    options.fuse = fuse;
    const auto v = testing::values_of({g(y), g(distinct), g(g(y)), g(g(distinct))}, {x, beta, dy},
                                      values, options);
    for (size_t i = 0; i < 4; ++i) {
      CHECK(v[0][i] == doctest::Approx(v[1][i]).epsilon(1e-11));
      CHECK(v[2][i] == doctest::Approx(v[3][i]).epsilon(1e-11));
    }
  }
}

TEST_CASE("grad: of grad of grad") {
  const Tensor x = input({1}, DType::f64);
  const Tensor y = square(square(x)) * x;  // x^5
  const Tensor d1 = grad(y, {x})[0], d2 = grad(d1, {x})[0], d3 = grad(d2, {x})[0];
  CHECK(value(d3, {x}, {{2}}) == std::vector<double>{240});
}

TEST_CASE("grad: errors") {
  const Tensor x = input({2}), y = square(x);
  opcheck::expect_error([&] { grad(y, {x}); }, "grad: y is [2]; a y of many elements needs a dy");
  opcheck::expect_error([&] { grad(y, {x}, input({3})); }, "grad: y is [2] f32, dy is [3] f32");
  opcheck::expect_error([&] { grad(y, {x}, input({2}, DType::f64)); }, "dy is [2] f64");
  opcheck::expect_error([&] { grad(Tensor(), {x}); }, "an empty Tensor");
  opcheck::expect_error([&] { grad(y, {Tensor()}, y); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
