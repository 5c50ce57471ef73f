// The cases of rcab.
#include "tensor/rcab.h"

#include <cmath>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
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

/// The cotangents of x, w and b of conv3x3.
Arrays conv3x3_grad(const Array& x, const Array& w, const Array& d) {
  const int64_t height = x.shape[1], width = x.shape[2], c = x.shape[3];
  Arrays grads = {opcheck::zeros(x.shape), opcheck::zeros(w.shape), opcheck::zeros({c})};
  for (int64_t i = 0; i < d.shape.size(); ++i) {
    const int64_t co = i % c, col = i / c % width, row = i / c / width % height;
    grads[2][co] += d[i];
    for (int64_t tap = 0; tap < 9; ++tap) {
      const int64_t p = tap / 3 - 1, q = tap % 3 - 1;
      if (row + p < 0 || row + p >= height || col + q < 0 || col + q >= width) continue;
      for (int64_t ci = 0; ci < c; ++ci) {
        const int64_t from = i - co + (p * width + q) * c + ci, weight = (tap * c + ci) * c + co;
        grads[0][from] += d[i] * w[weight];
        grads[1][weight] += d[i] * x[from];
      }
    }
  }
  return grads;
}

/// The cotangents of x, gamma and beta of layer_norm.
Arrays norm_grad(const Array& x, const Array& gamma, const Array& d) {
  const int64_t c = gamma.shape[0];
  Arrays grads = {opcheck::zeros(x.shape), opcheck::zeros({c}), opcheck::zeros({c})};
  for (int64_t row = 0; row < x.shape.size(); row += c) {
    const auto mean = [&](auto f) {
      double sum = 0;
      for (int64_t i = 0; i < c; ++i) sum += f(i);
      return sum / static_cast<double>(c);
    };
    const double m = mean([&](int64_t i) { return x[row + i]; });
    const double r =
        1 / std::sqrt(mean([&](int64_t i) { return std::pow(x[row + i] - m, 2); }) + 1e-5);
    const auto h = [&](int64_t i) { return (x[row + i] - m) * r; };
    const auto g = [&](int64_t i) { return gamma[i] * d[row + i]; };
    const double mean_g = mean(g), mean_gh = mean([&](int64_t i) { return g(i) * h(i); });
    for (int64_t i = 0; i < c; ++i) {
      grads[0][row + i] = r * (g(i) - mean_g - h(i) * mean_gh);
      grads[1][i] += d[row + i] * h(i);
      grads[2][i] += d[row + i];
    }
  }
  return grads;
}

/// y; with dy behind the weights dx and the flat cotangents of the weights.
Arrays rcab_oracle(const Arrays& x, double slope) {
  const Array n = oracle::layer_norm(x[0], x[1], x[2]), q = conv3x3(n, x[3], x[4]);
  Array h = q;
  for (double& value : h.data) value = value > 0 ? value : slope * value;
  const Array z = conv3x3(h, x[5], x[6]);
  const int64_t c = z.shape[3], pixels = z.shape[1] * z.shape[2], images = z.shape[0];
  Array pooled = opcheck::zeros({images, c});
  const auto of_image = [&](int64_t i) { return i / c / pixels * c + i % c; };
  for (int64_t i = 0; i < z.shape.size(); ++i)
    pooled[of_image(i)] += z[i] / static_cast<double>(pixels);
  const Array u = oracle::linear(pooled, x[7], x[8]);
  Array k = u;
  for (double& value : k.data) value = value > 0 ? value : 0;
  Array attention = oracle::linear(k, x[9], x[10]);
  for (double& value : attention.data) value = oracle::sigmoid(value);
  if (x.size() == 11) {
    Array y = x[0];
    for (int64_t i = 0; i < z.shape.size(); ++i) y[i] += z[i] * attention[of_image(i)];
    return {y};
  }

  const Array& dy = x[11];
  const int64_t r = x[8].shape[0];
  Array dv = opcheck::zeros({images, c}), dk1 = opcheck::zeros({c, r}), dkb1 = opcheck::zeros({r}),
        dk2 = opcheck::zeros({r, c}), dkb2 = opcheck::zeros({c}), dz = dy;
  for (int64_t i = 0; i < z.shape.size(); ++i) {
    const double a = attention[of_image(i)];
    dv[of_image(i)] += z[i] * dy[i] * a * (1 - a);
    dz[i] = dy[i] * a;
  }
  for (int64_t image = 0; image < images; ++image)
    for (int64_t j = 0; j < r; ++j) {
      double du = 0;
      for (int64_t i = 0; i < c; ++i) {
        if (j == 0) dkb2[i] += dv[image * c + i];
        dk2[j * c + i] += k[image * r + j] * dv[image * c + i];
        if (u[image * r + j] > 0) du += x[9][j * c + i] * dv[image * c + i];
      }
      dkb1[j] += du;
      for (int64_t i = 0; i < c; ++i) {
        dk1[i * r + j] += pooled[image * c + i] * du;
        for (int64_t pixel = 0; pixel < pixels; ++pixel)
          dz[(image * pixels + pixel) * c + i] +=
              x[7][i * r + j] * du / static_cast<double>(pixels);
      }
    }
  const Arrays second = conv3x3_grad(h, x[5], dz);
  Array dq = second[0];
  for (int64_t i = 0; i < dq.shape.size(); ++i) dq[i] *= q[i] > 0 ? 1 : slope;
  const Arrays first = conv3x3_grad(n, x[3], dq), norm = norm_grad(x[0], x[1], first[0]);
  Array dx = dy, flat;
  for (int64_t i = 0; i < dx.shape.size(); ++i) dx[i] += norm[0][i];
  for (const Array& d :
       {norm[1], norm[2], first[1], first[2], second[1], second[2], dk1, dkb1, dk2, dkb2})
    flat.data.insert(flat.data.end(), d.data.begin(), d.data.end());
  flat.shape = {static_cast<int64_t>(flat.data.size())};
  return {dx, flat};
}

/// An image of rcab; dy is the last input of its gradient.
Case case_of(const Shape& image, int64_t r, double slope, bool of_gradient) {
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
  if (of_gradient) {
    c.in.push_back({.shape = image, .linear = true});
    c.build = [=](const Tensors& x) { return rcab_grad(x[0], rcab_weights(x, 1), x[11], {slope}); };
  } else {
    c.build = [=](const Tensors& x) { return Tensors{rcab(x[0], rcab_weights(x, 1), {slope})}; };
  }
  c.oracle = [=](const Arrays& x) { return rcab_oracle(x, slope); };
  return c;
}

OPCHECK(rcab) {
  Cases cases;
  const Shape images[] = {{1, 1, 1, 2}, {1, 3, 3, 2}, {2, 2, 3, 3}, {1, 4, 4, 1}, {1, 5, 2, 4},
                          {2, 4, 3, 2}, {1, 2, 2, 5}, {1, 1, 6, 3}, {3, 2, 2, 2}, {1, 4, 5, 3}};
  for (const Shape& image : images) {
    cases.push_back(case_of(image, 1, 0.2, false));
    cases.push_back(case_of(image, 3, 0.01, false));
  }
  // Whole and broken tiles, several strips, whole and broken vectors.
  for (const Shape& image : {Shape{1, 8, 8, 16}, {2, 17, 9, 8}, {1, 37, 6, 5}, {1, 4, 18, 17}})
    cases.push_back(case_of(image, 4, 0.2, false));
  return cases;
}

OPCHECK(rcab_grad) {
  Cases cases;
  // Fewer channels make some row's variance so small that f32 loses the derivative.
  const Shape images[] = {{1, 1, 1, 5}, {1, 3, 3, 6}, {2, 2, 3, 5}, {1, 5, 2, 7}, {2, 4, 3, 5},
                          {1, 1, 6, 6}, {3, 2, 2, 5}, {1, 4, 5, 6}, {1, 7, 3, 5}};
  for (const Shape& image : images) {
    cases.push_back(case_of(image, 1, 0.2, true));
    cases.push_back(case_of(image, 3, 0.01, true));
  }
  for (const Shape& image : {Shape{1, 8, 8, 16}, {2, 17, 9, 8}, {1, 37, 6, 5}, {1, 4, 18, 17}})
    cases.push_back(case_of(image, 4, 0.2, true));
  cases.push_back(case_of({1, 3, 4, 5}, 2, -0.3, true));
  cases.push_back(case_of({1, 3, 4, 5}, 2, 0, true));
  return cases;
}

Tensors leaves_of(const Shape& image) {
  Tensors x = {input(image)};
  for (const Shape& shape : weight_shapes(image[3], image[3] / 4)) x.push_back(input(shape));
  return x;
}

TEST_CASE("rcab: the fused kernels give what their compositions give, at MGPNet's channels") {
  for (const Shape& image : {Shape{1, 70, 40, 32}, {2, 18, 33, 64}, {1, 21, 24, 128}})
    for (const cpu::Isa isa : cpu::available_isas())
      for (const bool of_gradient : {false, true}) {
        CAPTURE(image[3]);
        CAPTURE(cpu::name_of(isa));
        CAPTURE(of_gradient);
        testing::Random random(7);
        Tensors x = leaves_of(image), y;
        if (of_gradient) {
          x.push_back(input(image));
          y = rcab_grad(x[0], rcab_weights(x, 1), x[11]);
        } else {
          y = {rcab(x[0], rcab_weights(x, 1))};
        }
        std::vector<testing::Bytes> bytes;
        for (const Tensor& t : x) {
          std::vector<double> values(static_cast<size_t>(t.size()));
          // Attention of 1 has no derivative but rounding errors.
          const double size = t.rank() == 4 && t.shape()[0] == 3 ? 0.1
                              : t.rank() == 2 && of_gradient     ? 0.2
                                                                 : 1;
          for (double& v : values) v = random.uniform(-size, size);
          bytes.push_back(testing::encode(values, DType::f32));
        }
        const auto run = [&](bool fuse) {
          return testing::run_program(y, x, bytes, cpu::backend(isa), {}, {.fuse = fuse});
        };
        const auto fused = run(true), composed = run(false);
        for (size_t k = 0; k < y.size(); ++k) {
          CAPTURE(k);
          const auto a = testing::decode(fused[k], DType::f32),
                     b = testing::decode(composed[k], DType::f32);
          double error = 0, squares = 0;
          for (size_t i = 0; i < a.size(); ++i) {
            error += std::pow(a[i] - b[i], 2);  // a NaN stays
            squares += std::pow(b[i], 2);
          }
          CHECK(a != b);  // another way indeed
          CHECK(error <= 1e-11 * squares);
        }
      }
}

TEST_CASE("rcab: nothing picture-sized is left inside") {
  const Tensors x = leaves_of({1, 1024, 1024, 32});
  const Tensor y = rcab(x[0], rcab_weights(x, 1));
  const Plan plan = plan_of({y}, cpu::backend());
  CHECK(plan.steps.size() == 1);
  CHECK(plan.arena_bytes < x[0].bytes() * 9 / 4);  // x, y and a quarter
  CHECK(plan_of({y}, cpu::backend(), {.fuse = false}).arena_bytes > 3 * x[0].bytes());
}

TEST_CASE("rcab: its gradient keeps one picture inside") {
  const Tensors x = leaves_of({1, 1024, 1024, 32});
  const Tensor dy = input(x[0].shape());
  const Plan plan = plan_of(rcab_grad(x[0], rcab_weights(x, 1), dy), cpu::backend());
  CHECK(plan.steps.size() == 1);
  CHECK(plan.arena_bytes < x[0].bytes() * 17 / 4);  // x, dy, dx, h and a quarter
}

TEST_CASE("rcab: on a GPU one picture lies inside, forward and back") {
  const Tensors x = leaves_of({2, 256, 512, 32});
  const Tensor dy = input(x[0].shape());
  const Backend& backend = cuda::backend();
  const Plan forward = plan_of({rcab(x[0], rcab_weights(x, 1))}, backend);
  CHECK(forward.steps.size() == 1);
  CHECK(forward.arena_bytes < x[0].bytes() * 13 / 4);  // x, y, h and a quarter
  const Plan back = plan_of(rcab_grad(x[0], rcab_weights(x, 1), dy), backend);
  CHECK(back.steps.size() == 1);
  CHECK(back.arena_bytes < x[0].bytes() * 18 / 4);  // x, dy, dx, q and a half
}

TEST_CASE("rcab: errors") {
  Tensors x = {input({1, 4, 4, 3})};
  for (const Shape& shape : weight_shapes(3, 2)) x.push_back(input(shape));
  rcab(x[0], rcab_weights(x, 1));
  opcheck::expect_error(
      [&] {
        rcab(input({4, 4, 3}), rcab_weights(x, 1));
      },
      "rcab: x must be an image [N,H,W,C]");
  opcheck::expect_error([&] { rcab(Tensor(), rcab_weights(x, 1)); }, "rcab: x must be an image");
  x[5] = input({3, 3, 3, 4});
  opcheck::expect_error([&] { rcab(x[0], rcab_weights(x, 1)); },
                        "rcab: weight w2 must be [3,3,3,3] for 3 channels");
  opcheck::expect_error([&] { rcab_grad(x[0], rcab_weights(x, 1), x[0]); },
                        "rcab_grad: weight w2 must be [3,3,3,3] for 3 channels");
  x[5] = x[3];
  opcheck::expect_error([&] { rcab_grad(x[0], rcab_weights(x, 1), x[1]); },
                        "rcab_grad: dy must have the shape of x, [1,4,4,3]");
}

}  // namespace
}  // namespace satin
