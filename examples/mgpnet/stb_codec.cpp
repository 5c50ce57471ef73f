// BMP and TGA through stb_image and stb_image_write, with everything else of stb compiled out.
//
// stb reads zeros where a file is cut, reads palettes that are not there, and misplaces the palette
// of OS/2 bitmaps.  So the headers are read and judged here, and a BMP reaches stb rebuilt in one
// canonical form: its header, a full palette, its rows, nothing between.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <bit>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "mgpnet/image_codec.h"

namespace mgpnet {
namespace {

constexpr size_t kBmpFileHeader = 14;
constexpr size_t kBmpV3Header = 40;
constexpr size_t kBmpV4Header = 108;
constexpr uint32_t kPlain = 0, kBitFields = 3;  // BMP compression
constexpr size_t kTgaHeader = 18;

// --- BMP: what the header says ---------------------------------------------------------------

struct Bmp {
  uint32_t header_bytes = 0, pixel_offset = 0;
  int32_t width = 0, height = 0;  // height is negative when the first row is the top one
  uint32_t bits = 0, compression = 0;
  uint32_t masks[4] = {};  // red, green, blue, alpha
  size_t palette_offset = 0, palette_entry = 4, palette_entries = 0;
  uint64_t row_bytes = 0;

  int rows() const { return height < 0 ? -height : height; }
};

bool is_contiguous(uint32_t mask) {
  if (mask == 0) return true;
  const uint32_t low = mask >> std::countr_zero(mask);
  return (low & (low + 1)) == 0;
}

Bmp parse_bmp(const Source& source) {
  const Bytes b = source.bytes();
  auto need = [&](size_t size) {
    if (b.size() < size) source.refuse_at(b.size(), "BMP ends inside its header", kDamaged);
  };
  need(kBmpFileHeader + 4);
  Bmp bmp;
  bmp.pixel_offset = get_u32_le(&b[10]);
  bmp.header_bytes = get_u32_le(&b[14]);
  const uint32_t header = bmp.header_bytes;
  if (header != 12 && header != 40 && header != 52 && header != 56 && header != 108 &&
      header != 124)
    source.refuse_at(14, "BMP with an unknown header of " + std::to_string(header) + " bytes",
                     kDamaged);
  need(kBmpFileHeader + header);
  size_t after_header = kBmpFileHeader + header;
  const uint8_t* info = &b[kBmpFileHeader];
  uint32_t colors_used = 0;
  uint32_t planes;
  if (header == 12) {
    bmp.width = static_cast<int32_t>(get_u16_le(info + 4));
    bmp.height = static_cast<int32_t>(get_u16_le(info + 6));
    planes = get_u16_le(info + 8);
    bmp.bits = get_u16_le(info + 10);
    bmp.palette_entry = 3;
  } else {
    bmp.width = static_cast<int32_t>(get_u32_le(info + 4));
    bmp.height = static_cast<int32_t>(get_u32_le(info + 8));
    planes = get_u16_le(info + 12);
    bmp.bits = get_u16_le(info + 14);
    bmp.compression = get_u32_le(info + 16);
    colors_used = get_u32_le(info + 32);
  }
  source.check_size(bmp.width, bmp.height < 0 ? -int64_t{bmp.height} : bmp.height);
  if (planes != 1) source.refuse_at(26, "BMP with " + std::to_string(planes) + " planes", kDamaged);
  const uint32_t bits = bmp.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
    source.refuse_at(28, "BMP with " + std::to_string(bits) + " bits per pixel",
                     "1, 4, 8, 16, 24 and 32 exist");
  if (bmp.compression == 1 || bmp.compression == 2)
    source.refuse_at(30, "compressed (RLE) BMP is not supported",
                     "save it uncompressed or as PNG first");
  if (bmp.compression != kPlain && bmp.compression != kBitFields)
    source.refuse_at(
        30, "BMP with compression " + std::to_string(bmp.compression) + " is not supported",
        "save it uncompressed or as PNG first");
  if (bmp.compression == kBitFields) {
    if (bits != 16 && bits != 32)
      source.refuse_at(30, "BMP with color masks but a palette", kDamaged);
    // The masks follow a 40-byte header and are part of a longer one.
    if (header == kBmpV3Header) {
      need(after_header + 12);
      after_header += 12;
    }
    const int count = header >= 56 ? 4 : 3;
    for (int i = 0; i < count; ++i) {
      bmp.masks[i] = get_u32_le(info + 40 + 4 * i);
      const uint32_t mask = bmp.masks[i];
      if (!is_contiguous(mask) || (mask == 0 && i < 3) || std::popcount(mask) > 8 ||
          (bits == 16 && mask > 0xffff))
        source.refuse_at(kBmpFileHeader + 40 + 4 * static_cast<size_t>(i),
                         "BMP with an impossible color mask",
                         "masks of up to 8 bits in one piece are read");
    }
  } else if (bits == 16) {
    bmp.masks[0] = 31u << 10, bmp.masks[1] = 31u << 5, bmp.masks[2] = 31u;
  } else if (bits == 32) {
    bmp.masks[0] = 0xffu << 16, bmp.masks[1] = 0xffu << 8,
    bmp.masks[2] = 0xffu;  // a byte of no meaning
  }
  bmp.palette_offset = after_header;
  if (bmp.pixel_offset < after_header || bmp.pixel_offset > source.file_bytes())
    source.refuse_at(10, "BMP whose pixels begin outside the file", kDamaged);
  if (bits <= 8) {
    const size_t most = size_t{1} << bits;
    const size_t room = (bmp.pixel_offset - after_header) / bmp.palette_entry;
    bmp.palette_entries = std::min(colors_used == 0 ? most : size_t{colors_used}, room);
    if (bmp.palette_entries == 0 || colors_used > most)
      source.refuse_at(46, "BMP with a missing or impossible palette", kDamaged);
  }
  bmp.row_bytes = (uint64_t{static_cast<uint32_t>(bmp.width)} * bits + 31) / 32 * 4;
  const uint64_t pixel_bytes = bmp.row_bytes * static_cast<uint64_t>(bmp.rows());
  if (pixel_bytes > source.file_bytes() - bmp.pixel_offset)
    source.refuse_at(b.size(), "BMP ends inside its pixels", kDamaged);
  return bmp;
}

// --- BMP: the canonical file -----------------------------------------------------------------

void put_u32(std::vector<uint8_t>* out, uint32_t v) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<uint8_t>(v >> shift));
}

void put_u16(std::vector<uint8_t>* out, uint32_t v) {
  out->push_back(static_cast<uint8_t>(v));
  out->push_back(static_cast<uint8_t>(v >> 8));
}

std::vector<uint8_t> canonical_bmp(const Source& source, const Bmp& bmp) {
  const bool with_masks = bmp.bits == 16 || bmp.bits == 32;
  const size_t header = with_masks ? kBmpV4Header : kBmpV3Header;
  const size_t palette = bmp.bits <= 8 ? size_t{1} << bmp.bits : 0;
  const size_t offset = kBmpFileHeader + header + 4 * palette;
  const size_t pixel_bytes = static_cast<size_t>(bmp.row_bytes) * static_cast<size_t>(bmp.rows());
  std::vector<uint8_t> out;
  out.reserve(offset + pixel_bytes);
  out.assign({'B', 'M'});
  put_u32(&out, static_cast<uint32_t>(offset + pixel_bytes));
  put_u32(&out, 0);
  put_u32(&out, static_cast<uint32_t>(offset));
  put_u32(&out, static_cast<uint32_t>(header));
  put_u32(&out, static_cast<uint32_t>(bmp.width));
  put_u32(&out, static_cast<uint32_t>(bmp.height));
  put_u16(&out, 1);
  put_u16(&out, bmp.bits);
  put_u32(&out, with_masks ? kBitFields : kPlain);
  for (int i = 0; i < 5; ++i) put_u32(&out, 0);
  if (with_masks)
    for (uint32_t mask : bmp.masks) put_u32(&out, mask);
  out.resize(kBmpFileHeader + header);
  const uint8_t* entry = source.bytes().data() + bmp.palette_offset;
  for (size_t i = 0; i < bmp.palette_entries; ++i, entry += bmp.palette_entry) {
    out.insert(out.end(), entry, entry + 3);
    out.push_back(0);
  }
  out.resize(offset);  // entries that the file leaves out are black
  const uint8_t* pixels = source.bytes().data() + bmp.pixel_offset;
  out.insert(out.end(), pixels, pixels + pixel_bytes);
  return out;
}

// --- TGA -------------------------------------------------------------------------------------

struct Tga {
  uint32_t id_bytes, palette_type, type, palette_start, palette_entries, palette_bits;
  uint32_t width, height, bits, descriptor;

  bool indexed() const { return palette_type == 1; }
  bool packed() const { return type >= 8; }
  bool right_to_left() const { return (descriptor & 0x10) != 0; }
  // As stb decodes: 15 and 16 bit are RGB of 5 bits each, but 16-bit gray is gray and alpha.
  int channels() const {
    const uint32_t n = indexed() ? palette_bits : bits;
    if (n == 8) return 1;
    if (n == 15) return 3;
    if (n == 16) return !indexed() && (type & 7) == 3 ? 2 : 3;
    return static_cast<int>(n / 8);
  }
};

Tga parse_tga_header(Bytes b) {
  return {b[0],
          b[1],
          b[2],
          get_u16_le(&b[3]),
          get_u16_le(&b[5]),
          b[7],
          get_u16_le(&b[12]),
          get_u16_le(&b[14]),
          b[16],
          b[17]};
}

bool is_color_depth(uint32_t bits) { return bits == 15 || bits == 16 || bits == 24 || bits == 32; }

// Walks the packets of run-length data: every pixel must be there, no packet may reach past the
// last.
size_t packed_size(const Source& source, size_t at, uint64_t pixels, size_t pixel_bytes) {
  const Bytes b = source.bytes();
  const size_t start = at;
  while (pixels > 0) {
    if (at >= b.size()) source.refuse_at(b.size(), "TGA ends inside its pixels", kDamaged);
    const uint64_t run = (b[at] & 127u) + 1;
    const size_t data = b[at] >= 128 ? pixel_bytes : pixel_bytes * static_cast<size_t>(run);
    if (run > pixels) source.refuse_at(at, "TGA with more pixels than its size needs", kDamaged);
    if (data > b.size() - at - 1)
      source.refuse_at(b.size(), "TGA ends inside its pixels", kDamaged);
    at += 1 + data;
    pixels -= run;
  }
  return at - start;
}

Tga parse_tga(const Source& source) {
  const Bytes b = source.bytes();
  const Tga tga = parse_tga_header(b);
  source.check_size(tga.width, tga.height);
  if ((tga.descriptor & 0xc0) != 0)
    source.refuse_at(17, "interleaved TGA is not supported", "save it as PNG first");
  if (tga.indexed() && (tga.palette_start != 0 || tga.palette_entries == 0))
    source.refuse_at(3, "TGA with a missing or shifted palette", "save it as PNG first");
  const size_t palette_entry = tga.indexed() ? (tga.palette_bits + 7) / 8 : 0;
  const size_t pixels_at = kTgaHeader + tga.id_bytes + palette_entry * tga.palette_entries;
  if (pixels_at > source.file_bytes())
    source.refuse_at(b.size(), "TGA ends inside its palette", kDamaged);
  const size_t pixel_bytes = (tga.bits + 7) / 8;
  const uint64_t pixels = uint64_t{tga.width} * tga.height;
  if (tga.packed()) {
    if (source.complete()) packed_size(source, pixels_at, pixels, pixel_bytes);
  } else if (pixels * pixel_bytes > source.file_bytes() - pixels_at) {
    source.refuse_at(b.size(), "TGA ends inside its pixels", kDamaged);
  }
  return tga;
}

// --- both ------------------------------------------------------------------------------------

void decode_with_stb(const Source& source, Bytes bytes, Image* image) {
  int width = 0, height = 0, found = 0;
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &found,
                            0),
      &stbi_image_free);
  if (pixels == nullptr)
    source.refuse(std::string("picture cannot be decoded (") + stbi_failure_reason() + ")",
                  kDamaged);
  if (width != image->width || height != image->height || found != image->channels)
    source.refuse("picture of an unexpected size", kDamaged);
  const size_t count =
      static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(found);
  image->pixels.assign(pixels.get(), pixels.get() + count);
}

// stb calls back with a buffer that it reuses.  It is C without exceptions, compiled here as C++,
// and holds nothing during the call that an exception would leak.
void append(void* out, void* data, int size) {
  const auto* from = static_cast<const uint8_t*>(data);
  auto* bytes = static_cast<std::vector<uint8_t>*>(out);
  bytes->insert(bytes->end(), from, from + size);
}

}  // namespace

Scan scan_bmp(const Source& source) {
  const Bmp bmp = parse_bmp(source);
  Scan scan;
  scan.header = {bmp.width, bmp.rows(), bmp.masks[3] != 0 ? 4 : 3, 8, Format::bmp};
  return scan;
}

void decode_bmp(const Source& source, Image* image) {
  const std::vector<uint8_t> canonical = canonical_bmp(source, parse_bmp(source));
  decode_with_stb(source, canonical, image);
}

bool looks_like_tga(Bytes b) {
  if (b.size() < kTgaHeader) return false;
  const Tga tga = parse_tga_header(b);
  if (tga.width == 0 || tga.height == 0 || tga.palette_type > 1) return false;
  const uint32_t kind = tga.type & 7;
  if (tga.type != kind && tga.type != kind + 8) return false;
  if (kind == 1)
    return tga.indexed() && (tga.bits == 8 || tga.bits == 16) &&
           (is_color_depth(tga.palette_bits) || tga.palette_bits == 8);
  if (tga.indexed()) return false;
  if (kind == 2) return is_color_depth(tga.bits);
  return kind == 3 && (tga.bits == 8 || tga.bits == 16);
}

Scan scan_tga(const Source& source) {
  const Tga tga = parse_tga(source);
  Scan scan;
  scan.header = {static_cast<int>(tga.width), static_cast<int>(tga.height), tga.channels(), 8,
                 Format::tga};
  return scan;
}

void decode_tga(const Source& source, Image* image) {
  decode_with_stb(source, source.bytes(), image);
  // stb knows rows from the bottom, but not columns from the right.
  if (parse_tga_header(source.bytes()).right_to_left()) apply_orientation(image, 2);
}

std::vector<uint8_t> encode_bmp(const Image& image) {
  const int channels = image.has_alpha() ? 4 : 3;
  const std::vector<uint8_t> pixels = to_bytes(image, channels);
  std::vector<uint8_t> out;
  out.reserve(pixels.size() + 200);
  if (stbi_write_bmp_to_func(append, &out, image.width, image.height, channels, pixels.data()) == 0)
    throw std::bad_alloc();
  return out;
}

std::vector<uint8_t> encode_tga(const Image& image) {
  const std::vector<uint8_t> pixels = to_bytes(image, image.channels);
  std::vector<uint8_t> out;
  if (stbi_write_tga_to_func(append, &out, image.width, image.height, image.channels,
                             pixels.data()) == 0)
    throw std::bad_alloc();
  return out;
}

}  // namespace mgpnet
