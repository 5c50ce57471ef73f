// The cases of multi_axis_gmlp, all three kinds of branches.
#include "tensor/multi_axis_gmlp.h"

#include <algorithm>
#include <cmath>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "evaluate.h"
#include "opcheck.h"
#include "oracle.h"
#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/reduce.h"
#include "tensor/unary.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Case;
using opcheck::Cases;
using opcheck::In;

/// Shapes of the inputs behind x, in the operation's order.
std::vector<Shape> weight_shapes(int64_t c, int64_t size, Branches branches) {
  std::vector<Shape> shapes = {{c}, {c}, {c, 2 * c}, {2 * c}, {2 * c, c}, {c}};
  const bool both = branches == Branches::grid_and_block;
  const int64_t b = both ? c : 2 * c, s = size * size;
  for (int i = 0; i < (both ? 2 : 1); ++i)
    for (const Shape& shape :
         {Shape{b}, {b}, {b, 2 * b}, {2 * b}, {b}, {b}, {s, s}, {s}, {b, b}, {b}})
      shapes.push_back(shape);
  return shapes;
}

Arrays multi_axis_oracle(const Arrays& x, MultiAxisGmlpAttrs attrs) {
  const int64_t c = x[0].shape[3];
  Array h = oracle::linear(oracle::layer_norm(x[0], x[1], x[2]), x[3], x[4]);
  for (double& value : h.data) value = oracle::gelu(value);
  if (attrs.branches == Branches::grid_and_block) {
    Array u = opcheck::zeros(x[0].shape), v = u;
    const int64_t pixels = x[0].shape.size() / c;
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < c; ++i) {
        u[p * c + i] = h[p * 2 * c + i];
        v[p * c + i] = h[p * 2 * c + c + i];
      }
    u = oracle::gmlp(u, x, 7, true, attrs.size);
    v = oracle::gmlp(v, x, 17, false, attrs.size);
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < c; ++i) {
        h[p * 2 * c + i] = u[p * c + i];
        h[p * 2 * c + c + i] = v[p * c + i];
      }
  } else {
    h = oracle::gmlp(h, x, 7, attrs.branches == Branches::grid, attrs.size);
  }
  Array y = oracle::linear(h, x[5], x[6]);
  for (int64_t i = 0; i < y.shape.size(); ++i) y[i] += x[0][i];
  return {y};
}

/// x: the inputs, then dy.
Arrays multi_axis_grad_oracle(const Arrays& x, MultiAxisGmlpAttrs attrs) {
  const int64_t c = x[0].shape[3];
  const Array& dy = x.back();
  const Array n = oracle::layer_norm(x[0], x[1], x[2]), t = oracle::linear(n, x[3], x[4]);
  Array h = t, z = t;
  for (double& value : h.data) value = oracle::gelu(value);
  const bool both = attrs.branches == Branches::grid_and_block;
  // Channels [from, from + n) of rows of 2c, and back.
  const auto part = [&](const Array& rows, int64_t from) {
    Array some = opcheck::zeros(x[0].shape);
    for (int64_t i = 0; i < some.shape.size(); ++i) some[i] = rows[i / c * 2 * c + from + i % c];
    return some;
  };
  const auto put = [&](Array& rows, int64_t from, const Array& some) {
    for (int64_t i = 0; i < some.shape.size(); ++i) rows[i / c * 2 * c + from + i % c] = some[i];
  };
  if (both) {
    put(z, 0, oracle::gmlp(part(h, 0), x, 7, true, attrs.size));
    put(z, c, oracle::gmlp(part(h, c), x, 17, false, attrs.size));
  } else {
    z = oracle::gmlp(h, x, 7, attrs.branches == Branches::grid, attrs.size);
  }
  const Arrays d_out = oracle::linear_grad(z, x[5], dy);
  Array dt = t;
  Arrays of_branches;
  if (both) {
    for (const int64_t k : {0, 1}) {
      Arrays d = oracle::gmlp_grad(part(h, k * c), x, 7 + 10 * static_cast<size_t>(k), k == 0,
                                   attrs.size, part(d_out[0], k * c));
      put(dt, k * c, d[0]);
      of_branches.insert(of_branches.end(), d.begin() + 1, d.end());
    }
  } else {
    Arrays d = oracle::gmlp_grad(h, x, 7, attrs.branches == Branches::grid, attrs.size, d_out[0]);
    dt = d[0];
    of_branches.assign(d.begin() + 1, d.end());
  }
  for (int64_t i = 0; i < t.shape.size(); ++i) dt[i] *= oracle::gelu_grad(t[i]);
  const Arrays d_in = oracle::linear_grad(n, x[3], dt),
               d_norm = oracle::layer_norm_grad(x[0], x[1], d_in[0]);
  Array dx = dy;
  for (int64_t i = 0; i < dx.shape.size(); ++i) dx[i] += d_norm[0][i];
  Arrays weights = {d_norm[1], d_norm[2], d_in[1], d_in[2], d_out[1], d_out[2]};
  weights.insert(weights.end(), of_branches.begin(), of_branches.end());
  Array flat;
  for (const Array& d : weights) flat.data.insert(flat.data.end(), d.data.begin(), d.data.end());
  flat.shape = {static_cast<int64_t>(flat.data.size())};
  return {dx, flat};
}

/// x and the weights, not yet what is built from them.
Case case_of(const Shape& image, int size, Branches branches) {
  Case c;
  c.in = {{.shape = image}};
  for (const Shape& shape : weight_shapes(image[3], size, branches))
    c.in.push_back({.shape = shape, .low = -1, .high = 1});
  c.step = 2e-4;
  return c;
}

OPCHECK(multi_axis_gmlp_grad) {
  Cases cases;
  const auto add = [&](const Shape& image, int size) {
    for (const Branches branches : {Branches::grid_and_block, Branches::grid, Branches::block}) {
      Case c = case_of(image, size, branches);
      c.in.push_back({.shape = image, .linear = true});
      c.build = [=](const Tensors& x) {
        return multi_axis_gmlp_grad(x[0], multi_axis_gmlp_weights(x, 1, branches), x.back(),
                                    {branches, size});
      };
      c.oracle = [=](const Arrays& x) { return multi_axis_grad_oracle(x, {branches, size}); };
      cases.push_back(std::move(c));
    }
  };
  // Fewer channels make some row's variance so small that f32 loses the derivative.
  add({1, 2, 2, 6}, 2);
  add({1, 4, 4, 5}, 2);
  add({2, 2, 4, 6}, 2);
  add({1, 3, 3, 7}, 3);
  add({1, 1, 2, 5}, 1);
  add({1, 2, 6, 6}, 2);
  add({1, 4, 2, 8}, 2);
  return cases;
}

OPCHECK(multi_axis_gmlp) {
  Cases cases;
  const auto add = [&](const Shape& image, int size) {
    for (const Branches branches : {Branches::grid_and_block, Branches::grid, Branches::block}) {
      Case c = case_of(image, size, branches);
      c.build = [=](const Tensors& x) {
        return Tensors{
            multi_axis_gmlp(x[0], multi_axis_gmlp_weights(x, 1, branches), {branches, size})};
      };
      c.oracle = [=](const Arrays& x) { return multi_axis_oracle(x, {branches, size}); };
      cases.push_back(std::move(c));
    }
  };
  add({1, 2, 2, 3}, 2);
  add({1, 4, 4, 3}, 2);
  add({2, 2, 4, 3}, 2);
  add({1, 3, 3, 4}, 3);
  add({1, 1, 2, 4}, 1);
  add({1, 2, 6, 3}, 2);
  add({1, 4, 2, 5}, 2);
  add({1, 8, 4, 17}, 4);
  add({1, 9, 9, 3}, 9);  // more pixels in a group than run through the products together
  return cases;
}

TEST_CASE("multi_axis_gmlp: one step, and scratch that does not grow with the picture") {
  const auto plan = [](int64_t side, const Backend& backend) {
    const Tensor x = input({1, side, side, 32});
    Tensors all = {x};
    for (const Shape& shape : weight_shapes(32, 16, Branches::grid_and_block))
      all.push_back(parameter(shape, DType::f32, ""));
    return plan_of({multi_axis_gmlp(x, multi_axis_gmlp_weights(all, 1, Branches::grid_and_block),
                                    {Branches::grid_and_block, 16})},
                   backend);
  };
  const int64_t more = 512 * 512 * 32 * 4 - 128 * 128 * 32 * 4;
  for (const Backend* backend : {&cpu::backend(), &cuda::backend()}) {
    const Plan small = plan(128, *backend), large = plan(512, *backend);
    CHECK(large.steps.size() == 1);
    CHECK(large.arena_bytes - small.arena_bytes == 2 * more);  // x and y
  }
}

TEST_CASE("multi_axis_gmlp: NaN in a pixel or a weight reaches what depends on it") {
  const Tensor x = input({1, 4, 4, 3}, DType::f64);
  Tensors all = {x};
  std::vector<std::vector<double>> values;
  for (const Shape& shape : weight_shapes(3, 2, Branches::block))
    all.push_back(input(shape, DType::f64));
  for (const Tensor& t : all) values.emplace_back(static_cast<size_t>(t.size()), 0.5);
  values[0][0] = std::nan("");
  const Tensor y =
      multi_axis_gmlp(x, multi_axis_gmlp_weights(all, 1, Branches::block), {Branches::block, 2});
  const auto at_pixel = testing::values_of({y}, all, values)[0];
  for (const int pixel : {0, 1, 4, 5}) CHECK(std::isnan(at_pixel[static_cast<size_t>(3 * pixel)]));
  CHECK(!std::isnan(at_pixel[3 * 2]));
  for (size_t i = 1; i < all.size(); ++i) {
    values.clear();
    for (const Tensor& t : all) values.emplace_back(static_cast<size_t>(t.size()), 0.5);
    values[i].back() = std::nan("");
    const auto at_weight = testing::values_of({y}, all, values)[0];
    CHECK_MESSAGE(std::isnan(at_weight.back()), "weight ", i);
  }
}

TEST_CASE("multi_axis_gmlp_grad: NaN in x, a weight or dy reaches what depends on it") {
  // C = 3 and groups of 2 x 2: blocks of pixels {0, 1, 4, 5}, ...
  const Tensor x = input({1, 4, 4, 3}, DType::f64), dy = input(x.shape(), DType::f64);
  const std::vector<Shape> weights = weight_shapes(3, 2, Branches::block);
  Tensors all = {x};
  for (const Shape& shape : weights) all.push_back(input(shape, DType::f64));
  all.push_back(dy);
  const Tensors d = multi_axis_gmlp_grad(x, multi_axis_gmlp_weights(all, 1, Branches::block), dy,
                                         {Branches::block, 2});
  // A NaN at one place of one input; which elements of dx, and which of dw, are NaN.
  const auto spread = [&](size_t i, size_t at) {
    std::vector<std::vector<double>> values;
    testing::Random random(5);
    for (const Tensor& t : all) {
      values.emplace_back();
      for (int64_t k = 0; k < t.size(); ++k) values.back().push_back(random.uniform(0.1, 1));
    }
    values[i][at] = std::nan("");
    auto result = testing::values_of(d, all, values);
    for (auto& r : result)
      for (double& v : r) v = std::isnan(v);
    return result;
  };
  const auto some = [](const std::vector<double>& marks, int64_t from, int64_t n) {
    return std::count(marks.begin() + from, marks.begin() + from + n, 1.0);
  };
  for (const size_t pixel : {0, 7}) {
    for (const size_t i : {size_t{0}, all.size() - 1}) {
      CAPTURE(pixel);
      CAPTURE(i);
      const auto nan = spread(i, 3 * pixel);
      // The whole block of dx, and no other; every weight's gradient.
      for (int64_t p = 0; p < 16; ++p) {
        const bool same = p / 8 == static_cast<int64_t>(pixel) / 8 &&
                          p % 4 / 2 == static_cast<int64_t>(pixel) % 4 / 2;
        CHECK((some(nan[0], 3 * p, 3) > 0) == same);
      }
      int64_t first = 0;
      for (size_t w = 0; w < weights.size(); ++w) {
        // The gradients of b2 and bo are sums of dy and of dy W2^T: x is not in them.
        CHECK_MESSAGE(
            (some(nan[1], first, weights[w].size()) > 0) == (i > 0 || (w != 5 && w != 15)),
            "gradient of weight ", w);
        first += weights[w].size();
      }
    }
  }
  for (size_t w = 0; w < weights.size(); ++w) {
    CAPTURE(w);
    const auto nan = spread(w + 1, 0);
    const auto marks = some(nan[0], 0, 48) + some(nan[1], 0, static_cast<int64_t>(nan[1].size()));
    // b2 only shifts the result: nothing in the derivative depends on it.
    CHECK((marks > 0) == (w != 5));
  }
}

TEST_CASE(
    "multi_axis_gmlp: what it keeps for its gradient has the composition's value and derivative") {
  for (const Branches branches : {Branches::grid_and_block, Branches::grid, Branches::block}) {
    Tensors all = {input({2, 4, 6, 3}, DType::f64)};
    for (const Shape& shape : weight_shapes(3, 2, branches))
      all.push_back(input(shape, DType::f64));
    std::vector<std::vector<double>> values;
    testing::Random random(7);
    for (const Tensor& t : all) {
      values.emplace_back();
      for (int64_t k = 0; k < t.size(); ++k) values.back().push_back(random.uniform(-1, 1));
    }
    const Tensor y =
        multi_axis_gmlp(all[0], multi_axis_gmlp_weights(all, 1, branches), {branches, 2});
    const Tensor mixed = mixed_of(y), composed = composition_of(y.node())[1];
    CHECK(mixed.shape() == Shape{branches == Branches::grid_and_block ? 2 : 1, 12, 4,
                                 branches == Branches::grid_and_block ? 3 : 6});
    Tensors outputs = {mixed, composed};
    for (const Tensor& of : {mixed, composed})
      for (const Tensor& d : grad(sum(square(of)) + sum(y), all)) outputs.push_back(d);
    const auto results = testing::values_of(outputs, all, values);
    const auto worst = [&](const std::vector<double>& a, const std::vector<double>& b) {
      double difference = 0, size = 1e-3;
      for (size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(a[i] - b[i]));
        size = std::max(size, std::abs(b[i]));
      }
      return difference / size;
    };
    CHECK(worst(results[0], results[1]) < 1e-12);
    for (size_t i = 0; i < all.size(); ++i)
      CHECK_MESSAGE(worst(results[2 + i], results[2 + all.size() + i]) < 1e-12, "input ", i);
  }
}

TEST_CASE("multi_axis_gmlp: errors") {
  Tensors x = {input({1, 4, 4, 3})};
  for (const Shape& shape : weight_shapes(3, 2, Branches::grid_and_block))
    x.push_back(input(shape));
  const Branches given = Branches::grid_and_block;
  const auto call = [&](const Tensors& t, Branches branches, int size) {
    return [=] { multi_axis_gmlp(t[0], multi_axis_gmlp_weights(t, 1, given), {branches, size}); };
  };
  call(x, Branches::grid_and_block, 2)();
  opcheck::expect_error(
      call(x, Branches::grid_and_block, 3),
      "multi_axis_gmlp: x is [1,4,4,3]: it must be [N,H,W,C], both sides multiples of 3");
  opcheck::expect_error(call(x, Branches::grid, 2), "2 sets of branch weights for 1 branches");
  Tensors wrong = x;
  wrong[3] = input({3, 3});
  opcheck::expect_error(call(wrong, Branches::grid_and_block, 2),
                        "weight w1 must be [3,6] for 3 channels");
  wrong = x;
  wrong[13] = input({1});
  opcheck::expect_error(call(wrong, Branches::grid_and_block, 2), "weight p is [1]");
  opcheck::expect_error(
      [&] {
        multi_axis_gmlp_grad(x[0], multi_axis_gmlp_weights(x, 1, given), x[1], {given, 2});
      },
      "multi_axis_gmlp_grad: dy must have the shape of x, [1,4,4,3]");
  opcheck::expect_error([&] { mixed_of(x[0] + x[0]); }, "add: keeps no P LN(b)");
}

}  // namespace
}  // namespace satin
