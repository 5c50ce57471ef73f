// The cases of broadcast_to and sum_to: a linear pair, so one list of (small, large) shapes serves
// both.
#include "tensor/broadcast.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Case;
using opcheck::Cases;
using opcheck::Index;

struct Pair {
  Shape small, large;
};

// sum_to sums 32 terms a leaf, 4096 a piece, 64 neighbouring results a strip.
const std::vector<Pair>& pairs() {
  static const std::vector<Pair> list = {
      {{2}, {2, 2}},
      {{}, {1}},
      {{}, {3, 5}},
      {{1}, {7}},
      {{1}, {1, 31}},
      {{3}, {33, 3}},
      {{64}, {32, 64}},
      {{65}, {33, 65}},
      {{63}, {5, 63}},
      {{129}, {2, 129}},
      {{1, 5}, {4, 5}},
      {{4, 1}, {4, 5}},
      {{4, 1}, {4, 129}},
      {{2, 1, 3}, {2, 7, 3}},
      {{1, 3, 1}, {2, 3, 4}},
      {{2, 1, 2, 1, 2, 1}, {2, 3, 2, 2, 2, 3}},
      {{1, 2, 1, 2, 1, 2}, {3, 2, 2, 2, 3, 2}},
      {{5, 1, 1}, {2, 3, 5, 4, 2}},
      {{1}, {4095}},
      {{}, {4096}},
      {{}, {4097}},
      {{2}, {4097, 2}},
      {{2, 1}, {2, 4099}},
      {{1, 67}, {130, 67}},
      {{1, 3}, {8195, 3}},
      {{0}, {3, 0}},
      {{1, 3}, {0, 3}},
      {{}, {0}},
      {{2, 1}, {2, 0}},
  };
  return list;
}

Index small_index(const Shape& small, const Shape& large, const Index& index) {
  Index own{};
  for (int i = 0; i < small.rank(); ++i)
    own[i] = small[i] == 1 ? 0 : index[i + large.rank() - small.rank()];
  return own;
}

OPCHECK(broadcast_to) {
  Cases cases;
  for (const auto& [small, large] : pairs())
    cases.push_back({{{.shape = small, .linear = true}},
                     [to = large](const Tensors& x) { return Tensors{broadcast_to(x[0], to)}; },
                     [to = large](const Arrays& x) {
                       Array y = opcheck::zeros(to);
                       opcheck::for_each_index(to, [&](const Index& i) {
                         y[opcheck::offset_of(to, i)] =
                             x[0][opcheck::offset_of(x[0].shape, small_index(x[0].shape, to, i))];
                       });
                       return Arrays{y};
                     },
                     {Bound::ulp, 0},
                     true});
  cases[0].given = {{1, 2}};
  cases[0].expected = {1, 2, 1, 2};
  return cases;
}

OPCHECK(sum_to) {
  Cases cases;
  for (const auto& [small, large] : pairs())
    cases.push_back({{{.shape = large, .linear = true}},
                     [to = small](const Tensors& x) { return Tensors{sum_to(x[0], to)}; },
                     [to = small](const Arrays& x) {
                       Array y = opcheck::zeros(to);
                       opcheck::for_each_index(x[0].shape, [&](const Index& i) {
                         y[opcheck::offset_of(to, small_index(to, x[0].shape, i))] +=
                             x[0][opcheck::offset_of(x[0].shape, i)];
                       });
                       return Arrays{y};
                     },
                     {Bound::nmse, 1e-11},
                     true});
  cases[0].given = {{1, 2, 3, 4}};
  cases[0].expected = {4, 6};
  return cases;
}

TEST_CASE("broadcast: errors") {
  const Tensor x = input({2, 3});
  opcheck::expect_error(
      [&] {
        broadcast_to(x, {2, 4});
      },
      "broadcast_to: [2,3] does not broadcast to [2,4]");
  opcheck::expect_error([&] { broadcast_to(x, {3}); }, "[2,3] does not broadcast to [3]");
  opcheck::expect_error([&] { sum_to(x, {3, 3}); }, "sum_to: [3,3] does not broadcast to [2,3]");
  opcheck::expect_error([] { broadcast_to(Tensor(), {3}); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
