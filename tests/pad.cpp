// The cases of pad and pad_adjoint: a linear pair, one list serves both.
#include "tensor/pad.h"

#include <limits>

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::Index;

struct Padding {
  Shape x;
  PadAttrs attrs;
};

Shape padded(const Padding& p) {
  Shape y = p.x;
  for (int i = 0; i < y.rank(); ++i) y = y.with(i, y[i] + p.attrs.before[i] + p.attrs.after[i]);
  return y;
}

std::vector<Padding> paddings() {
  std::vector<Padding> list = {
      {{3}, {.before = {2}, .after = {3}, .mode = PadMode::reflect}},
  };
  for (const PadMode mode : {PadMode::zero, PadMode::edge, PadMode::reflect}) {
    list.push_back({{1}, {.before = {2}, .after = {1}, .mode = mode}});
    list.push_back({{2}, {.before = {9}, .after = {8}, .mode = mode}});
    list.push_back({{5}, {.before = {0}, .after = {7}, .mode = mode}});
    list.push_back({{16}, {.before = {1}, .after = {0}, .mode = mode}});
    list.push_back({{3, 4}, {.before = {1, 2}, .after = {3, 1}, .mode = mode}});
    list.push_back({{1, 7}, {.before = {2, 0}, .after = {2, 9}, .mode = mode}});
    list.push_back({{2, 3, 4, 2}, {.before = {0, 2, 1, 0}, .after = {0, 1, 5, 0}, .mode = mode}});
    list.push_back({{2, 1, 2, 1, 2, 3},
                    {.before = {1, 0, 1, 0, 0, 1}, .after = {0, 1, 0, 1, 0, 1}, .mode = mode}});
    list.push_back({{2, 0}, {.before = {1, 0}, .mode = mode}});
    list.push_back({{3, 129}, {.after = {60, 130}, .mode = mode}});
    list.push_back({{}, {.mode = mode}});
    list.push_back({{4}, {.mode = mode}});
  }
  list.push_back({{0, 2}, {.before = {2, 1}, .after = {1, 0}}});
  return list;
}

/// Walks from inside the tensor to padded position i, turning at the ends; -1: a zero.
int64_t source(int64_t i, int64_t n, PadMode mode) {
  if (i >= 0 && i < n) return i;
  if (mode == PadMode::zero) return -1;
  if (mode == PadMode::edge) return i < 0 ? 0 : n - 1;
  int64_t at = 0, step = i < 0 ? -1 : 1;
  for (int64_t k = 0; k < (i < 0 ? -i : i); ++k) {
    if (n == 1) break;
    if (at + step < 0 || at + step >= n) step = -step;
    at += step;
  }
  return at;
}

/// f(offset in y, offset in x or -1).
void for_each_pair(const Padding& p, const std::function<void(int64_t, int64_t)>& f) {
  const Shape y = padded(p);
  opcheck::for_each_index(y, [&](const Index& i) {
    Index from{};
    bool inside = true;
    for (int a = 0; a < y.rank(); ++a) {
      from[a] = source(i[a] - p.attrs.before[a], p.x[a], p.attrs.mode);
      inside = inside && from[a] >= 0;
    }
    f(opcheck::offset_of(y, i), inside ? opcheck::offset_of(p.x, from) : -1);
  });
}

OPCHECK(pad) {
  Cases cases;
  for (const Padding& p : paddings())
    cases.push_back({.in = {{.shape = p.x, .linear = true}},
                     .build = [p](const Tensors& x) { return Tensors{pad(x[0], p.attrs)}; },
                     .oracle =
                         [p](const Arrays& x) {
                           Array y = opcheck::zeros(padded(p));
                           for_each_pair(p, [&](int64_t i, int64_t j) {
                             if (j >= 0) y[i] = x[0][j];
                           });
                           return Arrays{y};
                         },
                     .f32 = {Bound::ulp, 0},
                     .exact = true});
  cases[0].given = {{1, 2, 3}};
  cases[0].expected = {3, 2, 1, 2, 3, 2, 1, 2};
  return cases;
}

OPCHECK(pad_adjoint) {
  Cases cases;
  const auto add = [&](const Padding& p) {
    cases.push_back(
        {.in = {{.shape = padded(p), .linear = true}},
         .build = [p](const Tensors& y) { return Tensors{pad_adjoint(y[0], p.attrs, p.x)}; },
         .oracle =
             [p](const Arrays& y) {
               Array x = opcheck::zeros(p.x);
               for_each_pair(p, [&](int64_t i, int64_t j) {
                 if (j >= 0) x[j] += y[0][i];
               });
               return Arrays{x};
             },
         .exact = true});
  };
  add({{2}, {.after = {1}, .mode = PadMode::edge}});
  cases[0].given = {{1, 1, 1}};
  cases[0].expected = {1, 2};
  for (const Padding& p : paddings()) add(p);
  return cases;
}

TEST_CASE("pad: errors") {
  const Tensor x = input({2, 3});
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  opcheck::expect_error([&] { pad(x, {.before = {-1}}); },
                        "pad: negative amounts (-1, 0) along axis 0");
  opcheck::expect_error([] { pad(input({0}), {.after = {1}, .mode = PadMode::reflect}); },
                        "pad: axis 0 of [0] is empty: there is nothing to repeat");
  opcheck::expect_error([&] { pad(x, {.before = {kMost}, .after = {kMost}}); }, "pad: ");
  opcheck::expect_error(
      [&] {
        pad_adjoint(x, {.before = {1}}, {2, 3});
      },
      "pad_adjoint: y is [2,3]; padding [2,3] gives [3,3]");
  opcheck::expect_error([] { pad(Tensor(), {}); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
