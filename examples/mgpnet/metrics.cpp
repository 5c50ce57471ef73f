// Both measures in double precision, one channel at a time.  SSIM filters the five moments of a row
// band with a separable window, keeping no more than the window's rows.
#include "mgpnet/metrics.h"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace mgpnet {

namespace {

void require_comparable(const Image& a, const Image& b, const char* measure) {
  if (a.width != b.width || a.height != b.height)
    throw std::invalid_argument(std::string(measure) + ": pictures of " + std::to_string(a.width) +
                                " x " + std::to_string(a.height) + " and " +
                                std::to_string(b.width) + " x " + std::to_string(b.height) +
                                " cannot be compared; give both the same size");
  if (a.width < 1 || a.height < 1)
    throw std::invalid_argument(std::string(measure) + ": empty picture");
}

// Channel c (0..2) of a picture as 8-bit values.
std::vector<double> plane(const Image& image, int c) {
  const int channel = image.channels >= 3 ? c : 0;
  const size_t n = static_cast<size_t>(image.width) * image.height;
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) {
    const unsigned v = image.pixels[i * image.channels + channel];
    values[i] = image.bits == 8 ? v : (v * 255u + 32767u) / 65535u;
  }
  return values;
}

std::vector<double> window(int side) {
  constexpr int kWindow = 11;
  constexpr double kSigma = 1.5;
  const int n = side >= kWindow ? kWindow : side - 1 + side % 2, radius = n / 2;
  std::vector<double> weights(n);
  double sum = 0.0;
  for (int i = 0; i < n; ++i)
    sum += weights[i] = std::exp(-(i - radius) * (i - radius) / (2.0 * kSigma * kSigma));
  for (double& w : weights) w /= sum;
  return weights;
}

constexpr int kMoments = 5;  // a, b, aa, bb, ab
using Moments = std::array<double, kMoments>;

// One row filtered along x, valid places only.
std::vector<Moments> filtered_row(const double* a,
                                  const double* b,
                                  const std::vector<double>& weights,
                                  int places) {
  std::vector<Moments> row(places);
  for (int x = 0; x < places; ++x) {
    Moments m{};
    for (size_t k = 0; k < weights.size(); ++k) {
      const double w = weights[k], p = a[x + k], q = b[x + k];
      m[0] += w * p;
      m[1] += w * q;
      m[2] += w * (p * p);
      m[3] += w * (q * q);
      m[4] += w * (p * q);
    }
    row[x] = m;
  }
  return row;
}

double ssim_of_plane(const std::vector<double>& a,
                     const std::vector<double>& b,
                     int width,
                     int height) {
  constexpr double kC1 = (0.01 * 255) * (0.01 * 255), kC2 = (0.03 * 255) * (0.03 * 255);
  const std::vector<double> wx = window(width), wy = window(height);
  const int rows = static_cast<int>(wy.size());
  const int places = width - static_cast<int>(wx.size()) + 1, lines = height - rows + 1;
  std::vector<std::vector<Moments>> band(rows);
  double sum = 0.0;
  for (int y = 0; y < height; ++y) {
    const size_t start = static_cast<size_t>(y) * width;
    band[y % rows] = filtered_row(&a[start], &b[start], wx, places);
    if (y < rows - 1) continue;
    for (int x = 0; x < places; ++x) {
      Moments m{};
      for (int k = 0; k < rows; ++k) {
        const Moments& row = band[(y - rows + 1 + k) % rows][x];
        for (int i = 0; i < kMoments; ++i) m[i] += wy[k] * row[i];
      }
      const double aa = m[0] * m[0], bb = m[1] * m[1], ab = m[0] * m[1];
      sum += (2.0 * ab + kC1) * (2.0 * (m[4] - ab) + kC2) /
             ((aa + bb + kC1) * ((m[2] - aa) + (m[3] - bb) + kC2));
    }
  }
  return sum / (static_cast<double>(places) * lines);
}

}  // namespace

double psnr(const Image& a, const Image& b) {
  require_comparable(a, b, "psnr");
  double square = 0.0;
  for (int c = 0; c < 3; ++c) {
    const std::vector<double> p = plane(a, c), q = plane(b, c);
    for (size_t i = 0; i < p.size(); ++i) square += (p[i] - q[i]) * (p[i] - q[i]);
  }
  if (square == 0.0) return std::numeric_limits<double>::infinity();
  const double mean = square / (3.0 * a.width * a.height);
  return 10.0 * std::log10(255.0 * 255.0 / mean);
}

double ssim(const Image& a, const Image& b) {
  require_comparable(a, b, "ssim");
  double sum = 0.0;
  for (int c = 0; c < 3; ++c) {
    const std::vector<double> p = plane(a, c), q = plane(b, c);
    sum += p == q ? 1.0 : ssim_of_plane(p, q, a.width, a.height);
  }
  return sum / 3.0;
}

}  // namespace mgpnet
