#include "hostile_pictures.h"

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
void add(ByteVector* out, const ByteVector& more) {
  out->insert(out->end(), more.begin(), more.end());
}
ByteVector text(const std::string& s) { return {s.begin(), s.end()}; }
ByteVector joined(std::initializer_list<ByteVector> parts) {
  ByteVector out;
  for (const ByteVector& part : parts) add(&out, part);
  return out;
}

int samples_per_pixel(int color) { return color == 2 ? 3 : color == 4 ? 2 : color == 6 ? 4 : 1; }

const ByteVector kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

ByteVector png_header(uint32_t width,
                      uint32_t height,
                      int depth,
                      int color,
                      int interlace = 0,
                      int compression = 0,
                      int filter = 0) {
  ByteVector data;
  be32(&data, width);
  be32(&data, height);
  for (int v : {depth, color, compression, filter, interlace})
    data.push_back(static_cast<uint8_t>(v));
  return png_chunk("IHDR", data);
}

size_t find_marker(const ByteVector& jpeg, int marker, size_t from = 2) {
  for (size_t at = from; at + 4 < jpeg.size();) {
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
  add(&out, text(type));
  add(&out, data);
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
  ByteVector out = kSignature;
  add(&out, png_header(static_cast<uint32_t>(spec.width), static_cast<uint32_t>(spec.height),
                       spec.depth, spec.color, spec.interlaced));
  if (!spec.palette.empty()) add(&out, png_chunk("PLTE", spec.palette));
  if (!spec.trns.empty()) add(&out, png_chunk("tRNS", spec.trns));
  add(&out, extra);
  add(&out, png_chunk("IDAT", zlib_stream(png_rows(spec, samples))));
  add(&out, png_chunk("IEND", {}));
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
  add(&out, data);
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
    add(&out, spec.masks);
    out.resize(std::max<size_t>(14 + static_cast<size_t>(spec.header), out.size()));
  }
  add(&out, spec.palette);
  out.resize(offset);
  add(&out, rows);
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
  add(&out, text(spec.id));
  add(&out, spec.palette);
  add(&out, data);
  return out;
}

std::vector<HostilePicture> hostile_png() {
  std::vector<HostilePicture> all;
  const PngSpec spec{.width = 5, .height = 4, .depth = 8, .color = 2};
  const std::vector<uint16_t> samples(60, 100);
  const ByteVector raw = png_rows(spec, samples);
  const ByteVector packed = zlib_stream(raw);
  const ByteVector header = png_header(5, 4, 8, 2);
  const ByteVector data = png_chunk("IDAT", packed), end = png_chunk("IEND", {});
  auto file = [&](std::initializer_list<ByteVector> chunks) {
    return joined({kSignature, joined(chunks)});
  };
  auto broken_crc = [](ByteVector chunk) {
    chunk.back() ^= 1;
    return chunk;
  };
  auto push = [&](const char* name, ByteVector bytes, const char* expected) {
    all.push_back({name, std::move(bytes), expected});
  };
  const ByteVector half1 = png_chunk("IDAT", {packed.begin(), packed.begin() + 9});
  const ByteVector half2 = png_chunk("IDAT", {packed.begin() + 9, packed.end()});

  push("magic only", kSignature, "no IEND");
  push("text-mode copy", joined({{0x89, 'P', 'N', 'G', '\n', 0x1a, '\n'}, header, data, end}),
       "signature");
  push("0 x N", file({png_header(0, 4, 8, 2), data, end}), "impossible size 0 x 4");
  push("N x 0", file({png_header(5, 0, 8, 2), data, end}), "impossible size");
  push("2^31 x 2^31", file({png_header(1u << 31, 1u << 31, 8, 2), data, end}), "impossible size");
  push("2^31-1 squared", file({png_header(0x7fffffff, 0x7fffffff, 8, 2), data, end}), "too large");
  push("2^32-1 squared", file({png_header(0xffffffff, 0xffffffff, 8, 2), data, end}),
       "impossible size");
  push("bomb 20000 x 20000", file({png_header(20000, 20000, 8, 2), data, end}), "too large");
  push("bomb 65535 x 1", file({png_header(65535, 1, 8, 2), data, end}), "fewer pixel data");
  push("bomb 9000 x 9000 with little data", file({png_header(9000, 9000, 16, 6), data, end}),
       "fewer pixel data");
  push("too large only after padding", file({png_header(1, 1562560, 8, 0), data, end}),
       "too large");
  push("depth 3", file({png_header(5, 4, 3, 0), data, end}), "3 bit");
  push("depth 0", file({png_header(5, 4, 0, 0), data, end}), "0 bit");
  push("depth 4 in RGB", file({png_header(5, 4, 4, 2), data, end}), "color type 2 and 4 bit");
  push("depth 16 with palette", file({png_header(5, 4, 16, 3), data, end}),
       "color type 3 and 16 bit");
  push("color type 5", file({png_header(5, 4, 8, 5), data, end}), "color type 5");
  push("color type 255", file({png_header(5, 4, 8, 255), data, end}), "color type 255");
  push("unknown compression", file({png_header(5, 4, 8, 2, 0, 1), data, end}), "unknown method");
  push("unknown filter method", file({png_header(5, 4, 8, 2, 0, 0, 1), data, end}),
       "unknown method");
  push("interlace 2", file({png_header(5, 4, 8, 2, 2), data, end}), "unknown method");
  push("header of 12 bytes", file({png_chunk("IHDR", ByteVector(12)), data, end}),
       "header of a wrong length");
  push("two headers", file({header, header, data, end}), "first chunk");
  push("header second", file({png_chunk("gAMA", {0, 0, 1, 1}), header, data, end}), "first chunk");
  push("palette missing", file({png_header(5, 4, 8, 3), data, end}), "without its palette");
  push("palette empty", file({png_header(5, 4, 8, 3), png_chunk("PLTE", {}), data, end}),
       "wrong palette");
  push("palette of 4 bytes",
       file({png_header(5, 4, 8, 3), png_chunk("PLTE", ByteVector(4)), data, end}),
       "wrong palette");
  push("palette of 257",
       file({png_header(5, 4, 8, 3), png_chunk("PLTE", ByteVector(771)), data, end}),
       "wrong palette");
  push("palette of 3 for 1 bit",
       file({png_header(5, 4, 1, 3), png_chunk("PLTE", ByteVector(9)), data, end}),
       "wrong palette");
  push("palette in gray",
       file({png_header(5, 4, 8, 0), png_chunk("PLTE", ByteVector(9)), data, end}),
       "wrong palette");
  push("palette after data", file({header, data, png_chunk("PLTE", ByteVector(9)), end}),
       "wrong palette");
  push("two palettes",
       file({png_header(5, 4, 8, 3), png_chunk("PLTE", ByteVector(9)),
             png_chunk("PLTE", ByteVector(9)), data, end}),
       "two PLTE");
  {
    const PngSpec indexed{
        .width = 4, .height = 1, .depth = 8, .color = 3, .palette = ByteVector(9)};
    push("palette shorter than its indices", make_png(indexed, {0, 1, 2, 3}), "palette index");
  }
  push("tRNS longer than the palette",
       file({png_header(5, 4, 8, 3), png_chunk("PLTE", ByteVector(6)),
             png_chunk("tRNS", ByteVector(3)), data, end}),
       "wrong transparency");
  push("tRNS beside alpha",
       file({png_header(5, 4, 8, 6), png_chunk("tRNS", ByteVector(2)), data, end}),
       "wrong transparency");
  push("IDAT missing", file({header, end}), "without pixel data");
  push("IDAT empty", file({header, png_chunk("IDAT", {}), end}), "fewer pixel data");
  push("IDAT interrupted", file({header, half1, png_chunk("tEXt", text("a\0b")), half2, end}),
       "interrupted");
  push("IDAT half", file({header, half1, end}), "fewer pixel data");
  push("unknown critical chunk", file({header, png_chunk("ABCD", {}), data, end}),
       "critical chunk ABCD");
  push("impossible chunk name", file({header, png_chunk("a\1cd", {}), data, end}),
       "impossible name");
  push("wrong CRC in IHDR", file({broken_crc(header), data, end}), "IHDR has a wrong checksum");
  push("wrong CRC in IDAT", file({header, broken_crc(data), end}), "IDAT has a wrong checksum");
  push("wrong CRC in IEND", file({header, data, broken_crc(end)}), "IEND has a wrong checksum");
  push("wrong CRC in PLTE", file({header, broken_crc(png_chunk("PLTE", ByteVector(9))), data, end}),
       "PLTE has a wrong checksum");
  push("wrong CRC in tEXt", file({header, broken_crc(png_chunk("tEXt", text("a"))), data, end}),
       "tEXt has a wrong checksum");
  push("wrong CRC in gAMA", file({header, broken_crc(png_chunk("gAMA", {0, 0, 1, 1})), data, end}),
       "gAMA has a wrong checksum");
  push("IEND missing", file({header, data}), "no IEND");
  push("IEND with content", file({header, data, png_chunk("IEND", {1})}), "wrong end");
  push("chunk longer than the file",
       joined({kSignature, header, {0x7f, 0xff, 0xff, 0xff}, text("IDAT"), data}),
       "longer than the file");
  push("chunk length 2^32-1",
       joined({kSignature, header, {0xff, 0xff, 0xff, 0xff}, text("IDAT"), data}),
       "longer than the file");
  {
    ByteVector shorter(raw.begin(), raw.end() - 1);
    push("stream a byte short", file({header, png_chunk("IDAT", zlib_stream(shorter)), end}),
         "fewer pixel data");
    push("stream a byte long",
         file({header, png_chunk("IDAT", zlib_stream(joined({raw, {0}}))), end}),
         "more pixel data");
    push("stream of a megabyte too much",
         file({header, png_chunk("IDAT", zlib_stream(joined({raw, ByteVector(1 << 20)}))), end}),
         "more pixel data");
    ByteVector cut(packed.begin(), packed.end() - 1);
    push("checksum of the stream cut", file({header, png_chunk("IDAT", cut), end}), "no end");
    ByteVector sum = packed;
    sum.back() ^= 1;
    push("checksum of the stream wrong", file({header, png_chunk("IDAT", sum), end}), "corrupt");
    push("bytes after the stream", file({header, png_chunk("IDAT", joined({packed, {0}})), end}),
         "after their end");
    push("bytes after the stream in a new IDAT",
         file({header, data, png_chunk("IDAT", {1, 2}), end}), "after their end");
    push("not a zlib stream", file({header, png_chunk("IDAT", ByteVector(40, 0xaa)), end}),
         "corrupt");
    ByteVector filter = raw;
    filter[16] = 5;
    push("row filter 5", file({header, png_chunk("IDAT", zlib_stream(filter)), end}), "row filter");
  }
  push("broken profile",
       file({header, png_chunk("iCCP", text(std::string("n\0\0junk", 7))), data, end}), "profile");
  {
    const ByteVector bomb = zlib_stream(ByteVector(40 << 20));
    push(
        "profile bomb",
        file({header, png_chunk("iCCP", joined({text(std::string("n\0\0", 3)), bomb})), data, end}),
        "16 MiB");
  }
  push("EXIF that lies",
       file({header, png_chunk("eXIf", {'I', 'I', 42, 0, 0xff, 0xff, 0, 0, 0, 0}), data, end}),
       "EXIF");
  return all;
}

std::vector<HostilePicture> hostile_jpeg() {
  std::vector<HostilePicture> all;
  const ByteVector good = make_jpeg(24, 17, 3);
  const ByteVector gray = make_jpeg(24, 17, 1);
  const ByteVector progressive = make_jpeg(24, 17, 3, true);
  auto push = [&](const char* name, ByteVector bytes, const char* expected) {
    all.push_back({name, std::move(bytes), expected});
  };
  auto patched = [&](ByteVector bytes, size_t at, int value) {
    bytes.at(at) = static_cast<uint8_t>(value);
    return bytes;
  };
  const size_t frame = find_marker(good, 0xc0);
  const size_t scan = find_marker(good, 0xda);

  push("magic only", {0xff, 0xd8, 0xff}, "ends inside its header");
  push("SOI and EOI", {0xff, 0xd8, 0xff, 0xd9}, "without pixel data");
  push("no frame", without_segment(good, 0xc0), "without a frame");
  {
    const size_t length = 2 + (size_t{good[frame + 2]} << 8 | good[frame + 3]);
    ByteVector two = good;
    two.insert(two.begin() + static_cast<ptrdiff_t>(frame),
               good.begin() + static_cast<ptrdiff_t>(frame),
               good.begin() + static_cast<ptrdiff_t>(frame + length));
    push("two frames", two, "two frames");
  }
  push("sampling 0", patched(good, frame + 11, 0x01), "sampling factor");
  push("sampling 5", patched(good, frame + 11, 0x51), "sampling factor");
  push("quantization table 9", patched(good, frame + 12, 9), "table number");
  push("two components of one name", patched(good, frame + 13, good[frame + 10]), "of one name");
  push("width 0", patched(patched(good, frame + 7, 0), frame + 8, 0), "impossible size");
  push("height 0", patched(patched(good, frame + 5, 0), frame + 6, 0), "impossible size");
  push("bomb 20000 x 20000",
       patched(patched(patched(patched(good, frame + 5, 0x4e), frame + 6, 0x20), frame + 7, 0x4e),
               frame + 8, 0x20),
       "too large");
  push("65535 x 1 with little data",
       patched(patched(patched(patched(good, frame + 5, 0), frame + 6, 1), frame + 7, 0xff),
               frame + 8, 0xff),
       "cannot be decoded");
  push("9000 x 9000 with little data",
       patched(patched(patched(patched(good, frame + 5, 0x23), frame + 6, 0x28), frame + 7, 0x23),
               frame + 8, 0x28),
       "cannot be decoded");
  push("no components", patched(good, frame + 9, 0), "wrong length");
  push("12 bit", patched(good, frame + 4, 12), "12 bits");
  push("arithmetic", patched(good, frame + 1, 0xc9), "arithmetic");
  push("arithmetic progressive", patched(good, frame + 1, 0xca), "arithmetic");
  push("arithmetic conditioning", with_segment(good, 0xcc, {0, 0}), "arithmetic");
  push("lossless", patched(good, frame + 1, 0xc3), "lossless");
  push("hierarchical", patched(good, frame + 1, 0xc5), "hierarchical");
  push("CMYK", encode_with_libjpeg(16, 16, 4, JCS_CMYK, false), "CMYK");
  push("no quantization table", without_segment(without_segment(good, 0xdb), 0xdb),
       "quantization table");
  {
    ByteVector bare = good;
    for (int i = 0; i < 4; ++i) bare = without_segment(bare, 0xc4);
    push("no Huffman tables", bare, "Huffman table");
    push("one Huffman table missing", without_segment(good, 0xc4), "Huffman table");
  }
  push("scan of an unknown component", patched(good, scan + 5, 77), "not there");
  push("scan of 4 components", patched(good, scan + 4, 4), "scan header");
  push("no end mark", {good.begin(), good.end() - 2}, "ends inside its pixel data");
  push("half the pixel data, then the end mark",
       joined({{good.begin(), good.begin() + static_cast<ptrdiff_t>((scan + good.size()) / 2)},
               {0xff, 0xd9}}),
       "cannot be decoded");
  push("no pixel data, then the end mark",
       joined({{good.begin(), good.begin() + static_cast<ptrdiff_t>(scan + 14)}, {0xff, 0xd9}}),
       "cannot be decoded");
  {
    const size_t first = find_marker(progressive, 0xda);
    ByteVector many(progressive.begin(), progressive.end() - 2);
    const size_t next = [&] {
      size_t at = first + 2;
      while (progressive[at] != 0xff || progressive[at + 1] == 0) ++at;
      return at;
    }();
    const ByteVector one(progressive.begin() + static_cast<ptrdiff_t>(first),
                         progressive.begin() + static_cast<ptrdiff_t>(next));
    for (int i = 0; i < 10000; ++i) add(&many, one);
    add(&many, {0xff, 0xd9});
    push("10,000 scans", many, "more than 100 scans");
  }
  push("EXIF longer than the file", joined({{0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff}, text("Exif")}),
       "longer than the file");
  {
    ByteVector lying =
        with_segment(good, 0xe1, joined({text(std::string("Exif\0\0", 6)), make_exif(6, true)}));
    push("EXIF length too small", patched(lying, 5, 10), "belong to no segment");
    push("EXIF length too large", patched(lying, 4, 1), "");
    push("EXIF directory outside",
         with_segment(good, 0xe1, joined({text(std::string("Exif\0\0MM\0*\0\0\xff\xff", 14))})),
         "EXIF");
    ByteVector many = make_exif(6, false);
    many[8] = 200;
    push("EXIF of 200 entries in 38 bytes",
         with_segment(good, 0xe1, joined({text(std::string("Exif\0\0", 6)), many})), "EXIF");
  }
  push("profile part missing",
       with_segment(good, 0xe2, text(std::string("ICC_PROFILE\0\1\2abc", 17))), "profile");
  push("profile part 3 of 2",
       with_segment(good, 0xe2, text(std::string("ICC_PROFILE\0\3\2abc", 17))), "profile");
  push("segment of length 1", joined({{0xff, 0xd8, 0xff, 0xe5, 0, 1}, good}),
       "longer than the file");
  push("restart mark among segments", joined({{0xff, 0xd8, 0xff, 0xd0}, good}), "misplaced");
  push("broken Huffman table", patched(good, find_marker(good, 0xc4) + 5, 0xff), "Huffman table");
  return all;
}

std::vector<HostilePicture> hostile_bmp() {
  std::vector<HostilePicture> all;
  auto push = [&](const char* name, ByteVector bytes, const char* expected) {
    all.push_back({name, std::move(bytes), expected});
  };
  auto patched = [](ByteVector bytes, size_t at, uint32_t value, int size) {
    for (int i = 0; i < size; ++i)
      bytes.at(at + static_cast<size_t>(i)) = static_cast<uint8_t>(value >> (8 * i));
    return bytes;
  };
  const ByteVector good = make_bmp({.width = 3, .height = 2}, ByteVector(24, 9));
  push("magic only", {'B', 'M'}, "ends inside its header");
  push("unknown header", patched(good, 14, 41, 4), "unknown header");
  push("width 0", patched(good, 18, 0, 4), "impossible size");
  push("width -3", patched(good, 18, static_cast<uint32_t>(-3), 4), "impossible size");
  push("height 0", patched(good, 22, 0, 4), "impossible size");
  push("height -2^31", patched(good, 22, 0x80000000u, 4), "impossible size");
  push("2^31-1 x 2^31-1", patched(patched(good, 18, 0x7fffffff, 4), 22, 0x7fffffff, 4),
       "too large");
  push("height -20000 of width 20000",
       patched(patched(good, 18, 20000, 4), 22, static_cast<uint32_t>(-20000), 4), "too large");
  push("9000 x 9000 with little data", patched(patched(good, 18, 9000, 4), 22, 9000, 4),
       "ends inside its pixels");
  push("2 planes", patched(good, 26, 2, 2), "planes");
  for (uint32_t bits : {0u, 3u, 64u, 2u, 65535u})
    push(("bpp " + std::to_string(bits)).c_str(), patched(good, 28, bits, 2), "bits per pixel");
  push("RLE8", patched(patched(good, 28, 8, 2), 30, 1, 4), "RLE");
  push("RLE4", patched(patched(good, 28, 4, 2), 30, 2, 4), "RLE");
  push("JPEG inside", patched(good, 30, 4, 4), "compression 4");
  push("masks with 24 bit", patched(good, 30, 3, 4), "masks");
  push("offset beyond the file", patched(good, 10, 1000, 4), "outside the file");
  push("offset 2^32-1", patched(good, 10, 0xffffffffu, 4), "outside the file");
  push("offset inside the header", patched(good, 10, 20, 4), "outside the file");
  push("offset a byte late", patched(good, 10, 55, 4), "ends inside its pixels");
  push("palette missing", make_bmp({.width = 4, .height = 1, .bits = 8}, ByteVector(4)), "palette");
  push("palette of 2^32-1 colors",
       patched(make_bmp({.width = 4, .height = 1, .bits = 8, .palette = ByteVector(1024)},
                        ByteVector(4)),
               46, 0xffffffffu, 4),
       "palette");
  ByteVector masks(12, 0);
  push("masks of zero",
       make_bmp({.width = 1, .height = 1, .bits = 32, .compression = 3, .masks = masks},
                ByteVector(4)),
       "mask");
  masks.assign(12, 0xff);
  push("masks of 32 bits",
       make_bmp({.width = 1, .height = 1, .bits = 32, .compression = 3, .masks = masks},
                ByteVector(4)),
       "mask");
  push("masks with holes",
       make_bmp({.width = 1,
                 .height = 1,
                 .bits = 16,
                 .compression = 3,
                 .masks = {5, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0}},
                ByteVector(4)),
       "mask");
  push("masks cut off", {make_bmp({.width = 1, .height = 1, .bits = 16, .compression = 3}, {})},
       "ends inside");
  return all;
}

std::vector<HostilePicture> hostile_tga() {
  std::vector<HostilePicture> all;
  auto push = [&](const char* name, ByteVector bytes, const char* expected) {
    all.push_back({name, std::move(bytes), expected});
  };
  push("a byte short", make_tga({.width = 3, .height = 2}, ByteVector(17)),
       "ends inside its pixels");
  push("no pixels", make_tga({.width = 3, .height = 2}, {}), "ends inside its pixels");
  push("65535 x 65535", make_tga({.width = 65535, .height = 65535}, ByteVector(100)), "too large");
  push("interleaved", make_tga({.width = 1, .height = 1, .descriptor = 0xc0}, ByteVector(3)),
       "interleaved");
  push(
      "palette cut",
      make_tga(
          {.width = 1, .height = 1, .type = 1, .bits = 8, .palette_bits = 24, .palette = {1, 2, 3}},
          {}),
      "ends inside its pixels");
  push("palette empty",
       make_tga({.width = 1, .height = 1, .type = 1, .bits = 8, .palette_bits = 24}, {0}),
       "palette");
  push("id longer than the file",
       {255, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 24, 0x20, 1, 2, 3}, "ends inside");
  push("packet past the end", make_tga({.width = 2, .height = 1, .type = 10}, {0x82, 1, 2, 3}),
       "more pixels");
  push("packets cut", make_tga({.width = 4, .height = 1, .type = 10}, {0x81, 1, 2, 3}),
       "ends inside its pixels");
  push("raw packet cut", make_tga({.width = 4, .height = 1, .type = 10}, {0x03, 1, 2, 3}),
       "ends inside its pixels");
  push("9000 x 9000 in one packet",
       make_tga({.width = 9000, .height = 9000, .type = 10}, {0xff, 1, 2, 3}),
       "ends inside its pixels");
  // A TGA has no magic number, so an impossible header makes it no picture at all.
  push("bpp 7", make_tga({.width = 1, .height = 1, .bits = 7}, ByteVector(3)), "not a picture");
  push("bpp 64", make_tga({.width = 1, .height = 1, .bits = 64}, ByteVector(8)), "not a picture");
  push("0 x 1", make_tga({.width = 0, .height = 1}, ByteVector(3)), "not a picture");
  return all;
}

std::vector<HostilePicture> not_pictures() {
  std::vector<HostilePicture> all;
  auto push = [&](const char* name, ByteVector bytes, const char* expected) {
    bytes.resize(std::max<size_t>(bytes.size(), bytes.empty() ? 0 : 200), ' ');
    all.push_back({name, std::move(bytes), expected});
  };
  push("zero bytes", {}, "empty file");
  push("one byte", text("x"), "not a picture");
  push("text", text("Dear reader,\nthis is not a picture.\n"), "not a picture");
  push("HTML", text("<!DOCTYPE html><html>404</html>"), "not a picture");
  push("ZIP", text("PK\x03\x04"), "not a picture");
  push("GGUF", text("GGUF\x03"), "not a picture");
  push("zeros", ByteVector(4096), "not a picture");
  push("GIF", text("GIF89a"), "unsupported format GIF");
  push("PSD", text("8BPS"), "unsupported format PSD");
  push("PIC", text("\x53\x80\xf6\x34"), "unsupported format PIC");
  push("HDR", text("#?RADIANCE\n"), "unsupported format HDR");
  push("PNM16", text("P6\n1 1\n65535\n"), "unsupported format PNM");
  push("WebP", text(std::string("RIFF\0\0\0\0WEBPVP8 ", 16)), "unsupported format WebP");
  push("TIFF", text(std::string("II*\0", 4)), "unsupported format TIFF");
  return all;
}

}  // namespace mgpnet_tests
