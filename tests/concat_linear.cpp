// The cases of concat_linear: images of equal, smaller and larger size, around the register tiles.
#include "tensor/concat_linear.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Case;
using opcheck::Cases;

Arrays concat_linear_oracle(const Arrays& x, int64_t h, int64_t w) {
  const size_t images = x.size() - 2;
  const Array &weight = x[images], &bias = x[images + 1];
  const int64_t cout = weight.shape[1];
  Array y = opcheck::zeros({x[0].shape[0], h, w, cout});
  opcheck::for_each_index(y.shape, [&](const opcheck::Index& at) {
    double sum = bias[at[3]];
    int64_t row = 0;
    for (size_t i = 0; i < images; ++i) {
      const Shape& s = x[i].shape;
      for (int64_t c = 0; c < s[3]; ++c, ++row)
        sum += x[i][opcheck::offset_of(s, {at[0], at[1] * s[1] / h, at[2] * s[2] / w, c})] *
               weight[row * cout + at[3]];
    }
    y[opcheck::offset_of(y.shape, at)] = sum;
  });
  return {y};
}

OPCHECK(concat_linear) {
  Cases cases;
  const auto add = [&](const std::vector<Shape>& images, int64_t h, int64_t w, int64_t cout) {
    Case c{.exact = true};
    int64_t channels = 0;
    for (const Shape& image : images) {
      c.in.push_back({.shape = image});
      channels += image[3];
    }
    c.in.push_back({.shape = {channels, cout}});
    c.in.push_back({.shape = {cout}, .linear = images.empty()});
    c.build = [=](const Tensors& x) {
      const Tensors first(x.begin(), x.end() - 2);
      return Tensors{concat_linear(first, x[x.size() - 2], x[x.size() - 1], {h, w})};
    };
    c.oracle = [=](const Arrays& x) { return concat_linear_oracle(x, h, w); };
    cases.push_back(std::move(c));
  };
  add({{1, 1, 1, 1}}, 1, 1, 1);
  add({{0, 2, 2, 3}}, 2, 2, 4);
  add({{1, 2, 3, 2}, {1, 2, 3, 5}}, 2, 3, 3);
  // MGPNet's: everything at level 1, at level 2, and what a coder begins with.
  add({{1, 8, 8, 32}, {1, 4, 4, 64}, {1, 2, 2, 128}}, 8, 8, 16);
  add({{2, 8, 8, 32}, {2, 4, 4, 64}, {2, 2, 2, 128}}, 4, 4, 16);
  add({{1, 4, 5, 64}, {1, 4, 5, 16}}, 4, 5, 32);
  add({{1, 2, 3, 128}, {1, 2, 3, 16}}, 2, 3, 64);
  // Only smaller ones, only larger ones, one side alone, factors that are no powers of two.
  add({{1, 2, 1, 3}, {1, 1, 2, 4}}, 4, 4, 5);
  add({{1, 6, 9, 3}}, 2, 3, 7);
  add({{1, 3, 2, 3}, {1, 3, 10, 2}}, 3, 10, 6);
  add({{1, 1, 1, 2}, {1, 6, 4, 2}}, 6, 4, 2);
  add({{2, 2, 2, 0}, {2, 2, 2, 3}}, 2, 2, 2);
  for (const int64_t cout : {1, 7, 8, 15, 16, 17, 31, 33, 65})
    add({{1, 2, 15, 5}, {1, 1, 5, 4}}, 2, 15, cout);
  for (const int64_t width : {5, 6, 7, 13, 14, 29})
    add({{1, 2, width, 9}, {1, 4, width, 3}}, 2, width, 12);
  std::vector<Shape> many(20, Shape{1, 2, 2, 1});
  add(many, 2, 2, 3);
  return cases;
}

TEST_CASE("concat_linear: errors") {
  const auto image = [](const Shape& s) { return input(s); };
  const Tensor w = input({5, 4}), b = input({4});
  opcheck::expect_error([&] { concat_linear({}, w, b, {2, 2}); }, "no images");
  opcheck::expect_error(
      [&] {
        concat_linear({image({1, 3, 2, 5})}, w, b, {2, 2});
      },
      "by whole factors");
  opcheck::expect_error(
      [&] {
        concat_linear({image({1, 1, 4, 5})}, w, b, {2, 2});
      },
      "both sides must grow");
  opcheck::expect_error(
      [&] {
        concat_linear({image({1, 2, 2, 4})}, w, b, {2, 2});
      },
      "4 channels in all");
  opcheck::expect_error(
      [&] {
        concat_linear({image({1, 2, 2, 2}), image({2, 2, 2, 3})}, w, b, {2, 2});
      },
      "differ in their first extent");
  opcheck::expect_error([&] { concat_linear({image({1, 2, 2, 5})}, w, w, {2, 2}); }, "b is");
}

}  // namespace
}  // namespace satin
