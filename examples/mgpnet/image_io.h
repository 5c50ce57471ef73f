// Picture files: PNG and JPEG through libpng and libjpeg-turbo, BMP and TGA through stb.
//
// Files are taken as hostile.  Each codec first walks the file's own structure and checks sizes,
// tables, checksums and completeness (scan_*), and only then lets a library decode pixels, every
// warning being an error.  The format is decided by content, never by extension. Start reading at
// decode_image in image_io.cpp; what the codecs share is image_codec.h.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "mgpnet/image.h"

namespace mgpnet {

enum class Format { png, jpg, bmp, tga };

/// A picture that cannot be used (exit code 3).  what() is "WHAT: WHERE", why() the reason and what
/// to do.
class ImageError : public std::runtime_error {
 public:
  ImageError(const std::string& what, const std::string& where, std::string why)
      : std::runtime_error(what + ": " + where), why_(std::move(why)) {}
  const std::string& why() const { return why_; }

 private:
  std::string why_;
};

/// What a picture will be once decoded: EXIF orientation applied, palette and 1/2/4 bit expanded.
struct ImageHeader {
  int width = 0;
  int height = 0;
  int channels = 0;
  int bits = 8;
  Format format = Format::png;
};

struct EncodeOptions {
  int quality = 95;   ///< JPEG, 1 to 100; from 90 on without chroma subsampling
  int png_level = 6;  ///< zlib, 0 to 9
};

/// Pictures of more pixels than this, each side rounded up to a multiple of 64, are refused unread.
inline constexpr int64_t kMaxPaddedPixels = 100'000'000;

/// Files larger than this are refused unread: no picture within kMaxPaddedPixels needs more.
inline constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

/// The bytes of a regular file.  Folders, pipes, devices, dangling links and files over
/// kMaxFileBytes are refused with a sentence; nothing blocks.
std::vector<uint8_t> read_picture_file(const std::string& path);

/// name is used in messages only ("standard input" for a pipe that the caller has read).
Image decode_image(std::span<const uint8_t> bytes, const std::string& name);
Image read_image(const std::string& path);

/// Everything read_image checks without decoding pixels.
ImageHeader probe_image(std::span<const uint8_t> bytes, const std::string& name);
/// From the file's beginning, up to where its pixels begin: what follows is neither read nor
/// checked.
ImageHeader probe_image(const std::string& path);

/// The file's bytes; write them with satin::write_file.  Throws satin::WriteError when the format
/// cannot hold a picture of this size.
std::vector<uint8_t> encode_image(const Image& image,
                                  Format format,
                                  const EncodeOptions& options = {});

/// What of the image the format cannot hold, as a sentence for the user; empty when it holds
/// everything.
std::string lost_in(const Image& image, Format format);

/// "png", "jpg", "bmp", "tga": also the extension to use.
const char* format_name(Format format);

/// Of an extension or option value ("PNG", ".jpeg"); false when there is no such format.
bool format_from_name(std::string_view text, Format* format);

/// Whether the name ends like a picture that read_image may accept; for listing folders.
bool has_picture_extension(std::string_view name);

}  // namespace mgpnet
