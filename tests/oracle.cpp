#include "oracle.h"

#include <cmath>

namespace satin::oracle {

Array layer_norm(const Array& x, const Array& gamma, const Array& beta) {
  Array y = x;
  const int64_t c = x.shape.at(-1);
  for (int64_t row = 0; row < x.shape.size() / c; ++row) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < c; ++i) mean += x[row * c + i] / static_cast<double>(c);
    for (int64_t i = 0; i < c; ++i)
      variance += std::pow(x[row * c + i] - mean, 2) / static_cast<double>(c);
    for (int64_t i = 0; i < c; ++i)
      y[row * c + i] = gamma[i] * (x[row * c + i] - mean) / std::sqrt(variance + 1e-5) + beta[i];
  }
  return y;
}

Array linear(const Array& x, const Array& w, const Array& b) {
  const int64_t k = w.shape[0], n = w.shape[1];
  Array y = opcheck::zeros(x.shape.with(-1, n));
  for (int64_t row = 0; row < x.shape.size() / k; ++row)
    for (int64_t j = 0; j < n; ++j) {
      double sum = b[j];
      for (int64_t i = 0; i < k; ++i) sum += x[row * k + i] * w[i * n + j];
      y[row * n + j] = sum;
    }
  return y;
}

double gelu(double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

namespace {

/// Pixels of one group: a window of size x size, or one place in each of size x size cells.
struct Pixels {
  Pixels(const Shape& image, bool is_grid, int64_t s)
      : grid(is_grid), size(s), down(image[1] / s), across(image[2] / s) {}
  bool grid;
  int64_t size, down, across;

  int64_t group(int64_t row, int64_t column) const {
    return grid ? row % down * across + column % across : row / size * across + column / size;
  }
  int64_t place(int64_t row, int64_t column) const {
    return grid ? row / down * size + column / across : row % size * size + column % size;
  }
};

}  // namespace

Array gmlp(const Array& image, const Arrays& x, size_t first, bool grid, int64_t size) {
  const Array &p = x[first + 6], &pb = x[first + 7];
  const int64_t c = image.shape[3], height = image.shape[1], width = image.shape[2];
  Array h = linear(layer_norm(image, x[first], x[first + 1]), x[first + 2], x[first + 3]);
  for (double& value : h.data) value = gelu(value);
  Array a = opcheck::zeros(image.shape), b = a;
  for (int64_t pixel = 0; pixel < image.shape.size() / c; ++pixel)
    for (int64_t i = 0; i < c; ++i) {
      a[pixel * c + i] = h[pixel * 2 * c + i];
      b[pixel * c + i] = h[pixel * 2 * c + c + i];
    }
  b = layer_norm(b, x[first + 4], x[first + 5]);
  const Pixels pixels(image.shape, grid, size);
  Array gate = a;
  for (int64_t n = 0; n < image.shape[0]; ++n)
    for (int64_t row = 0; row < height; ++row)
      for (int64_t column = 0; column < width; ++column)
        for (int64_t i = 0; i < c; ++i) {
          const int64_t place = pixels.place(row, column);
          double sum = 1 + pb[place];
          for (int64_t r = 0; r < height; ++r)
            for (int64_t q = 0; q < width; ++q)
              if (pixels.group(r, q) == pixels.group(row, column))
                sum += p[place * size * size + pixels.place(r, q)] *
                       b[((n * height + r) * width + q) * c + i];
          gate[((n * height + row) * width + column) * c + i] *= sum;
        }
  Array y = linear(gate, x[first + 8], x[first + 9]);
  for (int64_t i = 0; i < y.shape.size(); ++i) y[i] += image[i];
  return y;
}

Arrays layer_norm_grad(const Array& x, const Array& gamma, const Array& dy) {
  const int64_t c = x.shape.at(-1);
  const double n = static_cast<double>(c);
  Array dx = x, dgamma = opcheck::zeros({c}), dbeta = dgamma;
  for (int64_t row = 0; row < x.shape.size() / c; ++row) {
    double mean = 0, variance = 0, g_mean = 0, gh_mean = 0;
    for (int64_t i = 0; i < c; ++i) mean += x[row * c + i] / n;
    for (int64_t i = 0; i < c; ++i) variance += std::pow(x[row * c + i] - mean, 2) / n;
    const double rstd = 1 / std::sqrt(variance + 1e-5);
    for (int64_t i = 0; i < c; ++i) {
      const double h = (x[row * c + i] - mean) * rstd, d = dy[row * c + i];
      g_mean += gamma[i] * d / n;
      gh_mean += gamma[i] * d * h / n;
      dgamma[i] += d * h;
      dbeta[i] += d;
    }
    for (int64_t i = 0; i < c; ++i) {
      const double h = (x[row * c + i] - mean) * rstd;
      dx[row * c + i] = rstd * (gamma[i] * dy[row * c + i] - g_mean - h * gh_mean);
    }
  }
  return {dx, dgamma, dbeta};
}

Arrays linear_grad(const Array& x, const Array& w, const Array& dy) {
  const int64_t k = w.shape[0], n = w.shape[1];
  Array dx = opcheck::zeros(x.shape), dw = opcheck::zeros(w.shape), db = opcheck::zeros({n});
  for (int64_t row = 0; row < x.shape.size() / k; ++row)
    for (int64_t j = 0; j < n; ++j) {
      db[j] += dy[row * n + j];
      for (int64_t i = 0; i < k; ++i) {
        dx[row * k + i] += w[i * n + j] * dy[row * n + j];
        dw[i * n + j] += x[row * k + i] * dy[row * n + j];
      }
    }
  return {dx, dw, db};
}

double gelu_grad(double x) {
  return 0.5 * std::erfc(-x * std::sqrt(0.5)) +
         x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::acos(-1.0));
}

Arrays gmlp_grad(
    const Array& image, const Arrays& x, size_t first, bool grid, int64_t size, const Array& dy) {
  const Array &p = x[first + 6], &pb = x[first + 7], &wi = x[first + 2], &wo = x[first + 8];
  const int64_t c = image.shape[3], height = image.shape[1], width = image.shape[2],
                s = size * size;
  const Array n = layer_norm(image, x[first], x[first + 1]), t = linear(n, wi, x[first + 3]);
  Array a = opcheck::zeros(image.shape), b = a, mixed = a;
  const auto of_t = [&](int64_t i, int64_t half) { return i / c * 2 * c + half * c + i % c; };
  for (int64_t i = 0; i < a.shape.size(); ++i)
    a[i] = gelu(t[of_t(i, 0)]), b[i] = gelu(t[of_t(i, 1)]);
  const Array normed = layer_norm(b, x[first + 4], x[first + 5]);
  const Pixels pixels(image.shape, grid, size);
  // f(place, pixel, other place, other pixel) for every pair of pixels of one group.
  const auto pairs = [&](auto f) {
    for (int64_t i = 0; i < image.shape[0] * height * width; ++i)
      for (int64_t j = 0; j < height * width; ++j) {
        const int64_t row = i / width % height, column = i % width, r = j / width, q = j % width;
        if (pixels.group(row, column) == pixels.group(r, q))
          f(pixels.place(row, column), i, pixels.place(r, q),
            i / (height * width) * height * width + j);
      }
  };
  pairs([&](int64_t at, int64_t pixel, int64_t other_at, int64_t other) {
    for (int64_t i = 0; i < c; ++i)
      mixed[pixel * c + i] +=
          p[at * s + other_at] * normed[other * c + i] + (at == other_at ? 1 + pb[at] : 0);
  });
  Array gate = a;
  for (int64_t i = 0; i < a.shape.size(); ++i) gate[i] *= mixed[i];
  const Arrays d_out = linear_grad(gate, wo, dy);
  Array da = a, dm = a, dnormed = opcheck::zeros(a.shape), dp = opcheck::zeros(p.shape),
        dpb = opcheck::zeros(pb.shape);
  for (int64_t i = 0; i < a.shape.size(); ++i) {
    da[i] = d_out[0][i] * mixed[i];
    dm[i] = d_out[0][i] * a[i];
  }
  pairs([&](int64_t at, int64_t pixel, int64_t other_at, int64_t other) {
    for (int64_t i = 0; i < c; ++i) {
      dp[at * s + other_at] += dm[pixel * c + i] * normed[other * c + i];
      dnormed[other * c + i] += p[at * s + other_at] * dm[pixel * c + i];
      if (at == other_at) dpb[at] += dm[pixel * c + i];
    }
  });
  const Arrays d_gate_norm = layer_norm_grad(b, x[first + 4], dnormed);
  Array dt = t;
  for (int64_t i = 0; i < a.shape.size(); ++i) {
    dt[of_t(i, 0)] = da[i] * gelu_grad(t[of_t(i, 0)]);
    dt[of_t(i, 1)] = d_gate_norm[0][i] * gelu_grad(t[of_t(i, 1)]);
  }
  const Arrays d_in = linear_grad(n, wi, dt), d_norm = layer_norm_grad(image, x[first], d_in[0]);
  Array dx = dy;
  for (int64_t i = 0; i < dx.shape.size(); ++i) dx[i] += d_norm[0][i];
  return {dx, d_norm[1], d_norm[2], d_in[1], d_in[2], d_gate_norm[1], d_gate_norm[2],
          dp, dpb,       d_out[1],  d_out[2]};
}

}  // namespace satin::oracle
