// The structure of a PNG file: its chunks and the stream of pixel data, judged without libpng.
#pragma once

#include <cstdint>
#include <vector>

#include "mgpnet/image_codec.h"

namespace mgpnet {

inline constexpr uint32_t kMaxPngChunkBytes = 0x7fffffff;

enum PngColor { kGray = 0, kRgb = 2, kPalette = 3, kGrayAlpha = 4, kRgbAlpha = 6 };

struct PngLayout {
  uint32_t width = 0, height = 0;
  int depth = 0, color = 0;
  bool interlaced = false;
  Bytes palette, transparency;  // contents of PLTE and tRNS
  std::vector<Bytes> data;      // contents of the IDAT chunks

  int samples() const {
    constexpr int kSamples[7] = {1, 0, 3, 1, 2, 0, 4};
    return kSamples[color];
  }
  int channels() const {
    return (color == kPalette ? 3 : samples()) + (transparency.empty() ? 0 : 1);
  }
  int bits() const { return depth == 16 ? 16 : 8; }
  uint64_t row_bytes(uint64_t pixels) const {
    return (pixels * static_cast<uint64_t>(samples() * depth) + 7) / 8;
  }
};

/// All chunks in order: lengths, checksums, palette, completeness.  `scan` takes what is passed on;
/// it may be null when only the layout is wanted.
PngLayout read_png_chunks(const Source& source, Scan* scan);

/// Inflates the pixel data into a small window: exact length, row filters, checksum, nothing
/// behind.
void check_png_stream(const Source& source, const PngLayout& layout);

}  // namespace mgpnet
