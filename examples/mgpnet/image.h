// A picture in memory.  Reading and writing files is image_io.h; this header is only the value that
// readers, writers, the generator and the metrics exchange.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mgpnet {

/// height x width pixels of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha) interleaved
/// channels, row by row from the top; values in [0, 2^bits - 1] whatever the file's own depth was.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;
  int bits = 8;                  ///< 8 or 16: the depth that values are scaled to
  std::vector<uint16_t> pixels;  ///< width * height * channels values
  std::vector<uint8_t> icc;      ///< ICC profile, empty when there is none; passed through
  std::vector<uint8_t>
      exif;  ///< EXIF block (TIFF header on), empty when there is none; passed through
  std::vector<uint8_t>
      png_color;  ///< whole PNG chunks that say what the values mean (gAMA, cHRM, sRGB, cICP)

  bool has_alpha() const { return channels == 2 || channels == 4; }
  int max_value() const { return (1 << bits) - 1; }
  const uint16_t* at(int x, int y) const {
    return &pixels[(static_cast<size_t>(y) * width + x) * channels];
  }
  uint16_t* at(int x, int y) { return &pixels[(static_cast<size_t>(y) * width + x) * channels]; }
};

/// The whole number nearest to x >= 0, halves up: the same on every machine, and no library call.
inline int nearest(float x) {
  const float up = x + 0.5f;
  return static_cast<int>(up);
}

}  // namespace mgpnet
