// The cases of concat.
#include "tensor/concat.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Case;
using opcheck::Cases;
using opcheck::Index;

/// Pieces of the given extents along `axis`, joined.
Case joined(const Shape& shape, int axis, const std::vector<int64_t>& extents) {
  Case c{.f32 = {Bound::ulp, 0}, .exact = true};
  for (const int64_t extent : extents)
    c.in.push_back({.shape = shape.with(axis, extent), .linear = extents.size() == 1});
  c.build = [axis](const Tensors& x) { return Tensors{concat(x, axis)}; };
  c.oracle = [axis](const Arrays& x) {
    int64_t total = 0;
    for (const Array& piece : x) total += piece.shape.at(axis);
    Array y = opcheck::zeros(x[0].shape.with(axis, total));
    const int a = axis < 0 ? axis + y.shape.rank() : axis;
    int64_t begin = 0;
    for (const Array& piece : x) {
      opcheck::for_each_index(piece.shape, [&](Index i) {
        const double value = piece[opcheck::offset_of(piece.shape, i)];
        i[a] += begin;
        y[opcheck::offset_of(y.shape, i)] = value;
      });
      begin += piece.shape[a];
    }
    return Arrays{y};
  };
  return c;
}

OPCHECK(concat) {
  Cases cases = {joined({1}, 0, {2, 1})};
  cases[0].given = {{1, 2}, {3}};
  cases[0].expected = {1, 2, 3};
  for (const std::vector<int64_t>& extents :
       {std::vector<int64_t>{1, 1}, {2, 3, 5}, {7, 0, 1}, {0, 0}, {16, 17}, {64, 1, 63}}) {
    cases.push_back(joined({1}, 0, extents));
    cases.push_back(joined({1, 5}, 0, extents));
    cases.push_back(joined({3, 1}, 1, extents));
    cases.push_back(joined({2, 1, 3}, -2, extents));
    cases.push_back(joined({1, 1, 3}, 1, extents));
    cases.push_back(joined({2, 1, 2, 1, 2, 1}, -1, extents));
  }
  cases.push_back(joined({0, 1}, 1, {2, 3}));
  cases.push_back(joined({33, 1}, 1, {513, 3}));
  return cases;
}

TEST_CASE("concat: errors") {
  const Tensor x = input({2, 3});
  opcheck::expect_error([] { concat({}, 0); }, "concat: no pieces to join");
  opcheck::expect_error([&] { concat({x, Tensor()}, 0); }, "concat: a piece is an empty Tensor");
  opcheck::expect_error(
      [&] {
        concat({x, input({2, 4})}, 0);
      },
      "concat: pieces [2,3] and [2,4] differ elsewhere than along axis 0");
  opcheck::expect_error([&] { concat({x, input({2})}, 0); }, "pieces [2,3] and [2] differ");
  opcheck::expect_error([&] { concat({x, x}, 2); }, "concat: axis 2 is not one of the 2 axes");
  opcheck::expect_error([&] { concat({x, input({2, 3}, DType::f64)}, 0); }, "cast one of them");
  CHECK(concat({x}, 0) == x);
}

}  // namespace
}  // namespace satin
