// The cases of matmul: all transposes, with and without batches on either side, bias and sum_batch,
// around the register tiles and the blocks of K.
#include "tensor/matmul.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Case;
using opcheck::Cases;

Shape matrix(const std::vector<int64_t>& batch, int64_t rows, int64_t columns, bool transposed) {
  std::vector<int64_t> extents = batch;
  extents.insert(extents.end(), {transposed ? columns : rows, transposed ? rows : columns});
  return Shape(extents);
}

struct Problem {
  int64_t m, k, n;
  std::vector<int64_t> batch = {};
  bool batch_a = false, batch_b = false;
  MatmulAttrs attrs = {};
  bool bias = false;
};

Case case_of(const Problem& p) {
  const auto [m, k, n, batch, batch_a, batch_b, attrs, bias] = p;
  const std::vector<int64_t> none;
  Case c{.exact = true};
  c.in = {{.shape = matrix(batch_a ? batch : none, m, k, attrs.transpose_a), .linear = !bias},
          {.shape = matrix(batch_b ? batch : none, k, n, attrs.transpose_b), .linear = !bias}};
  if (bias) c.in.push_back({.shape = {n}});
  c.build = [attrs = attrs](const Tensors& x) {
    return Tensors{matmul(x[0], x[1], attrs, x.size() > 2 ? x[2] : Tensor())};
  };
  c.oracle = [p](const Arrays& x) {
    const bool batched = p.batch_a || p.batch_b;
    const Shape y_shape =
        matrix(batched && !p.attrs.sum_batch ? p.batch : std::vector<int64_t>{}, p.m, p.n, false);
    Array y = opcheck::zeros(y_shape);
    int64_t count = 1;
    for (const int64_t extent : p.batch) count *= batched ? extent : 1;
    if (x.size() > 2)
      for (int64_t i = 0; i < y_shape.size(); ++i) y[i] = x[2][i % p.n];
    for (int64_t g = 0; g < count; ++g)
      for (int64_t i = 0; i < p.m; ++i)
        for (int64_t j = 0; j < p.n; ++j)
          for (int64_t q = 0; q < p.k; ++q)
            y[((p.attrs.sum_batch ? 0 : g) * p.m + i) * p.n + j] +=
                x[0][(p.batch_a ? g * p.m * p.k : 0) +
                     (p.attrs.transpose_a ? q * p.m + i : i * p.k + q)] *
                x[1][(p.batch_b ? g * p.k * p.n : 0) +
                     (p.attrs.transpose_b ? j * p.k + q : q * p.n + j)];
    return Arrays{y};
  };
  return c;
}

OPCHECK(matmul) {
  Cases cases = {case_of({2, 2, 2})};
  cases[0].given = {{1, 2, 3, 4}, {1, 0, 0, 1}};
  cases[0].expected = {1, 2, 3, 4};
  const int64_t sizes[][3] = {{1, 1, 1},   {2, 3, 5},   {6, 8, 16},  {5, 7, 15},  {7, 9, 17},
                              {12, 4, 32}, {13, 5, 33}, {14, 16, 4}, {15, 2, 3},  {1, 64, 1},
                              {1, 3, 65},  {63, 1, 2},  {3, 257, 2}, {31, 33, 29}};
  int i = 0;
  for (const auto& [m, k, n] : sizes) {
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        cases.push_back(case_of({m, k, n, {}, false, false, {ta, tb, false}, (i++ % 3) == 0}));
  }
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const auto& [a, b] : {std::pair{true, true}, {true, false}, {false, true}})
        for (const bool sum : {false, true}) {
          cases.push_back(case_of({3, 4, 5, {2, 3}, a, b, {ta, tb, sum}, !sum && ta}));
          cases.push_back(case_of({7, 2, 17, {5}, a, b, {ta, tb, sum}}));
        }
  // Empty extents: sums over nothing are zero, or the bias.
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{0, 2, 3}, {2, 0, 3}, {2, 3, 0}})
    for (const bool bias : {false, true}) {
      cases.push_back(case_of({m, k, n, {}, false, false, {}, bias}));
      cases.push_back(case_of({m, k, n, {4}, true, true, {}, bias}));
      cases.push_back(case_of({m, k, n, {4}, true, false, {}, bias}));
    }
  for (const auto& [a, b] : {std::pair{true, true}, {true, false}, {false, true}})
    for (const bool sum : {false, true})
      cases.push_back(case_of({2, 3, 4, {0}, a, b, {false, false, sum}}));
  return cases;
}

TEST_CASE("matmul: errors") {
  const auto error = [](const Tensor& a, const Tensor& b, const std::string& sentence,
                        MatmulAttrs attrs = {}, const Tensor& bias = {}) {
    opcheck::expect_error([&] { matmul(a, b, attrs, bias); }, "matmul: " + sentence);
  };
  const Tensor a = input({2, 3}), b = input({4, 5});
  error(a, b, "the inner extents are 3 and 4; a is [2,3], b is [4,5]");
  error(a, b, "the inner extents are 2 and 4; a is [2,3] transposed", {.transpose_a = true});
  error(input({2, 2, 3}), input({3, 3, 4}), "the batches differ: a is [2,2,3], b is [3,3,4]");
  error(input({3}), input({3, 4}), "operands need two axes or more; a is [3], b is [3,4]");
  error(a, input({3, 4}), "the bias is [3], y has 4 columns", {}, input({3}));
  error(a, input({3, 4}), "a bias and sum_batch together", {.sum_batch = true}, input({4}));
  error(Tensor(), a, "an operand is an empty Tensor");
}

}  // namespace
}  // namespace satin
