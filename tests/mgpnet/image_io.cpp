// Picture files that must be read: every shape is exact, metadata pass through.
#include "mgpnet/image_io.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "mgpnet/exif.h"
#include "nn/atomic_file.h"
#include "nn/random.h"
#include "picture_builders.h"

namespace fs = std::filesystem;
using namespace mgpnet;
using namespace mgpnet_tests;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "mgpnet-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

void check_equal(const Image& got, const Image& expected) {
  CHECK(got.width == expected.width);
  CHECK(got.height == expected.height);
  CHECK(got.channels == expected.channels);
  CHECK(got.bits == expected.bits);
  CHECK(got.pixels == expected.pixels);
}

void check_probe(const ByteVector& bytes, const Image& image, Format format) {
  const ImageHeader header = probe_image(bytes, "x");
  CHECK(header.width == image.width);
  CHECK(header.height == image.height);
  CHECK(header.channels == image.channels);
  CHECK(header.bits == image.bits);
  CHECK(header.format == format);
}

double mean_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
  return sum / static_cast<double>(a.pixels.size());
}

}  // namespace

TEST_CASE("image_io: PNG round trips are exact in every shape") {
  uint32_t seed = 10;
  for (int bits : {8, 16})
    for (int channels : {1, 2, 3, 4})
      for (auto [width, height] : {std::pair{1, 1}, {2, 2}, {3, 1}, {1, 5000}, {37, 23}}) {
        CAPTURE(bits);
        CAPTURE(channels);
        CAPTURE(width);
        const Image image = random_image(width, height, channels, bits, seed++);
        for (int level : {0, 6, 9}) {
          const ByteVector bytes = encode_image(image, Format::png, {.png_level = level});
          check_equal(decode_image(bytes, "x"), image);
          check_probe(bytes, image, Format::png);
        }
      }
}

TEST_CASE("image_io: PNG of 1, 2, 4, 8, 16 bit, gray and color, plain and interlaced") {
  uint32_t seed = 100;
  const std::pair<int, int> kinds[] = {{0, 1},  {0, 2}, {0, 4},  {0, 8}, {0, 16}, {2, 8},
                                       {2, 16}, {4, 8}, {4, 16}, {6, 8}, {6, 16}};
  for (auto [color, depth] : kinds)
    for (bool interlaced : {false, true})
      for (auto [width, height] : {std::pair{1, 1}, {2, 2}, {5, 3}, {9, 9}, {17, 11}}) {
        CAPTURE(color);
        CAPTURE(depth);
        CAPTURE(interlaced);
        CAPTURE(width);
        const PngSpec spec{.width = width,
                           .height = height,
                           .depth = depth,
                           .color = color,
                           .interlaced = interlaced};
        Image expected = random_image(width, height,
                                      color == 2   ? 3
                                      : color == 6 ? 4
                                      : color == 4 ? 2
                                                   : 1,
                                      depth == 16 ? 16 : 8, 1);
        const std::vector<uint16_t> samples = random_samples(expected.pixels.size(), depth, seed++);
        const int scale = depth == 16 ? 1 : 255 / ((1 << depth) - 1);
        for (size_t i = 0; i < samples.size(); ++i)
          expected.pixels[i] = static_cast<uint16_t>(samples[i] * scale);
        const ByteVector bytes = make_png(spec, samples);
        check_equal(decode_image(bytes, "x"), expected);
        check_probe(bytes, expected, Format::png);
      }
}

TEST_CASE("image_io: PNG palettes of 1, 2, 4, 8 bit, with and without transparency") {
  for (int depth : {1, 2, 4, 8})
    for (bool transparent : {false, true})
      for (bool interlaced : {false, true}) {
        CAPTURE(depth);
        CAPTURE(transparent);
        CAPTURE(interlaced);
        const size_t colors = size_t{1} << depth;
        PngSpec spec{
            .width = 11, .height = 7, .depth = depth, .color = 3, .interlaced = interlaced};
        for (size_t i = 0; i < 3 * colors; ++i)
          spec.palette.push_back(static_cast<uint8_t>(31 * i + 5));
        // Fewer alphas than colors: the rest is opaque.
        if (transparent)
          for (size_t i = 0; i + 1 < colors; ++i) spec.trns.push_back(static_cast<uint8_t>(7 * i));
        const std::vector<uint16_t> samples = random_samples(77, depth, 5);
        Image expected = random_image(11, 7, transparent ? 4 : 3, 8, 1);
        uint16_t* to = expected.pixels.data();
        for (uint16_t index : samples) {
          for (size_t c = 0; c < 3; ++c) *to++ = spec.palette[3 * size_t{index} + c];
          if (transparent) *to++ = index < spec.trns.size() ? spec.trns[index] : 255;
        }
        const ByteVector bytes = make_png(spec, samples);
        check_equal(decode_image(bytes, "x"), expected);
        check_probe(bytes, expected, Format::png);
      }
}

TEST_CASE("image_io: PNG with one transparent color becomes alpha") {
  const ByteVector gray =
      make_png({.width = 3, .height = 1, .depth = 2, .color = 0, .trns = {0, 2}}, {1, 2, 3});
  CHECK(decode_image(gray, "x").pixels == std::vector<uint16_t>{85, 255, 170, 0, 255, 255});
  const ByteVector rgb =
      make_png({.width = 2, .height = 1, .depth = 16, .color = 2, .trns = {1, 2, 3, 4, 5, 6}},
               {0x0102, 0x0304, 0x0506, 0x0102, 0x0304, 0x0507});
  CHECK(decode_image(rgb, "x").pixels ==
        std::vector<uint16_t>{0x0102, 0x0304, 0x0506, 0, 0x0102, 0x0304, 0x0507, 65535});
}

TEST_CASE("image_io: PNG data in many pieces, chunks nobody knows, bytes behind the end") {
  const PngSpec spec{.width = 4, .height = 4, .depth = 8, .color = 0};
  const std::vector<uint16_t> samples = random_samples(16, 8, 3);
  const ByteVector plain = make_png(spec, samples);
  const ByteVector packed = zlib_stream(png_rows(spec, samples));
  const size_t data = plain.size() - 12 - packed.size() - 12;
  ByteVector split(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(data));
  auto add = [&](const ByteVector& more) { split.insert(split.end(), more.begin(), more.end()); };
  add(png_chunk("teXt", {1, 2, 3}));
  for (uint8_t byte : packed) {
    add(png_chunk("IDAT", {byte}));
    add(png_chunk("IDAT", {}));
  }
  add(png_chunk("tIME", ByteVector(7)));
  add(png_chunk("IEND", {}));
  add({1, 2, 3});
  CHECK(decode_image(split, "x").pixels == samples);
}

TEST_CASE("image_io: JPEG keeps size, channels and nearly the values; quality counts") {
  for (int channels : {1, 3})
    for (auto [width, height] : {std::pair{1, 1}, {2, 2}, {3, 1}, {1, 5000}, {61, 43}}) {
      CAPTURE(channels);
      CAPTURE(width);
      const Image image = smooth_image(width, height, channels);
      const ByteVector fine = encode_image(image, Format::jpg, {.quality = 95});
      const ByteVector coarse = encode_image(image, Format::jpg, {.quality = 20});
      const Image back = decode_image(fine, "x");
      CHECK(back.width == width);
      CHECK(back.height == height);
      CHECK(back.channels == channels);
      CHECK(back.bits == 8);
      CHECK(mean_difference(back, image) < 2.0);
      if (width > 3) CHECK(coarse.size() < fine.size());
      check_probe(fine, image, Format::jpg);
    }
}

TEST_CASE("image_io: JPEG progressive equals baseline") {
  for (int channels : {1, 3}) {
    const Image baseline = decode_image(make_jpeg(40, 30, channels, false), "x");
    const Image progressive = decode_image(make_jpeg(40, 30, channels, true), "x");
    check_equal(progressive, baseline);
  }
}

TEST_CASE("image_io: BMP and TGA round trips are exact") {
  for (auto [width, height] : {std::pair{1, 1}, {2, 2}, {3, 1}, {1, 5000}, {37, 23}}) {
    for (int channels : {1, 2, 3, 4}) {
      CAPTURE(width);
      CAPTURE(channels);
      const Image image = random_image(width, height, channels, 8, 7);
      const ByteVector tga = encode_image(image, Format::tga);
      check_equal(decode_image(tga, "x"), image);
      check_probe(tga, image, Format::tga);
      if (channels < 3) continue;
      const ByteVector bmp = encode_image(image, Format::bmp);
      check_equal(decode_image(bmp, "x"), image);
      check_probe(bmp, image, Format::bmp);
    }
  }
  // BMP has no gray; a gray picture comes back as equal channels.
  const Image gray = random_image(9, 4, 2, 8, 8);
  const Image back = decode_image(encode_image(gray, Format::bmp), "x");
  REQUIRE(back.channels == 4);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 9; ++x) {
      for (int c = 0; c < 3; ++c) CHECK(back.at(x, y)[c] == gray.at(x, y)[0]);
      CHECK(back.at(x, y)[3] == gray.at(x, y)[1]);
    }
}

TEST_CASE(
    "image_io: BMP kinds: palettes, OS/2, masks, rows from the top, a gap before the pixels") {
  const ByteVector colors = {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0};  // B G R 0
  const std::vector<uint16_t> zero = {3, 2, 1}, one = {6, 5, 4}, three = {12, 11, 10};
  auto pixels = [](std::initializer_list<std::vector<uint16_t>> parts) {
    std::vector<uint16_t> out;
    for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  };
  auto decoded = [](const ByteVector& bytes) { return decode_image(bytes, "x").pixels; };

  CHECK(decoded(make_bmp({.width = 3, .height = 1, .bits = 8, .palette = colors}, {0, 1, 3, 0})) ==
        pixels({zero, one, three}));
  CHECK(decoded(make_bmp({.width = 3, .height = 1, .bits = 4, .palette = colors},
                         {0x01, 0x30, 0, 0})) == pixels({zero, one, three}));
  CHECK(decoded(make_bmp({.width = 2, .height = 1, .bits = 1, .palette = {1, 2, 3, 0, 4, 5, 6, 0}},
                         {0x40, 0, 0, 0})) == pixels({zero, one}));
  // An index that the palette does not have is black, never what happened to lie in memory.
  CHECK(decoded(make_bmp({.width = 2, .height = 1, .bits = 8, .palette = colors},
                         {200, 1, 0, 0})) == pixels({{0, 0, 0}, one}));
  CHECK(decoded(make_bmp(
            {.width = 2, .height = 1, .bits = 8, .header = 12, .palette = {1, 2, 3, 4, 5, 6}},
            {1, 0, 0, 0})) == pixels({one, zero}));
  const ByteVector rows = {1, 2, 3, 0, 4, 5, 6, 0};  // two rows of one pixel
  CHECK(decoded(make_bmp({.width = 1, .height = 2}, rows)) == pixels({one, zero}));
  CHECK(decoded(make_bmp({.width = 1, .height = -2}, rows)) == pixels({zero, one}));
  CHECK(decoded(make_bmp({.width = 1, .height = 2, .header = 12}, rows)) == pixels({one, zero}));
  CHECK(decoded(make_bmp({.width = 1, .height = 2, .gap = 10}, rows)) == pixels({one, zero}));
  CHECK(decoded(make_bmp({.width = 1, .height = 2, .header = 124}, rows)) == pixels({one, zero}));
  CHECK(decoded(make_bmp({.width = 1, .height = 1, .bits = 32}, {1, 2, 3, 99})) == pixels({zero}));
  CHECK(decoded(make_bmp({.width = 2, .height = 1, .bits = 16}, {0x1f, 0, 0, 0x7c})) ==
        pixels({{0, 0, 255}, {255, 0, 0}}));
  const ByteVector masks565 = {0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0};
  CHECK(decoded(make_bmp({.width = 2, .height = 1, .bits = 16, .compression = 3, .masks = masks565},
                         {0xe0, 7, 0, 0xf8})) == pixels({{0, 255, 0}, {255, 0, 0}}));
  const ByteVector masks_bgra = {0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0xff};
  CHECK(decoded(make_bmp({.width = 1,
                          .height = 1,
                          .bits = 32,
                          .compression = 3,
                          .header = 108,
                          .masks = masks_bgra},
                         {1, 2, 3, 99})) == std::vector<uint16_t>{3, 2, 1, 99});
}

TEST_CASE("image_io: TGA kinds: palette, packets, gray with alpha, 15 bit, every origin, an id") {
  auto decoded = [](const ByteVector& bytes) { return decode_image(bytes, "x").pixels; };
  using Values = std::vector<uint16_t>;
  const ByteVector four = {1, 2, 3, 4};
  CHECK(decoded(make_tga({.width = 2, .height = 2, .type = 3, .bits = 8}, four)) ==
        Values{1, 2, 3, 4});
  CHECK(decoded(make_tga({.width = 2, .height = 2, .type = 3, .bits = 8, .descriptor = 0}, four)) ==
        Values{3, 4, 1, 2});
  CHECK(decoded(make_tga({.width = 2, .height = 2, .type = 3, .bits = 8, .descriptor = 0x30},
                         four)) == Values{2, 1, 4, 3});
  CHECK(decoded(make_tga({.width = 2, .height = 2, .type = 3, .bits = 8, .descriptor = 0x10},
                         four)) == Values{4, 3, 2, 1});
  CHECK(decoded(make_tga({.width = 2, .height = 1, .type = 3, .bits = 16}, four)) ==
        Values{1, 2, 3, 4});
  CHECK(decoded(make_tga({.width = 1, .height = 1, .bits = 32, .id = "name"}, four)) ==
        Values{3, 2, 1, 4});
  CHECK(decoded(make_tga({.width = 1, .height = 1, .bits = 16}, {0, 0x7c})) == Values{255, 0, 0});
  CHECK(decoded(make_tga({.width = 3, .height = 1, .type = 10}, {0x81, 1, 2, 3, 0, 4, 5, 6})) ==
        Values{3, 2, 1, 3, 2, 1, 6, 5, 4});
  CHECK(decoded(make_tga({.width = 3, .height = 1, .type = 11, .bits = 8}, {0x02, 7, 8, 9})) ==
        Values{7, 8, 9});
  const ByteVector palette = {1, 2, 3, 4, 5, 6};
  CHECK(decoded(make_tga(
            {.width = 2, .height = 1, .type = 1, .bits = 8, .palette_bits = 24, .palette = palette},
            {1, 0})) == Values{6, 5, 4, 3, 2, 1});
  CHECK(decoded(make_tga(
            {.width = 2, .height = 1, .type = 9, .bits = 8, .palette_bits = 24, .palette = palette},
            {0x81, 1})) == Values{6, 5, 4, 6, 5, 4});
}

TEST_CASE(
    "image_io: EXIF orientation is applied and set to upright, in JPEG and PNG, both byte orders") {
  // 2 x 3, values 1..6; the upright pictures written by hand from the EXIF standard.
  const std::vector<uint16_t> stored = {10, 20, 30, 40, 50, 60};
  const std::vector<uint16_t> upright[8] = {{10, 20, 30, 40, 50, 60}, {20, 10, 40, 30, 60, 50},
                                            {60, 50, 40, 30, 20, 10}, {50, 60, 30, 40, 10, 20},
                                            {10, 30, 50, 20, 40, 60}, {50, 30, 10, 60, 40, 20},
                                            {60, 40, 20, 50, 30, 10}, {20, 40, 60, 10, 30, 50}};
  const ByteVector jpeg = make_jpeg(24, 17, 3);
  for (int orientation = 1; orientation <= 8; ++orientation)
    for (bool big_endian : {false, true}) {
      CAPTURE(orientation);
      CAPTURE(big_endian);
      const ByteVector exif = make_exif(orientation, big_endian);
      const ByteVector png = make_png({.width = 2, .height = 3, .depth = 8, .color = 0}, stored,
                                      png_chunk("eXIf", exif));
      const Image image = decode_image(png, "x");
      CHECK(image.width == (orientation >= 5 ? 3 : 2));
      CHECK(image.height == (orientation >= 5 ? 2 : 3));
      CHECK(image.pixels == upright[orientation - 1]);
      CHECK(image.exif == make_exif(1, big_endian));
      check_probe(png, image, Format::png);

      const ByteVector block = joined({{'E', 'x', 'i', 'f', 0, 0}, exif});
      const Image turned = decode_image(with_segment(jpeg, 0xe1, block), "x");
      CHECK(turned.width == (orientation >= 5 ? 17 : 24));
      CHECK(turned.exif == make_exif(1, big_endian));
      check_probe(with_segment(jpeg, 0xe1, block), turned, Format::jpg);
    }
}

TEST_CASE("image_io: an orientation that is none, or of another type, is upright and left alone") {
  for (int orientation : {0, 9, 65535})
    CHECK(find_orientation(make_exif(orientation, true)).value == 1);
  ByteVector odd = make_exif(6, false);
  odd[8 + 2 + 12 + 2] = 4;  // LONG
  CHECK(find_orientation(odd).valid);
  CHECK(find_orientation(odd).value == 1);
  const ByteVector before = odd;
  set_upright(&odd);
  CHECK(odd == before);
}

TEST_CASE("image_io: EXIF blocks cut anywhere are never read past their end") {
  const ByteVector whole = make_exif(6, true);
  for (size_t size = 0; size < whole.size() - 4; ++size) {
    const ByteVector part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    CHECK_FALSE(find_orientation(part).valid);
  }
}

TEST_CASE("image_io: ICC and EXIF pass through PNG and JPEG in every combination") {
  Image image = smooth_image(16, 16, 3);
  image.exif = make_exif(1, false);
  for (size_t profile_size :
       {size_t{1}, size_t{3000}, size_t{200000}}) {  // the last takes 4 JPEG segments
    image.icc.resize(profile_size);
    for (size_t i = 0; i < profile_size; ++i) image.icc[i] = static_cast<uint8_t>(i * i >> 3);
    for (Format first : {Format::png, Format::jpg})
      for (Format second : {Format::png, Format::jpg}) {
        const Image once = decode_image(encode_image(image, first), "x");
        const Image twice = decode_image(encode_image(once, second), "x");
        CHECK(twice.icc == image.icc);
        CHECK(twice.exif == image.exif);
      }
  }
}

TEST_CASE("image_io: PNG color chunks pass through byte for byte") {
  ByteVector chunks = png_chunk("gAMA", {0, 0, 0xb1, 0x8f});
  const ByteVector chrm = png_chunk("cHRM", ByteVector(32, 1));
  chunks.insert(chunks.end(), chrm.begin(), chrm.end());
  const ByteVector file = make_png({.width = 1, .height = 1, .depth = 8, .color = 0}, {7}, chunks);
  const Image image = decode_image(file, "x");
  CHECK(image.png_color == chunks);
  CHECK(decode_image(encode_image(image, Format::png), "x").png_color == chunks);
}

TEST_CASE("image_io: what a format cannot hold is said and done") {
  Image image = random_image(3, 2, 4, 16, 5);
  CHECK(lost_in(image, Format::png).empty());
  CHECK(lost_in(image, Format::jpg).find("transparency") != std::string::npos);
  CHECK(lost_in(image, Format::bmp).find("16 bit") != std::string::npos);
  CHECK(lost_in(random_image(3, 2, 3, 8, 5), Format::jpg).empty());
  const Image eight = decode_image(encode_image(image, Format::tga), "x");
  for (size_t i = 0; i < image.pixels.size(); ++i)
    CHECK(eight.pixels[i] == static_cast<int>(std::lround(image.pixels[i] / 257.0)));
  Image clear = random_image(8, 8, 4, 8, 6);
  for (size_t i = 3; i < clear.pixels.size(); i += 4) clear.pixels[i] = 0;
  for (uint16_t v : decode_image(encode_image(clear, Format::jpg), "x").pixels) CHECK(v == 255);
}

TEST_CASE("image_io: sides that a format cannot write are an output error") {
  Image wide = random_image(65536, 1, 1, 8, 5);
  CHECK_THROWS_AS(encode_image(wide, Format::jpg), satin::WriteError);
  CHECK_THROWS_AS(encode_image(wide, Format::tga), satin::WriteError);
  CHECK_NOTHROW(encode_image(wide, Format::png));
  wide.pixels.pop_back();
  CHECK_THROWS_AS(encode_image(wide, Format::png), satin::Error);
}

TEST_CASE("image_io: files: content decides the format, names may be anything") {
  Folder folder;
  const Image image = random_image(5, 4, 3, 8, 9);
  const std::string names[] = {"wrong extension.jpg", "new\nline", "-dash",
                               "gr\xc3\xbc\xc3\x9f.bmp", std::string(255, 'n')};
  for (const std::string& name : names) {
    satin::write_file(folder / name, encode_image(image, Format::png));
    check_equal(read_image(folder / name), image);
    CHECK(probe_image(folder / name).format == Format::png);
  }
  fs::create_symlink("-dash", folder / "link");
  check_equal(read_image(folder / "link"), image);
}

TEST_CASE("image_io: the size of a file is known from its beginning") {
  Folder folder;
  Image image = random_image(700, 500, 3, 8, 9);
  const auto check_size = [&](const std::string& path) {
    const ImageHeader header = probe_image(path);
    CHECK(header.width == image.width);
    CHECK(header.height == image.height);
    CHECK(header.channels == image.channels);
  };
  for (const Format format : {Format::png, Format::jpg, Format::bmp, Format::tga}) {
    const std::string path = folder / format_name(format);
    ByteVector bytes = encode_image(image, format, {.quality = 100});
    REQUIRE(bytes.size() > 400'000);
    // Damage far behind the header, as a whole read would notice.
    std::fill(bytes.end() - 100, bytes.end(), uint8_t{0});
    satin::write_file(path, bytes);
    check_size(path);
    if (format == Format::png || format == Format::jpg)
      CHECK_THROWS_AS(probe_image(bytes, path), ImageError);
  }
  // A profile that fills the beginning.
  for (uint32_t i = 0; i < 600'000; ++i) image.icc.push_back(static_cast<uint8_t>(satin::mix64(i)));
  for (const Format format : {Format::png, Format::jpg}) {
    const std::string path = folder / format_name(format);
    satin::write_file(path, encode_image(image, format, {.quality = 50}));
    check_size(path);
  }
}

TEST_CASE("image_io: format names") {
  Format format = Format::png;
  for (auto [text, expected] : {std::pair{"PNG", Format::png},
                                {".jpeg", Format::jpg},
                                {"jpg", Format::jpg},
                                {".BMP", Format::bmp},
                                {"tga", Format::tga}}) {
    REQUIRE(format_from_name(text, &format));
    CHECK(format == expected);
  }
  CHECK_FALSE(format_from_name("gif", &format));
  CHECK_FALSE(format_from_name("", &format));
  CHECK(has_picture_extension("a.b.PNG"));
  CHECK_FALSE(has_picture_extension("png"));
  CHECK_FALSE(has_picture_extension("a.txt"));
}
