// The cases of the convolution triple: one list of problems serves all three members.
#include "tensor/conv2d.h"

#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Case;
using opcheck::Cases;

struct Problem {
  Shape x, w;
  Conv2dAttrs attrs = {};
  bool winograd = false;  ///< some path may take Winograd's way, which rounds integers too
};

// Sides and channels around the register tiles: 6, 12, 14 rows, 4, 8, 16 columns.
const std::vector<Problem>& problems() {
  static const std::vector<Problem> list = {
      {{1, 1, 3, 1}, {1, 3, 1, 1}},
      {{1, 1, 1, 1}, {1, 1, 1, 1}},
      {{2, 4, 5, 3}, {1, 1, 3, 4}},
      {{1, 5, 5, 2}, {3, 3, 2, 3}},
      {{2, 5, 4, 2}, {3, 3, 2, 3}, {.pad = 1}},
      {{1, 7, 6, 3}, {3, 3, 3, 5}, {.stride = 2, .pad = 1}},
      {{1, 8, 8, 2}, {2, 2, 2, 3}, {.stride = 2}},
      {{1, 9, 7, 2}, {3, 3, 2, 2}, {.pad = 2, .dilation = 2}},
      {{1, 9, 9, 2}, {3, 2, 2, 2}, {.stride = 3, .pad = 1, .dilation = 2}},
      {{1, 4, 4, 4}, {3, 3, 2, 4}, {.pad = 1, .groups = 2}},
      {{1, 5, 5, 6}, {3, 3, 1, 6}, {.pad = 1, .groups = 6}},
      {{1, 5, 4, 6}, {3, 1, 2, 3}, {.stride = 2, .pad = 1, .groups = 3}},
      {{1, 3, 3, 2}, {5, 5, 2, 3}, {.pad = 2}},
      {{1, 1, 7, 17}, {1, 3, 17, 16}, {.pad = 1}},
      {{1, 1, 12, 16}, {3, 3, 16, 17}, {.pad = 1}},
      {{1, 2, 13, 8}, {3, 3, 8, 16}, {.pad = 1}},
      {{1, 3, 14, 4}, {3, 3, 4, 32}, {.pad = 1}},
      {{1, 2, 15, 5}, {3, 3, 5, 33}, {.pad = 1}},
      {{1, 6, 6, 31}, {3, 3, 31, 7}, {.pad = 1}},
      {{3, 4, 4, 16}, {4, 4, 16, 8}, {.stride = 2, .pad = 1}},
      {{1, 1, 29, 32}, {1, 1, 32, 31}},
      {{1, 10, 3, 3}, {7, 1, 3, 2}, {.pad = 3}},
      {{1, 2, 2, 3}, {3, 3, 3, 2}, {.pad = 4}},
      {{2, 13, 11, 3}, {3, 3, 3, 16}, {.pad = 1}},
      {{0, 4, 4, 2}, {3, 3, 2, 3}, {.pad = 1}},
      {{1, 0, 4, 2}, {3, 3, 2, 3}, {.pad = 2}},
      {{1, 4, 4, 0}, {3, 3, 0, 3}, {.pad = 1}},
      {{1, 4, 4, 2}, {3, 3, 2, 0}, {.pad = 1}},
      // A kernel as large as its stride: several tiles and panels a row.
      {{1, 4, 74, 40}, {2, 2, 40, 32}, {.stride = 2}},
      {{2, 6, 9, 19}, {3, 3, 19, 33}, {.stride = 3}},
      {{1, 4, 64, 32}, {2, 2, 32, 64}, {.stride = 2}},
      // MGPNet's channels and odd ones, sides around multiples of the 4x4 tile.
      {{1, 12, 12, 32}, {3, 3, 32, 32}, {.pad = 1}, true},
      {{2, 13, 11, 32}, {3, 3, 32, 16}, {.pad = 1}, true},
      {{1, 15, 17, 16}, {3, 3, 16, 64}, {.pad = 1}, true},
      {{1, 14, 18, 16}, {3, 3, 16, 16}, {}, true},
      {{1, 9, 16, 64}, {3, 3, 64, 64}, {.pad = 1}, true},
      {{1, 12, 8, 128}, {3, 3, 128, 128}, {.pad = 1}, true},
      {{3, 7, 13, 17}, {3, 3, 17, 33}, {.pad = 2}, true},
      {{1, 12, 13, 40}, {3, 3, 40, 24}, {.pad = 2}, true},
      {{1, 3, 41, 32}, {3, 3, 32, 32}, {.pad = 3}, true},
      // Few outputs: all taps in one product; several tasks of rows and of columns.
      {{1, 6, 7, 9}, {3, 3, 9, 3}, {.pad = 1}},
      {{2, 13, 11, 32}, {3, 3, 32, 3}, {.pad = 1}},
      {{1, 3, 14, 8}, {3, 3, 8, 1}, {.pad = 2}},
      {{1, 6, 29, 16}, {5, 3, 16, 2}, {.pad = 1}},
      {{1, 5, 5, 17}, {3, 3, 17, 4}},
      {{2, 5, 9, 48}, {3, 3, 48, 4}, {.pad = 2}},
      {{1, 6, 5, 16}, {5, 5, 16, 3}},
      {{1, 1, 1, 8}, {3, 3, 8, 3}, {.pad = 3}},
      {{1, 50, 5, 8}, {3, 3, 8, 4}, {.pad = 1}},
      {{1, 2, 530, 8}, {3, 3, 8, 3}, {.pad = 1}},
  };
  return list;
}

Shape output_of(const Problem& p) {
  const auto extent = [&](int64_t n, int64_t k) {
    return (n + 2 * p.attrs.pad - p.attrs.dilation * (k - 1) - 1) / p.attrs.stride + 1;
  };
  return {p.x[0], extent(p.x[1], p.w[0]), extent(p.x[2], p.w[1]), p.w[3]};
}

/// For every term of the loop nest f(element of x, element of w, element of y).
void for_each_term(const Problem& p, const std::function<void(int64_t, int64_t, int64_t)>& f) {
  const Shape y = output_of(p);
  const Conv2dAttrs& a = p.attrs;
  const int64_t per_group = a.groups > 0 ? p.w[3] / a.groups : 1;
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t oh = 0; oh < y[1]; ++oh)
      for (int64_t ow = 0; ow < y[2]; ++ow)
        for (int64_t co = 0; co < y[3]; ++co)
          for (int64_t kh = 0; kh < p.w[0]; ++kh)
            for (int64_t kw = 0; kw < p.w[1]; ++kw)
              for (int64_t ci = 0; ci < p.w[2]; ++ci) {
                const int64_t ih = oh * a.stride + kh * a.dilation - a.pad;
                const int64_t iw = ow * a.stride + kw * a.dilation - a.pad;
                if (ih < 0 || iw < 0 || ih >= p.x[1] || iw >= p.x[2]) continue;
                const int64_t channel = co / per_group * p.w[2] + ci;
                f(opcheck::offset_of(p.x, {n, ih, iw, channel}),
                  opcheck::offset_of(p.w, {kh, kw, ci, co}),
                  opcheck::offset_of(y, {n, oh, ow, co}));
              }
}

OPCHECK(conv2d) {
  Cases cases;
  for (const Problem& p : problems())
    for (const bool biased : {false, true}) {
      Case c{.in = {{.shape = p.x, .linear = !biased}, {.shape = p.w, .linear = !biased}},
             .exact = !p.winograd};
      if (biased) c.in.push_back({.shape = {p.w[3]}});
      c.build = [p](const Tensors& t) {
        return Tensors{conv2d(t[0], t[1], p.attrs, t.size() > 2 ? t[2] : Tensor())};
      };
      c.oracle = [p](const Arrays& a) {
        Array y = opcheck::zeros(output_of(p));
        if (a.size() > 2)
          for (int64_t i = 0; i < y.shape.size(); ++i) y[i] = a[2][i % p.w[3]];
        for_each_term(p, [&](int64_t i, int64_t j, int64_t k) { y[k] += a[0][i] * a[1][j]; });
        return Arrays{y};
      };
      cases.push_back(std::move(c));
    }
  cases[0].given = {{1, 2, 3}, {1, 1, 1}};
  cases[0].expected = {6};
  return cases;
}

OPCHECK(conv2d_input_grad) {
  Cases cases;
  for (const Problem& p : problems())
    for (const bool biased : {false, true}) {
      Case c{.in = {{.shape = output_of(p), .linear = !biased}, {.shape = p.w, .linear = !biased}},
             .exact = !p.winograd};
      if (biased) c.in.push_back({.shape = {p.x[3]}});
      c.build = [p](const Tensors& t) {
        return Tensors{conv2d_input_grad(t[0], t[1], p.attrs, p.x, t.size() > 2 ? t[2] : Tensor())};
      };
      c.oracle = [p](const Arrays& a) {
        Array x = opcheck::zeros(p.x);
        if (a.size() > 2)
          for (int64_t i = 0; i < x.shape.size(); ++i) x[i] = a[2][i % p.x[3]];
        for_each_term(p, [&](int64_t i, int64_t j, int64_t k) { x[i] += a[0][k] * a[1][j]; });
        return Arrays{x};
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

OPCHECK(conv2d_weight_grad) {
  Cases cases;
  for (const Problem& p : problems())
    cases.push_back(
        {.in = {{.shape = p.x, .linear = true}, {.shape = output_of(p), .linear = true}},
         .build =
             [p](const Tensors& t) {
               return Tensors{conv2d_weight_grad(t[0], t[1], p.attrs, p.w)};
             },
         .oracle =
             [p](const Arrays& a) {
               Array w = opcheck::zeros(p.w);
               for_each_term(p,
                             [&](int64_t i, int64_t j, int64_t k) { w[j] += a[0][i] * a[1][k]; });
               return Arrays{w};
             },
         .exact = !p.winograd});
  return cases;
}

TEST_CASE("conv2d: transposed convolution doubles the sides") {
  const Tensor x = input({1, 1, 2, 1}, DType::f64), w = input({2, 2, 1, 1}, DType::f64),
               bias = input({1}, DType::f64);
  const Tensor y = conv_transpose2d(x, w, {.stride = 2}, bias);
  CHECK(y.shape() == Shape{1, 2, 4, 1});
  CHECK(testing::values_of({y}, {x, w, bias}, {{1, 10}, {1, 2, 3, 4}, {100}})[0] ==
        std::vector<double>{101, 102, 110, 120, 103, 104, 130, 140});
}

TEST_CASE("conv2d: errors") {
  const Tensor x = input({1, 8, 8, 3}), w = input({3, 3, 4, 16});
  const auto error = [](const std::function<void()>& call, const std::string& sentence) {
    opcheck::expect_error(call, "conv2d: " + sentence);
  };
  {
    const ModuleScope outer("encoder1.gpb0"), inner("rcab");
    error([&] { conv2d(x, w); },
          "input has 3 channels, the weight expects 4; x is [1,8,8,3], w is [3,3,4,16]");
    opcheck::expect_error([&] { conv2d(x, w); }, "in encoder1.gpb0.rcab: conv2d: input has");
  }
  error([&] { conv2d(input({8, 8, 3}), w); }, "x must be [N,H,W,C]");
  error([&] { conv2d(x, w, {.stride = 0}); }, "stride 0");
  error(
      [&] {
        conv2d(x, input({3, 3, 1, 16}), {.groups = 3});
      },
      "16 output channels do not divide into 3 groups");
  error([&] { conv2d(x, input({9, 9, 3, 1})); }, "the kernel does not fit into the padded input");
  error(
      [&] {
        conv2d(x, input({3, 3, 3, 2}), {}, input({3}));
      },
      "the bias is [3], y has 2 channels");
  error([&] { conv2d(Tensor(), w); }, "an operand is an empty Tensor");
  opcheck::expect_error(
      [&] {
        conv2d_input_grad(x, input({3, 3, 5, 3}), {}, {1, 8, 8, 5});
      },
      "conv2d_input_grad: dy is [1,8,8,3]; the convolution of [1,8,8,5] by [3,3,5,3] gives");
  opcheck::expect_error(
      [&] {
        conv_transpose2d(x, input({2, 2, 5, 3}), {.stride = 2}, input({3}));
      },
      "conv2d_input_grad: the bias is [3], the result has 5 channels");
  opcheck::expect_error(
      [&] {
        conv2d_weight_grad(x, x, {}, {3, 3, 3, 3});
      },
      "conv2d_weight_grad: dy is [1,8,8,3]; the convolution of");
  opcheck::expect_error([&] { conv_transpose2d(x, input({3})); }, "conv_transpose2d takes x");
  opcheck::expect_error([&] { conv_transpose2d(x, w, {.pad = 20}); },
                        "conv_transpose2d: the padding 20 leaves nothing of [1,8,8,3]");
}

}  // namespace
}  // namespace satin
