// The cases of reshape.
#include "tensor/reshape.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;

OPCHECK(reshape) {
  Cases cases;
  const auto add = [&](const Shape& from, const Shape& to) {
    cases.push_back({.in = {{.shape = from, .linear = true}},
                     .build = [to](const Tensors& x) { return Tensors{reshape(x[0], to)}; },
                     .oracle =
                         [to](const Arrays& x) {
                           return Arrays{{to, x[0].data}};
                         },
                     .f32 = {Bound::ulp, 0},
                     .exact = true});
  };
  add({2, 2}, {4});
  cases[0].given = {{1, 2, 3, 4}};
  cases[0].expected = {1, 2, 3, 4};
  add({}, {1});
  add({0, 3}, {7, 0});
  for (const Shape& shape : opcheck::usual_shapes())
    if (shape.rank() != 1)
      add(shape, {shape.size()});
    else
      add(shape, shape.size() % 3 == 0 ? Shape{3, shape.size() / 3} : Shape{shape.size(), 1});
  return cases;
}

TEST_CASE("reshape: one extent may be worked out") {
  const Tensor x = input({4, 6});
  CHECK(reshape(x, {-1}).shape() == Shape{24});
  CHECK(reshape(x, {2, -1, 3}).shape() == Shape{2, 4, 3});
  CHECK(reshape(input({0, 3}), {-1, 3}).shape() == Shape{0, 3});
  CHECK(reshape(x, {4, 6}) == x);
}

TEST_CASE("reshape: errors") {
  const Tensor x = input({4, 6});
  opcheck::expect_error(
      [&] {
        reshape(x, {5, 5});
      },
      "reshape: [4,6] has 24 elements, [5,5] has 25");
  opcheck::expect_error(
      [&] {
        reshape(x, {-1, 7});
      },
      "reshape: no extent for -1 makes [4,6] fit [1,7]");
  opcheck::expect_error([&] { reshape(x, {-1, -1}); }, "negative extent");
  opcheck::expect_error([&] { reshape(x, {-1, 0}); }, "reshape: no extent for -1");
  opcheck::expect_error([] { reshape(Tensor(), {1}); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
