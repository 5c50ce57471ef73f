// From a path to bytes, from bytes to a format, from a format to its codec; orientation on the way.
#include "mgpnet/image_io.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string>

#include "mgpnet/exif.h"
#include "mgpnet/image_codec.h"
#include "nn/atomic_file.h"
#include "nn/byte_reader.h"
#include "nn/checked.h"
#include "nn/text.h"

namespace mgpnet {
namespace {

bool starts_with(Bytes bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() &&
         std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

// Formats and files that people do hand to a picture program, so that the refusal can name them.
const char* foreign_format(Bytes b) {
  if (starts_with(b, "GIF87a") || starts_with(b, "GIF89a")) return "GIF";
  if (starts_with(b, "8BPS")) return "PSD";
  if (starts_with(b, "\x53\x80\xf6\x34")) return "PIC";
  if (starts_with(b, "#?RADIANCE") || starts_with(b, "#?RGBE")) return "HDR";
  if (b.size() >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7' && std::isspace(b[2]))
    return "PNM";
  if (starts_with(b, "RIFF") && starts_with(b, "WEBP", 8)) return "WebP";
  if (starts_with(b, std::string_view("II*\0", 4)) || starts_with(b, std::string_view("MM\0*", 4)))
    return "TIFF";
  if (starts_with(b, "ftyp", 4)) return "HEIF/AVIF";
  if (starts_with(b, "\xff\x0a") || starts_with(b, "JXL ", 4)) return "JPEG XL";
  if (starts_with(b, "jP  ", 4) || starts_with(b, "\xff\x4f\xff\x51")) return "JPEG 2000";
  if (starts_with(b, "v/1\x01")) return "OpenEXR";
  return nullptr;
}

const char* other_content(Bytes b) {
  if (starts_with(b, "PK\x03\x04")) return "a ZIP archive";
  if (starts_with(b, "GGUF")) return "a GGUF model";
  if (starts_with(b, "%PDF")) return "a PDF document";
  const size_t n = std::min<size_t>(b.size(), 512);
  const bool text = std::all_of(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(n),
                                [](uint8_t c) { return c >= 0x20 || std::isspace(c); });
  if (!text) return "not a picture of any known format";
  const size_t start =
      std::find_if_not(b.begin(), b.end(), [](uint8_t c) { return std::isspace(c); }) - b.begin();
  return starts_with(b, "<", start) ? "a web page or XML text" : "text";
}

Format detect(const Source& source) {
  const Bytes b = source.bytes();
  if (b.empty()) source.refuse("empty file", "it has no bytes; get a new copy of it");
  // The first bytes of each magic number are enough, so that a cut or mangled file is called what
  // it was meant to be.
  if (starts_with(b, "\x89PNG")) return Format::png;
  if (starts_with(b, "\xff\xd8\xff")) return Format::jpg;
  if (starts_with(b, "BM")) return Format::bmp;
  if (const char* name = foreign_format(b); name != nullptr)
    source.refuse(std::string("unsupported format ") + name,
                  "convert it to PNG, JPEG, BMP or TGA first");
  if (looks_like_tga(b)) return Format::tga;
  source.refuse("not a picture", std::string("the content is ") + other_content(b) +
                                     "; PNG, JPEG, BMP and TGA are read");
}

Scan scan(const Source& source, Format format) {
  switch (format) {
    case Format::png:
      return scan_png(source);
    case Format::jpg:
      return scan_jpeg(source);
    case Format::bmp:
      return scan_bmp(source);
    case Format::tga:
      return scan_tga(source);
  }
  return {};
}

int orientation_of(const Source& source, const Scan& scan) {
  if (scan.exif.empty()) return 1;
  const ExifOrientation found = find_orientation(scan.exif);
  if (!found.valid)
    source.refuse("broken EXIF block", std::string("its lengths do not fit; ") + kDamaged);
  return found.value;
}

}  // namespace

void Source::refuse_at(size_t offset, const std::string& what, const std::string& why) const {
  throw ImageError(what, satin::one_line(name_) + ", byte " + std::to_string(offset), why);
}

void Source::refuse(const std::string& what, const std::string& why) const {
  throw ImageError(what, satin::one_line(name_), why);
}

void Source::check_size(int64_t width, int64_t height) const {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  constexpr int64_t kMaxSide = 0x7fffffff;
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide)
    refuse("impossible size " + size, kDamaged);
  const auto padded_width = satin::checked::pad(static_cast<uint64_t>(width), 64);
  const auto padded_height = satin::checked::pad(static_cast<uint64_t>(height), 64);
  const auto pixels = satin::checked::mul(padded_width.value(), padded_height.value());
  if (!pixels || *pixels > uint64_t{kMaxPaddedPixels})
    refuse("picture too large, " + size,
           "at most 100 megapixels with both sides rounded up to a multiple of 64; scale it down "
           "or cut it");
}

namespace {

/// The first bytes of a file, at most `most`.
std::vector<uint8_t> read_beginning(const std::string& path, uint64_t most, uint64_t* file_bytes) {
  try {
    satin::ByteReader file(path);
    *file_bytes = file.size();
    if (file.size() > uint64_t{kMaxFileBytes})
      throw ImageError("file too large, " + std::to_string(file.size()) + " bytes",
                       satin::one_line(path), "pictures of up to 1 GiB are read");
    std::vector<uint8_t> bytes(std::min(file.size(), most));
    file.read(bytes.data(), bytes.size(), "the picture");
    if (bytes.size() == file.size()) file.expect_end("the picture");
    return bytes;
  } catch (const satin::FileError& error) {
    throw ImageError("cannot read", satin::one_line(path), error.reason() + "; " + error.advice());
  }
}

// Headers are shorter, unless a color profile or a preview lies before the pixels.
constexpr uint64_t kProbedBytes = 256 << 10;

ImageHeader probe(const Source& source) {
  const Scan found = scan(source, detect(source));
  ImageHeader header = found.header;
  if (orientation_of(source, found) >= 5) std::swap(header.width, header.height);
  return header;
}

}  // namespace

std::vector<uint8_t> read_picture_file(const std::string& path) {
  uint64_t file_bytes = 0;
  return read_beginning(path, uint64_t{kMaxFileBytes}, &file_bytes);
}

ImageHeader probe_image(std::span<const uint8_t> bytes, const std::string& name) {
  return probe(Source(bytes, name));
}

ImageHeader probe_image(const std::string& path) {
  uint64_t file_bytes = 0;
  const std::vector<uint8_t> bytes = read_beginning(path, kProbedBytes, &file_bytes);
  const Source source(bytes, path, file_bytes);
  try {
    return probe(source);
  } catch (const ImageError&) {
    if (source.complete()) throw;
  }
  return probe_image(read_picture_file(path), path);
}

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  const Source source(bytes, name);
  const Format format = detect(source);
  Scan found = scan(source, format);
  const int orientation = orientation_of(source, found);
  Image image;
  image.width = found.header.width;
  image.height = found.header.height;
  image.channels = found.header.channels;
  image.bits = found.header.bits;
  image.icc = std::move(found.icc);
  image.exif = std::move(found.exif);
  image.png_color = std::move(found.png_color);
  switch (format) {
    case Format::png:
      decode_png(source, &image);
      break;
    case Format::jpg:
      decode_jpeg(source, &image);
      break;
    case Format::bmp:
      decode_bmp(source, &image);
      break;
    case Format::tga:
      decode_tga(source, &image);
      break;
  }
  apply_orientation(&image, orientation);
  set_upright(&image.exif);
  return image;
}

Image read_image(const std::string& path) { return decode_image(read_picture_file(path), path); }

std::vector<uint8_t> encode_image(const Image& image, Format format, const EncodeOptions& options) {
  const size_t expected = static_cast<size_t>(image.width) * static_cast<size_t>(image.height) *
                          static_cast<size_t>(image.channels);
  if (image.width < 1 || image.height < 1 || image.channels < 1 || image.channels > 4 ||
      image.pixels.size() != expected || (image.bits != 8 && image.bits != 16))
    throw satin::Error(satin::cat("encode_image: the image is inconsistent: ", image.width, " x ",
                                  image.height, ", ", image.channels, " channels, ", image.bits,
                                  " bits, ", image.pixels.size(), " values"));
  const int limit = format == Format::jpg ? 65500 : format == Format::tga ? 65535 : 0x7fffffff;
  if (std::max(image.width, image.height) > limit)
    throw satin::WriteError(satin::cat("cannot encode a picture of ", image.width, " x ",
                                       image.height, " as ", format_name(format)),
                            satin::cat("a side may have ", limit, " pixels at most; choose png"));
  switch (format) {
    case Format::png:
      return encode_png(image, options);
    case Format::jpg:
      return encode_jpeg(image, options);
    case Format::bmp:
      return encode_bmp(image);
    case Format::tga:
      return encode_tga(image);
  }
  return {};
}

std::string lost_in(const Image& image, Format format) {
  if (format == Format::png) return {};
  std::string lost;
  auto add = [&](const char* text) { lost += (lost.empty() ? "" : "; ") + std::string(text); };
  if (image.bits == 16) add("16 bit becomes 8 bit");
  if (format == Format::jpg) {
    if (image.has_alpha()) add("transparency is blended onto white");
    if (image.exif.size() > 65527) add("the EXIF block is too large and is dropped");
    if (image.icc.size() > size_t{255} * 65519) add("the ICC profile is too large and is dropped");
  } else {
    if (!image.icc.empty()) add("the ICC profile is dropped");
    if (!image.exif.empty()) add("EXIF data are dropped");
  }
  if (!image.png_color.empty() && image.icc.empty()) {
    // sRGB is what everybody assumes; only another gamma would be missed.
    const Bytes chunk(image.png_color);
    if (!starts_with(chunk, "sRGB", 4)) add("the PNG color description is dropped");
  }
  return lost.empty() ? lost : std::string(format_name(format)) + ": " + lost;
}

std::vector<uint8_t> to_bytes(const Image& image, int channels) {
  const auto max = static_cast<uint32_t>(image.max_value());
  const int source_channels = image.channels;
  const int source_colors = source_channels >= 3 ? 3 : 1;
  const int colors = channels >= 3 ? 3 : 1;
  const bool keep_alpha = channels == 2 || channels == 4;
  auto to_8 = [max](uint32_t v) { return static_cast<uint8_t>((v * 255u + max / 2) / max); };
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  std::vector<uint8_t> out(count * static_cast<size_t>(channels));
  const uint16_t* from = image.pixels.data();
  uint8_t* to = out.data();
  for (size_t i = 0; i < count; ++i, from += source_channels, to += channels) {
    const uint32_t alpha = image.has_alpha() ? from[source_channels - 1] : max;
    for (int c = 0; c < colors; ++c) {
      uint64_t v = from[std::min(c, source_colors - 1)];
      if (!keep_alpha) v = (v * alpha + uint64_t{max} * (max - alpha) + max / 2) / max;
      to[c] = to_8(static_cast<uint32_t>(v));
    }
    if (keep_alpha) to[colors] = to_8(alpha);
  }
  return out;
}

void apply_orientation(Image* image, int orientation) {
  if (orientation <= 1 || orientation > 8) return;
  const bool swap = orientation >= 5;
  // Where the upright picture's first pixel, and a step right or down in it, lie in the stored one.
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image upright;
  upright.width = swap ? image->height : image->width;
  upright.height = swap ? image->width : image->height;
  upright.channels = image->channels;
  upright.pixels.resize(image->pixels.size());
  for (int y = 0; y < upright.height; ++y) {
    uint16_t* to = upright.at(0, y);
    for (int x = 0; x < upright.width; ++x, to += upright.channels) {
      const int stored_x = swap ? y : x;
      const int stored_y = swap ? x : y;
      const uint16_t* from = image->at(from_right ? image->width - 1 - stored_x : stored_x,
                                       from_bottom ? image->height - 1 - stored_y : stored_y);
      std::copy_n(from, upright.channels, to);
    }
  }
  image->width = upright.width;
  image->height = upright.height;
  image->pixels = std::move(upright.pixels);
}

const char* format_name(Format format) {
  constexpr std::array kNames = {"png", "jpg", "bmp", "tga"};
  return kNames[static_cast<size_t>(format)];
}

bool format_from_name(std::string_view text, Format* format) {
  std::string name;
  for (char c : text.substr(text.starts_with('.') ? 1 : 0))
    name += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (name == "jpeg" || name == "jpe" || name == "jfif") name = "jpg";
  for (Format f : {Format::png, Format::jpg, Format::bmp, Format::tga}) {
    if (name != format_name(f)) continue;
    *format = f;
    return true;
  }
  return false;
}

bool has_picture_extension(std::string_view name) {
  const size_t dot = name.rfind('.');
  Format ignored;
  return dot != std::string_view::npos && format_from_name(name.substr(dot), &ignored);
}

}  // namespace mgpnet
