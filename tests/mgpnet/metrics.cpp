// PSNR and SSIM against scikit-image 0.26 on pictures made by formulas, so that anybody can repeat
// the comparison: peak_signal_noise_ratio and structural_similarity(gaussian_weights=True,
// sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2), whose mean is over the
// valid region.
#include "mgpnet/metrics.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <doctest/doctest.h>

namespace {

using mgpnet::Image;
using mgpnet::psnr;
using mgpnet::ssim;

template <typename Formula>
Image picture(int w, int h, Formula formula, int channels = 3, int bits = 8) {
  Image image;
  image.width = w;
  image.height = h;
  image.channels = channels;
  image.bits = bits;
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint16_t>(formula(x, y, c)));
  return image;
}

int busy(int x, int y, int c) { return (x * 7 + y * 13 + c * 31 + (x * y) % 17 * 5) % 256; }
int busy_noisy(int x, int y, int c) {
  return std::clamp(busy(x, y, c) + (x * 5 + y * 3 + c * 11) % 47 - 23, 0, 255);
}
int ramp(int x, int y, int c) { return 128 + ((x * 3 - y * 2 + c * 5) % 64 + 64) % 64; }
int ramp_noisy(int x, int y, int c) {
  return std::clamp(ramp(x, y, c) + (x * x + y * 3) % 9 - 4, 0, 255);
}

}  // namespace

TEST_CASE("metrics: the numbers of scikit-image") {
  struct Row {
    int w, h;
    int (*a)(int, int, int);
    int (*b)(int, int, int);
    double psnr, ssim;
  };
  const Row rows[] = {
      {32, 24, busy, busy_noisy, 25.699475360298, 0.958051079859},
      {32, 24, ramp, ramp_noisy, 40.107343012746, 0.965461025962},
      {11, 11, busy, busy_noisy, 25.782619892513, 0.918825738111},
      {11, 11, ramp, ramp_noisy, 40.043282735118, 0.973405636131},
      {40, 13, busy, busy_noisy, 25.707492122708, 0.961109469667},
      {40, 13, ramp, ramp_noisy, 39.944231286743, 0.962831607921},
  };
  for (const Row& row : rows) {
    CAPTURE(row.w);
    CAPTURE(row.psnr);
    const Image a = picture(row.w, row.h, row.a), b = picture(row.w, row.h, row.b);
    CHECK(std::fabs(psnr(a, b) - row.psnr) < 1e-11);
    CHECK(std::fabs(ssim(a, b) - row.ssim) < 1e-11);
    CHECK(psnr(b, a) == psnr(a, b));
  }
}

TEST_CASE("metrics: sides under 11 pixels use the largest odd window that fits") {
  // scikit-image refuses these; the numbers come from numpy.convolve with the cut window.
  const auto value = [](int w, int h) {
    return ssim(picture(w, h, busy), picture(w, h, busy_noisy));
  };
  CHECK(std::fabs(value(8, 9) - 0.924592227939) < 1e-11);
  CHECK(std::fabs(value(5, 20) - 0.963874483114) < 1e-11);
  CHECK(std::fabs(value(1, 1) - 0.963825068481) < 1e-11);
}

TEST_CASE("metrics: identical pictures") {
  for (int side : {1, 10, 11, 30}) {
    const Image a = picture(side, side, busy);
    CHECK(psnr(a, a) == INFINITY);
    CHECK(ssim(a, a) == 1.0);
  }
}

TEST_CASE("metrics: a difference of one grey level everywhere, black against white") {
  const auto level = [](int v) { return picture(16, 16, [v](int, int, int) { return v; }); };
  CHECK(psnr(level(100), level(101)) == doctest::Approx(48.130803608679));
  CHECK(psnr(level(0), level(255)) == doctest::Approx(0.0));
  CHECK(ssim(level(0), level(255)) == doctest::Approx(6.5025 / (255.0 * 255.0 + 6.5025)));
}

TEST_CASE("metrics: alpha is ignored, gray is three equal channels, 16 bits are rounded to 8") {
  const Image a = picture(20, 20, busy), b = picture(20, 20, busy_noisy);
  const auto with_alpha = [](auto formula) {
    return picture(
        20, 20, [=](int x, int y, int c) { return c < 3 ? formula(x, y, c) : (x * y) % 256; }, 4);
  };
  CHECK(psnr(with_alpha(busy), with_alpha(busy_noisy)) == psnr(a, b));
  CHECK(ssim(with_alpha(busy), b) == ssim(a, b));

  const auto gray = [](int x, int y, int) { return busy(x, y, 0); };
  const auto gray_noisy = [](int x, int y, int) { return busy_noisy(x, y, 0); };
  CHECK(ssim(picture(20, 20, gray, 1), picture(20, 20, gray_noisy)) ==
        ssim(picture(20, 20, gray), picture(20, 20, gray_noisy)));

  const auto deep = [](int x, int y, int c) {
    return busy(x, y, c) * 257 + (x + y) % 200 - (busy(x, y, c) ? 100 : 0);
  };
  CHECK(psnr(picture(
                 20, 20, [&](int x, int y, int c) { return std::clamp(deep(x, y, c), 0, 65535); },
                 3, 16),
             a) > 90.0);
}

TEST_CASE("metrics: sizes that differ are refused") {
  const Image a = picture(12, 12, busy), b = picture(12, 13, busy);
  CHECK_THROWS_AS(psnr(a, b), std::invalid_argument);
  CHECK_THROWS_WITH_AS(
      ssim(a, b),
      "ssim: pictures of 12 x 12 and 12 x 13 cannot be compared; give both the same size",
      std::invalid_argument);
  CHECK_THROWS_AS(psnr(Image{}, Image{}), std::invalid_argument);
}
