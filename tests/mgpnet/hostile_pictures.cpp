// See hostile_pictures.h.  One line a picture: name, bytes, words that must appear.
#include "hostile_pictures.h"

#include <algorithm>

namespace mgpnet_tests {

std::vector<HostilePicture> hostile_png() {
  std::vector<HostilePicture> all;
  const PngSpec spec{.width = 5, .height = 4, .depth = 8, .color = 2};
  const std::vector<uint16_t> samples(60, 100);
  const ByteVector raw = png_rows(spec, samples);
  const ByteVector packed = zlib_stream(raw);
  const ByteVector header = png_header(5, 4, 8, 2);
  const ByteVector data = png_chunk("IDAT", packed), end = png_chunk("IEND", {});
  auto file = [&](std::initializer_list<ByteVector> chunks) {
    return joined({kPngSignature, joined(chunks)});
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

  push("magic only", kPngSignature, "no IEND");
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
       joined({kPngSignature, header, {0x7f, 0xff, 0xff, 0xff}, text("IDAT"), data}),
       "longer than the file");
  push("chunk length 2^32-1",
       joined({kPngSignature, header, {0xff, 0xff, 0xff, 0xff}, text("IDAT"), data}),
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
  push("CMYK", make_cmyk_jpeg(16, 16), "CMYK");
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
    for (int i = 0; i < 10000; ++i) append(&many, one);
    append(&many, {0xff, 0xd9});
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
