// The cases of gmlp, and that to_groups and from_groups are each other's inverse.
#include "tensor/gmlp.h"

#include "evaluate.h"
#include "opcheck.h"
#include "oracle.h"

namespace satin {
namespace {

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
