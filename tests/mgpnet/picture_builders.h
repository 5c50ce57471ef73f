// Builders of picture files for the tests.  PNG, BMP and TGA are written from the formats'
// specifications and share nothing with the codecs under test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "mgpnet/image.h"

namespace mgpnet_tests {

using ByteVector = std::vector<uint8_t>;

ByteVector text(const std::string& s);
ByteVector joined(std::initializer_list<ByteVector> parts);
void append(ByteVector* out, const ByteVector& more);

/// Seeded values in [0, 2^bits - 1].
mgpnet::Image random_image(int width, int height, int channels, int bits, uint32_t seed);

/// Smooth content, which JPEG keeps closely.
mgpnet::Image smooth_image(int width, int height, int channels);

struct PngSpec {
  int width = 1, height = 1;
  int depth = 8;  // 1, 2, 4, 8, 16
  int color = 2;  // PNG color type
  bool interlaced = false;
  ByteVector palette{};  // contents of PLTE
  ByteVector trns{};     // contents of tRNS
};

ByteVector zlib_stream(const ByteVector& raw);
ByteVector png_chunk(const std::string& type, const ByteVector& data);

/// The raw stream (filter 0) of samples given row by row, samples-per-pixel interleaved.
ByteVector png_rows(const PngSpec& spec, const std::vector<uint16_t>& samples);

/// A whole file; `extra` chunks go before IDAT.
ByteVector make_png(const PngSpec& spec,
                    const std::vector<uint16_t>& samples,
                    const ByteVector& extra = {});

/// A minimal EXIF block holding one orientation tag.
ByteVector make_exif(int orientation, bool big_endian);

/// The JPEG with an APP segment inserted behind its start mark.
ByteVector with_segment(const ByteVector& jpeg, int marker, const ByteVector& data);

ByteVector make_jpeg(int width, int height, int channels, bool progressive = false);

struct BmpSpec {
  int width = 1, height = 1;  // negative height: rows from the top
  int bits = 24, compression = 0, header = 40;
  ByteVector masks{};    // behind a 40-byte header
  ByteVector palette{};  // as it lies in the file
  int gap = 0;           // unused bytes before the pixels
};
ByteVector make_bmp(const BmpSpec& spec, const ByteVector& rows);

struct TgaSpec {
  int width = 1, height = 1, type = 2, bits = 24, descriptor = 0x20;
  int palette_bits = 0;
  ByteVector palette{};
  std::string id{};
};
ByteVector make_tga(const TgaSpec& spec, const ByteVector& data);

/// `count` seeded values of `depth` bits.
std::vector<uint16_t> random_samples(size_t count, int depth, uint32_t seed);

inline const ByteVector kPngSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

ByteVector png_header(uint32_t width,
                      uint32_t height,
                      int depth,
                      int color,
                      int interlace = 0,
                      int compression = 0,
                      int filter = 0);

ByteVector make_cmyk_jpeg(int width, int height);

/// The offset of a segment of a JPEG; its scan is the last one that can be found.
size_t find_marker(const ByteVector& jpeg, int marker);
ByteVector without_segment(ByteVector jpeg, int marker);

}  // namespace mgpnet_tests
