// The cases of rcab.
#include "tensor/rcab.h"

#include <cmath>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "opcheck.h"
#include "oracle.h"
#include "tensor/program.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Case;
using opcheck::Cases;

std::vector<Shape> weight_shapes(int64_t c, int64_t r) {
  return {{c}, {c}, {3, 3, c, c}, {c}, {3, 3, c, c}, {c}, {c, r}, {r}, {r, c}, {c}};
}

RcabWeights weights_of(const Tensors& x) {
  return {x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10]};
}

Array conv3x3(const Array& x, const Array& w, const Array& b) {
  const int64_t height = x.shape[1], width = x.shape[2], c = x.shape[3];
  Array y = opcheck::zeros(x.shape);
  for (int64_t n = 0; n < x.shape[0]; ++n)
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < width; ++j)
        for (int64_t co = 0; co < c; ++co) {
          double sum = b[co];
          for (int64_t p = -1; p <= 1; ++p)
            for (int64_t q = -1; q <= 1; ++q)
              if (i + p >= 0 && i + p < height && j + q >= 0 && j + q < width)
                for (int64_t ci = 0; ci < c; ++ci)
                  sum += x[((n * height + i + p) * width + j + q) * c + ci] *
                         w[(((p + 1) * 3 + q + 1) * c + ci) * c + co];
          y[((n * height + i) * width + j) * c + co] = sum;
        }
  return y;
}

Arrays rcab_oracle(const Arrays& x, double slope) {
  Array h = conv3x3(oracle::layer_norm(x[0], x[1], x[2]), x[3], x[4]);
  for (double& value : h.data) value = value > 0 ? value : slope * value;
  const Array z = conv3x3(h, x[5], x[6]);
  const int64_t c = z.shape[3], pixels = z.shape[1] * z.shape[2];
  Array pooled = opcheck::zeros({z.shape[0], c});
  for (int64_t n = 0; n < z.shape[0]; ++n)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < c; ++i)
        pooled[n * c + i] += z[(n * pixels + p) * c + i] / static_cast<double>(pixels);
  Array k = oracle::linear(pooled, x[7], x[8]);
  for (double& value : k.data) value = value > 0 ? value : 0;
  const Array attention = oracle::linear(k, x[9], x[10]);
  Array y = x[0];
  for (int64_t n = 0; n < z.shape[0]; ++n)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t i = 0; i < c; ++i)
        y[(n * pixels + p) * c + i] +=
            z[(n * pixels + p) * c + i] * oracle::sigmoid(attention[n * c + i]);
  return {y};
}

OPCHECK(rcab) {
  Cases cases;
  const auto add = [&](const Shape& image, int64_t r, double slope) {
    Case c;
    c.in = {{.shape = image}};
    for (const Shape& shape : weight_shapes(image[3], r))
      c.in.push_back({.shape = shape, .low = -0.3, .high = 0.3});
    // Biases that keep both rectifiers away from their kinks: some on, some off.
    const auto lattice = [](opcheck::In& in, double size) {
      in.low = -size;
      in.high = size;
      in.step = 2 * size;
      in.offset = size;
    };
    for (const size_t gain : {1, 2}) c.in[gain].low = -0.2, c.in[gain].high = 0.2;
    for (const size_t kernel : {3, 7}) c.in[kernel].low = -0.05, c.in[kernel].high = 0.05;
    lattice(c.in[4], 2);
    lattice(c.in[8], 4);
    c.step = 2e-4;
    c.build = [=](const Tensors& x) { return Tensors{rcab(x[0], weights_of(x), {slope})}; };
    c.oracle = [=](const Arrays& x) { return rcab_oracle(x, slope); };
    cases.push_back(std::move(c));
  };
  const Shape images[] = {{1, 1, 1, 2}, {1, 3, 3, 2}, {2, 2, 3, 3}, {1, 4, 4, 1}, {1, 5, 2, 4},
                          {2, 4, 3, 2}, {1, 2, 2, 5}, {1, 1, 6, 3}, {3, 2, 2, 2}, {1, 4, 5, 3}};
  for (const Shape& image : images) {
    add(image, 1, 0.2);
    add(image, 3, 0.01);
  }
  // Whole and broken tiles, several strips, whole and broken vectors.
  for (const Shape& image : {Shape{1, 8, 8, 16}, {2, 17, 9, 8}, {1, 37, 6, 5}, {1, 4, 18, 17}})
    add(image, 4, 0.2);
  return cases;
}

Tensors leaves_of(const Shape& image) {
  Tensors x = {input(image)};
  for (const Shape& shape : weight_shapes(image[3], image[3] / 4)) x.push_back(input(shape));
  return x;
}

TEST_CASE("rcab: the fused kernel gives what its composition gives, at MGPNet's channels") {
  for (const Shape& image : {Shape{1, 70, 40, 32}, {2, 18, 33, 64}, {1, 21, 24, 128}})
    for (const cpu::Isa isa : cpu::available_isas()) {
      CAPTURE(image[3]);
      CAPTURE(cpu::name_of(isa));
      testing::Random random(7);
      const Tensors x = leaves_of(image);
      const Tensor y = rcab(x[0], weights_of(x));
      std::vector<testing::Bytes> bytes;
      for (const Tensor& t : x) {
        std::vector<double> values(static_cast<size_t>(t.size()));
        const double size = t.rank() == 4 && t.shape()[0] == 3 ? 0.1 : 1;
        for (double& v : values) v = random.uniform(-size, size);
        bytes.push_back(testing::encode(values, DType::f32));
      }
      const auto run = [&](bool fuse) {
        return testing::decode(
            testing::run_program({y}, x, bytes, cpu::backend(isa), {}, {.fuse = fuse})[0],
            DType::f32);
      };
      const std::vector<double> fused = run(true), composed = run(false);
      double error = 0, squares = 0;
      for (size_t i = 0; i < fused.size(); ++i) {
        error += std::pow(fused[i] - composed[i], 2);  // a NaN stays
        squares += std::pow(composed[i], 2);
      }
      CHECK(fused != composed);  // another way indeed
      CHECK(error <= 1e-11 * squares);
    }
}

TEST_CASE("rcab: nothing picture-sized is left inside") {
  const Tensors x = leaves_of({1, 1024, 1024, 32});
  const Tensor y = rcab(x[0], weights_of(x));
  const Plan plan = plan_of({y}, cpu::backend());
  CHECK(plan.steps.size() == 1);
  CHECK(plan.arena_bytes < x[0].bytes() * 9 / 4);  // x, y and a quarter
  CHECK(plan_of({y}, cpu::backend(), {.fuse = false}).arena_bytes > 3 * x[0].bytes());
}

TEST_CASE("rcab: errors") {
  Tensors x = {input({1, 4, 4, 3})};
  for (const Shape& shape : weight_shapes(3, 2)) x.push_back(input(shape));
  rcab(x[0], weights_of(x));
  opcheck::expect_error(
      [&] {
        rcab(input({4, 4, 3}), weights_of(x));
      },
      "rcab: x must be an image [N,H,W,C]");
  opcheck::expect_error([&] { rcab(Tensor(), weights_of(x)); }, "rcab: x must be an image");
  x[5] = input({3, 3, 3, 4});
  opcheck::expect_error([&] { rcab(x[0], weights_of(x)); },
                        "rcab: weight w2 must be [3,3,3,3] for 3 channels");
}

}  // namespace
}  // namespace satin
