// What the codecs share; included by them and by image_io.cpp only.
//
// A codec has three parts: scan_X walks the structure and throws on everything that can be known
// without decoding; decode_X turns a scanned file into stored pixels (orientation not yet applied);
// encode_X.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mgpnet/image_io.h"

namespace mgpnet {

using Bytes = std::span<const uint8_t>;

/// What scanning finds: the stored size and shape, and what is passed on.
struct Scan {
  ImageHeader header;  ///< as stored, before orientation
  std::vector<uint8_t> icc;
  std::vector<uint8_t> exif;
  std::vector<uint8_t> png_color;
};

/// The picture being read, for messages: every refusal goes through refuse().
class Source {
 public:
  Source(Bytes bytes, const std::string& name) : Source(bytes, name, bytes.size()) {}
  /// The first bytes of a file of `file_bytes`: scan_X then stops where the pixels begin.
  Source(Bytes bytes, const std::string& name, uint64_t file_bytes)
      : bytes_(bytes), name_(name), file_bytes_(file_bytes) {}
  Bytes bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  uint64_t file_bytes() const { return file_bytes_; }
  bool complete() const { return bytes_.size() == file_bytes_; }

  /// At byte `offset` of the file.
  [[noreturn]] void refuse_at(size_t offset, const std::string& what, const std::string& why) const;
  [[noreturn]] void refuse(const std::string& what, const std::string& why) const;

  /// Sides in 1 .. 2^31-1 and at most kMaxPaddedPixels after padding.
  void check_size(int64_t width, int64_t height) const;

 private:
  Bytes bytes_;
  const std::string& name_;
  uint64_t file_bytes_;
};

inline constexpr char kDamaged[] = "the file is damaged or incomplete; get a new copy of it";

Scan scan_png(const Source& source);
Scan scan_jpeg(const Source& source);
Scan scan_bmp(const Source& source);
Scan scan_tga(const Source& source);

/// Fill image.pixels; image.width, height, channels and bits are already those of the scan.
void decode_png(const Source& source, Image* image);
void decode_jpeg(const Source& source, Image* image);
void decode_bmp(const Source& source, Image* image);
void decode_tga(const Source& source, Image* image);

/// Whether a file without magic number looks like a TGA: every header field has a legal value.
bool looks_like_tga(Bytes bytes);

std::vector<uint8_t> encode_png(const Image& image, const EncodeOptions& options);
std::vector<uint8_t> encode_jpeg(const Image& image, const EncodeOptions& options);
std::vector<uint8_t> encode_bmp(const Image& image);
std::vector<uint8_t> encode_tga(const Image& image);

/// width * height * channels values at 8 bits, rounded to nearest; `channels` as in Image.  Gray is
/// repeated where color is asked for; alpha that has no place is blended onto white.
std::vector<uint8_t> to_bytes(const Image& image, int channels);

/// Moves pixels so that orientation 1 (upright) holds; sides are swapped for 5 to 8.
void apply_orientation(Image* image, int orientation);

inline uint32_t get_u32_be(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}
inline uint32_t get_u32_le(const uint8_t* p) {
  return uint32_t{p[3]} << 24 | uint32_t{p[2]} << 16 | uint32_t{p[1]} << 8 | p[0];
}
inline uint32_t get_u16_be(const uint8_t* p) { return uint32_t{p[0]} << 8 | p[1]; }
inline uint32_t get_u16_le(const uint8_t* p) { return uint32_t{p[1]} << 8 | p[0]; }

}  // namespace mgpnet
