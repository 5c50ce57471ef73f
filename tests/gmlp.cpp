// The cases of gmlp and of its gradient, that neither needs memory that grows with the picture, and
// that to_groups and from_groups are each other's inverse.
#include "tensor/gmlp.h"

#include <cmath>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "evaluate.h"
#include "opcheck.h"
#include "oracle.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Case;
using opcheck::Cases;
using opcheck::In;

std::vector<In> weights(int64_t c, int64_t size) {
  const int64_t s = size * size;
  std::vector<In> in;
  for (const Shape& shape :
       {Shape{c}, {c}, {c, 2 * c}, {2 * c}, {c}, {c}, {s, s}, {s}, {c, c}, {c}})
    in.push_back({.shape = shape, .low = -1, .high = 1});
  return in;
}

OPCHECK(gmlp) {
  Cases cases;
  const auto add = [&](const Shape& image, int size) {
    for (const GroupAxis axis : {GroupAxis::block, GroupAxis::grid}) {
      Case c;
      c.in = weights(image[3], size);
      c.in.insert(c.in.begin(), In{.shape = image});
      c.step = 2e-4;
      c.build = [=](const Tensors& x) {
        return Tensors{gmlp(x[0], gmlp_weights(x, 1), {axis, size})};
      };
      c.oracle = [=](const Arrays& x) {
        return Arrays{oracle::gmlp(x[0], x, 1, axis == GroupAxis::grid, size)};
      };
      cases.push_back(std::move(c));
    }
  };
  add({1, 2, 2, 3}, 2);
  add({1, 4, 4, 2}, 2);
  add({2, 2, 4, 3}, 2);
  add({1, 6, 4, 4}, 2);
  add({1, 3, 3, 5}, 3);
  add({1, 3, 6, 2}, 3);
  add({2, 1, 3, 4}, 1);
  add({1, 4, 4, 7}, 4);
  add({1, 4, 8, 2}, 4);
  add({3, 2, 2, 8}, 2);
  add({1, 2, 6, 9}, 2);
  add({1, 8, 2, 3}, 2);
  return cases;
}

OPCHECK(gmlp_grad) {
  Cases cases;
  const auto add = [&](const Shape& image, int size) {
    for (const GroupAxis axis : {GroupAxis::block, GroupAxis::grid}) {
      Case c;
      c.in = weights(image[3], size);
      c.in.insert(c.in.begin(), In{.shape = image});
      c.in.push_back({.shape = image, .linear = true});
      c.step = 2e-4;
      c.build = [=](const Tensors& x) {
        return gmlp_grad(x[0], gmlp_weights(x, 1), x.back(), {axis, size});
      };
      c.oracle = [=](const Arrays& x) {
        const Arrays d = oracle::gmlp_grad(x[0], x, 1, axis == GroupAxis::grid, size, x.back());
        Array flat;
        for (size_t i = 1; i < d.size(); ++i)
          flat.data.insert(flat.data.end(), d[i].data.begin(), d[i].data.end());
        flat.shape = {static_cast<int64_t>(flat.data.size())};
        return Arrays{d[0], flat};
      };
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
  add({2, 3, 3, 9}, 3);
  add({1, 4, 4, 17}, 4);
  add({1, 8, 4, 6}, 4);
  return cases;
}

TEST_CASE("gmlp: one step each way, and scratch that does not grow with the picture") {
  const auto plan = [](int64_t side, bool back) {
    Tensors all = {input({1, side, side, 32})};
    for (const In& in : weights(32, 16)) all.push_back(parameter(in.shape, DType::f32, ""));
    const GmlpWeights w = gmlp_weights(all, 1);
    const GmlpAttrs attrs{GroupAxis::grid, 16};
    return plan_of(
        back ? gmlp_grad(all[0], w, input(all[0].shape()), attrs) : Tensors{gmlp(all[0], w, attrs)},
        cpu::backend());
  };
  const int64_t more =
      (512 * 512 - 256 * 256) * 32 * 4;  // both have as many pieces as there can be
  for (const bool back : {false, true}) {
    const Plan small = plan(256, back), large = plan(512, back);
    // x and y; on the way back x, dy, dx and P LN(b), which a step before has left.
    CHECK(large.steps.size() == (back ? 2 : 1));
    CHECK(large.arena_bytes - small.arena_bytes == (back ? 4 : 2) * more);
  }
}

TEST_CASE("gmlp: value and derivative are those of the composition, on every path") {
  const std::pair<Shape, int> shapes[] = {
      {{1, 16, 32, 32}, 16}, {{1, 8, 16, 128}, 8}, {{2, 8, 12, 19}, 4}};
  for (const auto& [image, size] : shapes)
    for (const GroupAxis axis : {GroupAxis::block, GroupAxis::grid})
      for (const cpu::Isa isa : cpu::available_isas())
        for (const DType t : {DType::f32, DType::f64}) {
          CAPTURE(image[3]);
          CAPTURE(static_cast<int>(axis));
          CAPTURE(cpu::name_of(isa));
          CAPTURE(t);
          testing::Random random(7);
          Tensors x = {input(image, t)};
          for (const In& in : weights(image[3], size)) x.push_back(input(in.shape, t));
          Tensors y = {gmlp(x[0], gmlp_weights(x, 1), {axis, size})};
          const Tensor dy = input(image, t);
          for (const Tensor& d : vjp_of(y, {dy}, x)) y.push_back(d);
          x.push_back(dy);
          std::vector<testing::Bytes> bytes;
          for (const Tensor& leaf : x) {
            std::vector<double> values(static_cast<size_t>(leaf.size()));
            const double most = leaf.rank() == 2 ? 0.3 : 1;
            for (double& v : values) v = random.uniform(-most, most);
            bytes.push_back(testing::encode(values, t));
          }
          const auto run = [&](bool fuse) {
            return testing::run_program(y, x, bytes, cpu::backend(isa), {}, {.fuse = fuse});
          };
          const auto fused = run(true), composed = run(false);
          for (size_t k = 0; k < y.size(); ++k) {
            CAPTURE(k);
            const auto a = testing::decode(fused[k], t), b = testing::decode(composed[k], t);
            double error = 0, squares = 0;
            for (size_t i = 0; i < a.size(); ++i) {
              error += std::pow(a[i] - b[i], 2);  // a NaN stays
              squares += std::pow(b[i], 2);
            }
            CHECK(error <= (t == DType::f32 ? 1e-11 : 1e-24) * squares);
          }
        }
}

TEST_CASE("gmlp: groups are a rearrangement, and back") {
  const Tensor x = input({2, 4, 6, 3}, DType::f64);
  std::vector<double> values;
  for (int64_t i = 0; i < x.size(); ++i) values.push_back(static_cast<double>(i));
  for (const GroupAxis axis : {GroupAxis::block, GroupAxis::grid}) {
    const GmlpAttrs attrs{axis, 2};
    const Tensor groups = to_groups(x, attrs);
    CHECK(groups.shape() == Shape{12, 4, 3});
    const auto v =
        testing::values_of({from_groups(groups, x.shape(), attrs), groups}, {x}, {values});
    CHECK(v[0] == values);
    // The second pixel of the first group: a neighbor, or as far as a cell is wide.
    CHECK(v[1][3] == (axis == GroupAxis::block ? 3 : 9));
  }
}

TEST_CASE("gmlp: errors") {
  const Tensor x = input({1, 4, 4, 3});
  Tensors w;
  for (const In& in : weights(3, 2)) w.push_back(input(in.shape));
  opcheck::expect_error(
      [&] {
        gmlp(input({4, 4, 3}), gmlp_weights(w, 0), {});
      },
      "gmlp: x must be an image [N,H,W,C]");
  opcheck::expect_error(
      [&] {
        gmlp(x, gmlp_weights(w, 0), {GroupAxis::grid, 3});
      },
      "gmlp: x is [1,4,4,3]: both sides must be multiples of 3");
  w[2] = input({3, 5});
  opcheck::expect_error(
      [&] {
        gmlp(x, gmlp_weights(w, 0), {GroupAxis::grid, 2});
      },
      "gmlp: weight wi is [3,5], 3 channels in groups of 4 pixels need [3,6]");
  w[2] = {};
  opcheck::expect_error([&] { gmlp(x, gmlp_weights(w, 0), {GroupAxis::grid, 2}); }, "weight wi");
}

}  // namespace
}  // namespace satin
