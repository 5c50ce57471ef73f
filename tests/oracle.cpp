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
  // Pixels of one group: a window of size x size, or one place in each of size x size cells.
  const auto group_of = [&](int64_t row, int64_t column) {
    return grid ? std::pair{row % (height / size), column % (width / size)}
                : std::pair{row / size, column / size};
  };
  const auto place_of = [&](int64_t row, int64_t column) {
    return grid ? row / (height / size) * size + column / (width / size)
                : row % size * size + column % size;
  };
  Array gate = a;
  for (int64_t n = 0; n < image.shape[0]; ++n)
    for (int64_t row = 0; row < height; ++row)
      for (int64_t column = 0; column < width; ++column)
        for (int64_t i = 0; i < c; ++i) {
          const int64_t place = place_of(row, column);
          double sum = 1 + pb[place];
          for (int64_t r = 0; r < height; ++r)
            for (int64_t q = 0; q < width; ++q)
              if (group_of(r, q) == group_of(row, column))
                sum += p[place * size * size + place_of(r, q)] *
                       b[((n * height + r) * width + q) * c + i];
          gate[((n * height + row) * width + column) * c + i] *= sum;
        }
  Array y = linear(gate, x[first + 8], x[first + 9]);
  for (int64_t i = 0; i < y.shape.size(); ++i) y[i] += image[i];
  return y;
}

}  // namespace satin::oracle
