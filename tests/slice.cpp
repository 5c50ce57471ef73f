// The cases of slice and slice_adjoint: a linear pair, one list of parts serves both.
#include "tensor/slice.h"

#include <limits>

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::Index;

struct Part {
  Shape whole, part;
  SliceAttrs attrs;
};

const std::vector<Part>& parts() {
  static const std::vector<Part> list = {
      {{4}, {2}, {.start = {1}, .step = {2}}},
      {{3}, {1}, {.start = {1}}},
      {{7}, {7 - 3}, {.start = {3}}},
      {{8}, {3}, {.start = {0}}},
      {{9}, {5}, {.step = {2}}},
      {{17}, {16}, {.start = {1}}},
      {{64}, {63}, {}},
      {{65}, {22}, {.start = {1}, .step = {3}}},
      {{5}, {0}, {.start = {2}}},
      {{3, 4}, {2, 4}, {.start = {1, 0}}},
      {{3, 4}, {3, 2}, {.start = {0, 1}}},
      {{3, 4}, {1, 2}, {.start = {2, 1}}},
      {{5, 6}, {3, 3}, {.start = {0, 1}, .step = {2, 2}}},
      {{1, 6}, {1, 3}, {.start = {0, 2}}},
      {{4, 5, 6}, {2, 5, 6}, {.start = {1, 0, 0}}},
      {{4, 5, 6}, {1, 2, 6}, {.start = {3, 2, 0}}},
      {{4, 5, 6}, {2, 1, 3}, {.start = {1, 4, 3}}},
      {{2, 3, 4, 5}, {2, 3, 4, 2}, {.start = {0, 0, 0, 3}}},
      {{2, 3, 4, 5}, {2, 2, 2, 5}, {.step = {1, 2, 3, 1}}},
      {{2, 2, 2, 2, 2, 3}, {1, 2, 1, 2, 1, 2}, {.start = {1, 0, 1, 0, 1, 1}}},
      {{33, 31}, {32, 30}, {.start = {1, 1}}},
      {{0, 4}, {0, 2}, {.start = {0, 1}}},
      {{128, 130}, {128, 129}, {.start = {0, 1}}},
      {{16387}, {16385}, {.start = {2}}},
  };
  return list;
}

/// f(offset in the part, offset in the whole).
void for_each_pair(const Part& p, const std::function<void(int64_t, int64_t)>& f) {
  opcheck::for_each_index(p.part, [&](const Index& i) {
    Index at{};
    for (int a = 0; a < p.whole.rank(); ++a) at[a] = p.attrs.start[a] + i[a] * p.attrs.step[a];
    f(opcheck::offset_of(p.part, i), opcheck::offset_of(p.whole, at));
  });
}

OPCHECK(slice) {
  Cases cases;
  for (const Part& p : parts())
    cases.push_back(
        {.in = {{.shape = p.whole, .linear = true}},
         .build = [p](const Tensors& x) { return Tensors{slice(x[0], p.attrs, p.part)}; },
         .oracle =
             [p](const Arrays& x) {
               Array y = opcheck::zeros(p.part);
               for_each_pair(p, [&](int64_t i, int64_t j) { y[i] = x[0][j]; });
               return Arrays{y};
             },
         .f32 = {Bound::ulp, 0},
         .exact = true});
  cases[0].given = {{1, 2, 3, 4}};
  cases[0].expected = {2, 4};
  return cases;
}

OPCHECK(slice_adjoint) {
  Cases cases;
  const auto add = [&](const Part& p) {
    cases.push_back(
        {.in = {{.shape = p.part, .linear = true}},
         .build = [p](const Tensors& x) { return Tensors{slice_adjoint(x[0], p.attrs, p.whole)}; },
         .oracle =
             [p](const Arrays& x) {
               Array y = opcheck::zeros(p.whole);
               for_each_pair(p, [&](int64_t i, int64_t j) { y[j] = x[0][i]; });
               return Arrays{y};
             },
         .f32 = {Bound::ulp, 0},
         .exact = true});
  };
  add({{3}, {1}, {.start = {1}}});
  cases[0].given = {{7}};
  cases[0].expected = {0, 7, 0};
  for (const Part& p : parts()) add(p);
  return cases;
}

TEST_CASE("slice: along one axis, counted from the back") {
  const Tensor x = input({4, 5});
  CHECK(slice(x, 1, -2, 5).shape() == Shape{4, 2});
  CHECK(slice(x, -1, 0, -1).shape() == Shape{4, 4});
  CHECK(slice(x, 0, 1, 100).shape() == Shape{3, 5});
  CHECK(slice(x, 0, 0, 4, 3).shape() == Shape{2, 5});
  CHECK(slice(x, 0, 0, 4, std::numeric_limits<int64_t>::max()).shape() == Shape{1, 5});
  CHECK(slice(x, 0, 2, 2).shape() == Shape{0, 5});
  CHECK(slice(x, 0, 0, 4) == x);
}

TEST_CASE("slice: errors") {
  const Tensor x = input({4});
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  opcheck::expect_error(
      [&] {
        slice(x, {}, {2, 2});
      },
      "slice: [2,2] is no part of [4]: the ranks differ");
  opcheck::expect_error([&] { slice(x, {.step = {0}}, {2}); }, "slice: step 0 along axis 0");
  opcheck::expect_error([&] { slice(x, {.start = {3}}, {2}); },
                        "slice: 2 elements from 3 in steps of 1");
  opcheck::expect_error([&] { slice(x, {.start = {-1}}, {1}); }, "reach outside [4]");
  opcheck::expect_error([&] { slice(x, {.start = {kMost}}, {0}); }, "reach outside [4]");
  opcheck::expect_error([&] { slice(x, {.step = {kMost}}, {2}); }, "reach outside [4]");
  opcheck::expect_error([&] { slice(x, 0, 3, 2); }, "slice: from 3 to 2");
  opcheck::expect_error([&] { slice(x, 0, -5, 2); }, "slice: from -1 to 2");
  opcheck::expect_error([&] { slice(x, 1, 0, 2); }, "slice: axis 1 is not one of the 1 axes");
  opcheck::expect_error([&] { slice_adjoint(x, {}, {3}); }, "slice_adjoint: 4 elements from 0");
  opcheck::expect_error([] { slice(Tensor(), 0, 0, 1); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
