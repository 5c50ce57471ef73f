// See picture_builders.h.
#include "picture_builders.h"

#include <algorithm>
#include <cmath>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>
#include <random>
#include <stdexcept>

#include <jpeglib.h>
#include <zlib.h>

namespace mgpnet_tests {
namespace {

void be32(ByteVector* out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<uint8_t>(v >> shift));
}
void le(ByteVector* out, uint32_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<uint8_t>(v >> (8 * i)));
}

int samples_per_pixel(int color) { return color == 2 ? 3 : color == 4 ? 2 : color == 6 ? 4 : 1; }

ByteVector encode_with_libjpeg(
    int width, int height, int components, J_COLOR_SPACE space, bool progressive) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = components;
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 90, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  ByteVector row(static_cast<size_t>(width * components));
  for (int y = 0; y < height; ++y) {
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<uint8_t>(128 + 100 * std::sin(0.3 * static_cast<double>(i) + 0.5 * y));
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  ByteVector out(data, data + size);
  std::free(data);
  return out;
}

}  // namespace

void append(ByteVector* out, const ByteVector& more) {
  out->insert(out->end(), more.begin(), more.end());
}
ByteVector text(const std::string& s) { return {s.begin(), s.end()}; }
ByteVector joined(std::initializer_list<ByteVector> parts) {
  ByteVector out;
  for (const ByteVector& part : parts) append(&out, part);
  return out;
}

mgpnet::Image random_image(int width, int height, int channels, int bits, uint32_t seed) {
  std::mt19937 random(seed);
  mgpnet::Image image;
  image.width = width;
  image.height = height;
  image.channels = channels;
  image.bits = bits;
  image.pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(height) *
                      static_cast<size_t>(channels));
  for (uint16_t& v : image.pixels)
    v = static_cast<uint16_t>(random() & static_cast<uint32_t>(image.max_value()));
  return image;
}

mgpnet::Image smooth_image(int width, int height, int channels) {
  mgpnet::Image image = random_image(width, height, channels, 8, 1);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.at(x, y)[c] = static_cast<uint16_t>(
            std::lround(127 + 60 * std::sin(0.05 * x + c) + 60 * std::cos(0.07 * y)));
  return image;
}

ByteVector zlib_stream(const ByteVector& raw) {
  uLongf size = compressBound(raw.size());
  ByteVector out(size);
  if (compress(out.data(), &size, raw.data(), raw.size()) != Z_OK)
    throw std::runtime_error("compress");
  out.resize(size);
  return out;
}

ByteVector png_chunk(const std::string& type, const ByteVector& data) {
  ByteVector out;
  be32(&out, static_cast<uint32_t>(data.size()));
  append(&out, text(type));
  append(&out, data);
  be32(&out, static_cast<uint32_t>(crc32_z(0, out.data() + 4, out.size() - 4)));
  return out;
}

ByteVector png_rows(const PngSpec& spec, const std::vector<uint16_t>& samples) {
  const int per_pixel = samples_per_pixel(spec.color);
  ByteVector raw;
  auto row = [&](int y, int x0, int dx) {
    if (x0 >= spec.width) return;
    raw.push_back(0);
    uint32_t held = 0;
    int held_bits = 0;
    for (int x = x0; x < spec.width; x += dx) {
      for (int c = 0; c < per_pixel; ++c) {
        const uint32_t v = samples[static_cast<size_t>((y * spec.width + x) * per_pixel + c)];
        held = held << spec.depth | v;
        for (held_bits += spec.depth; held_bits >= 8; held_bits -= 8)
          raw.push_back(static_cast<uint8_t>(held >> (held_bits - 8)));
      }
    }
    if (held_bits > 0) raw.push_back(static_cast<uint8_t>(held << (8 - held_bits)));
  };
  if (!spec.interlaced) {
    for (int y = 0; y < spec.height; ++y) row(y, 0, 1);
    return raw;
  }
  constexpr int kX0[7] = {0, 4, 0, 2, 0, 1, 0}, kDx[7] = {8, 8, 4, 4, 2, 2, 1};
  constexpr int kY0[7] = {0, 0, 4, 0, 2, 0, 1}, kDy[7] = {8, 8, 8, 4, 4, 2, 2};
  for (int pass = 0; pass < 7; ++pass)
    for (int y = kY0[pass]; y < spec.height; y += kDy[pass]) row(y, kX0[pass], kDx[pass]);
  return raw;
}

ByteVector make_png(const PngSpec& spec,
                    const std::vector<uint16_t>& samples,
                    const ByteVector& extra) {
  ByteVector out = kPngSignature;
  append(&out, png_header(static_cast<uint32_t>(spec.width), static_cast<uint32_t>(spec.height),
                          spec.depth, spec.color, spec.interlaced));
  if (!spec.palette.empty()) append(&out, png_chunk("PLTE", spec.palette));
  if (!spec.trns.empty()) append(&out, png_chunk("tRNS", spec.trns));
  append(&out, extra);
  append(&out, png_chunk("IDAT", zlib_stream(png_rows(spec, samples))));
  append(&out, png_chunk("IEND", {}));
  return out;
}

ByteVector make_exif(int orientation, bool big_endian) {
  ByteVector out = text(big_endian ? "MM" : "II");
  auto put = [&](uint32_t v, int bytes) {
    for (int i = 0; i < bytes; ++i)
      out.push_back(static_cast<uint8_t>(v >> (8 * (big_endian ? bytes - 1 - i : i))));
  };
  put(42, 2);
  put(8, 4);
  put(2, 2);  // two entries: an unrelated one (ImageWidth) first
  put(0x0100, 2), put(3, 2), put(1, 4), put(77, 2), put(0, 2);
  put(0x0112, 2), put(3, 2), put(1, 4), put(static_cast<uint32_t>(orientation), 2), put(0, 2);
  put(0, 4);
  return out;
}

ByteVector with_segment(const ByteVector& jpeg, int marker, const ByteVector& data) {
  ByteVector out(jpeg.begin(), jpeg.begin() + 2);
  const size_t length = data.size() + 2;
  for (size_t v : {size_t{0xff}, static_cast<size_t>(marker), length >> 8, length & 0xff})
    out.push_back(static_cast<uint8_t>(v));
  append(&out, data);
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

ByteVector make_jpeg(int width, int height, int channels, bool progressive) {
  return encode_with_libjpeg(width, height, channels, channels == 1 ? JCS_GRAYSCALE : JCS_RGB,
                             progressive);
}

ByteVector make_bmp(const BmpSpec& spec, const ByteVector& rows) {
  ByteVector out = text("BM");
  const size_t offset = 14 + static_cast<size_t>(spec.header) + spec.masks.size() +
                        spec.palette.size() + static_cast<size_t>(spec.gap);
  le(&out, static_cast<uint32_t>(offset + rows.size()), 4);
  le(&out, 0, 4);
  le(&out, static_cast<uint32_t>(offset), 4);
  le(&out, static_cast<uint32_t>(spec.header), 4);
  const int side = spec.header == 12 ? 2 : 4;
  le(&out, static_cast<uint32_t>(spec.width), side);
  le(&out, static_cast<uint32_t>(spec.height), side);
  le(&out, 1, 2);
  le(&out, static_cast<uint32_t>(spec.bits), 2);
  if (spec.header > 12) {
    le(&out, static_cast<uint32_t>(spec.compression), 4);
    out.resize(54);
    append(&out, spec.masks);
    out.resize(std::max<size_t>(14 + static_cast<size_t>(spec.header), out.size()));
  }
  append(&out, spec.palette);
  out.resize(offset);
  append(&out, rows);
  return out;
}

ByteVector make_tga(const TgaSpec& spec, const ByteVector& data) {
  const bool indexed = spec.palette_bits > 0;
  const int entry = (spec.palette_bits + 7) / 8;
  ByteVector out;
  le(&out, static_cast<uint32_t>(spec.id.size()), 1);
  le(&out, indexed, 1);
  le(&out, static_cast<uint32_t>(spec.type), 1);
  le(&out, 0, 2);
  le(&out, indexed ? static_cast<uint32_t>(spec.palette.size()) / static_cast<uint32_t>(entry) : 0,
     2);
  le(&out, static_cast<uint32_t>(spec.palette_bits), 1);
  le(&out, 0, 4);
  le(&out, static_cast<uint32_t>(spec.width), 2);
  le(&out, static_cast<uint32_t>(spec.height), 2);
  le(&out, static_cast<uint32_t>(spec.bits), 1);
  le(&out, static_cast<uint32_t>(spec.descriptor), 1);
  append(&out, text(spec.id));
  append(&out, spec.palette);
  append(&out, data);
  return out;
}

ByteVector png_header(uint32_t width,
                      uint32_t height,
                      int depth,
                      int color,
                      int interlace,
                      int compression,
                      int filter) {
  ByteVector data;
  be32(&data, width);
  be32(&data, height);
  for (int v : {depth, color, compression, filter, interlace})
    data.push_back(static_cast<uint8_t>(v));
  return png_chunk("IHDR", data);
}

std::vector<uint16_t> random_samples(size_t count, int depth, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint16_t> samples(count);
  for (uint16_t& v : samples) v = static_cast<uint16_t>(random() & ((1u << depth) - 1));
  return samples;
}

ByteVector make_cmyk_jpeg(int width, int height) {
  return encode_with_libjpeg(width, height, 4, JCS_CMYK, false);
}

size_t find_marker(const ByteVector& jpeg, int marker) {
  for (size_t at = 2; at + 4 < jpeg.size();) {
    if (jpeg[at] != 0xff) throw std::runtime_error("find_marker: no segment here");
    if (jpeg[at + 1] == marker) return at;
    at += 2 + (size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
  }
  throw std::runtime_error("find_marker: not there");
}

ByteVector without_segment(ByteVector jpeg, int marker) {
  const size_t at = find_marker(jpeg, marker);
  const size_t length = 2 + (size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
  jpeg.erase(jpeg.begin() + static_cast<ptrdiff_t>(at),
             jpeg.begin() + static_cast<ptrdiff_t>(at + length));
  return jpeg;
}

}  // namespace mgpnet_tests
