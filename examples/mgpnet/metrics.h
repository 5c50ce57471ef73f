// PSNR and SSIM by the protocol of the published tables: 8-bit values, no border cropped from the
// pictures, all of R, G and B.
#pragma once

#include "mgpnet/image.h"

namespace mgpnet {

/// 10 log10(255^2 / mean squared error over all RGB values); +infinity for identical pictures.
///
/// Both functions compare colors: alpha is ignored, gray counts as R = G = B, 16-bit values are
/// rounded to 8 bits first.
/// errors: std::invalid_argument if the sizes differ or a picture is empty
double psnr(const Image& a, const Image& b);

/// Mean structural similarity: 11 x 11 Gaussian window of sigma 1.5, only windows that lie inside
/// the picture, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2, population variances, per channel, then
/// the mean of the three.  Equals scikit-image's structural_similarity(gaussian_weights=True,
/// sigma=1.5, use_sample_covariance=False, data_range=255).
///
/// A side shorter than 11 pixels has no such window: there the window is cut to the largest odd
/// length that fits and its weights sum to 1 again, so every picture has a value (scikit-image
/// refuses these).  Identical pictures give exactly 1.
/// errors: std::invalid_argument if the sizes differ or a picture is empty
double ssim(const Image& a, const Image& b);

/// Of one picture, or means over several.
struct Scores {
  double psnr = 0, ssim = 0;
};

}  // namespace mgpnet
