// The cases of permute.
#include "tensor/permute.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::Index;

OPCHECK(permute) {
  Cases cases;
  const auto add = [&](const Shape& shape, const std::vector<int>& order) {
    cases.push_back({.in = {{.shape = shape, .linear = true}},
                     .build = [order](const Tensors& x) { return Tensors{permute(x[0], order)}; },
                     .oracle =
                         [order](const Arrays& x) {
                           std::vector<int64_t> extents;
                           for (const int axis : order) extents.push_back(x[0].shape[axis]);
                           Array y = opcheck::zeros(Shape(extents));
                           opcheck::for_each_index(x[0].shape, [&](const Index& i) {
                             Index turned{};
                             for (size_t a = 0; a < order.size(); ++a) turned[a] = i[order[a]];
                             y[opcheck::offset_of(y.shape, turned)] =
                                 x[0][opcheck::offset_of(x[0].shape, i)];
                           });
                           return Arrays{y};
                         },
                     .f32 = {Bound::ulp, 0},
                     .exact = true});
  };
  add({2, 3}, {1, 0});
  cases[0].given = {{1, 2, 3, 4, 5, 6}};
  cases[0].expected = {1, 4, 2, 5, 3, 6};
  add({}, {});
  add({5}, {0});
  for (const Shape& s :
       {Shape{1, 7}, {4, 4}, {7, 8}, {8, 9}, {16, 15}, {17, 16}, {31, 33}, {64, 65}, {0, 3}})
    add(s, {1, 0});
  for (const std::vector<int>& order :
       {std::vector<int>{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    add({3, 4, 5}, order);
    add({1, 17, 2}, order);
  }
  add({2, 3, 4, 5}, {0, 2, 1, 3});
  add({2, 2, 3, 2, 3, 4}, {0, 1, 3, 2, 4, 5});
  add({2, 2, 3, 2, 3, 4}, {0, 2, 4, 1, 3, 5});
  add({2, 2, 3, 2, 3, 4}, {5, 4, 3, 2, 1, 0});
  add({130, 129}, {1, 0});
  return cases;
}

TEST_CASE("permute: errors") {
  const Tensor x = input({2, 3});
  opcheck::expect_error([&] { permute(x, {0}); }, "permute: the order names 1 axes, x is [2,3]");
  opcheck::expect_error(
      [&] {
        permute(x, {0, 0});
      },
      "permute: axis 0 is out of range or named twice");
  opcheck::expect_error([&] { permute(x, {0, 2}); }, "permute: axis 2 is out of range");
  opcheck::expect_error([&] { permute(x, {-1, 0}); }, "permute: axis -1 is out of range");
  opcheck::expect_error([] { permute(Tensor(), {}); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
