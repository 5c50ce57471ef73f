// Makes, in memory, every picture that must be refused, and builders for the ones that must be
// accepted. The PNG, BMP and TGA builders are written from the formats' specifications and share
// nothing with the codecs under test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mgpnet/image.h"

namespace mgpnet_tests {

using ByteVector = std::vector<uint8_t>;

struct HostilePicture {
  std::string name;
  ByteVector bytes;
  std::string expected;  // a part of the sentence that refuses it
};

std::vector<HostilePicture> hostile_png();
std::vector<HostilePicture> hostile_jpeg();
std::vector<HostilePicture> hostile_bmp();
std::vector<HostilePicture> hostile_tga();
std::vector<HostilePicture> not_pictures();

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

}  // namespace mgpnet_tests
