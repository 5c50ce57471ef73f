// Picture files that must be refused: with a sentence, in time, without memory, whatever the bytes.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <random>
#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostile_pictures.h"
#include "mgpnet/image_io.h"
#include "tests/growth_limit.h"

namespace fs = std::filesystem;
using satin::testing::GrowthLimit;
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

constexpr int64_t kMemoryBar = 64 << 20;

void check_refused(const std::vector<HostilePicture>& pictures, size_t at_least) {
  REQUIRE(pictures.size() >= at_least);
  for (const HostilePicture& picture : pictures) {
    CAPTURE(picture.name);
    const GrowthLimit limit(picture.bytes.size() + kMemoryBar);
    const auto start = std::chrono::steady_clock::now();
    try {
      decode_image(picture.bytes, "some\nname.png");
      FAIL_CHECK("was accepted");
    } catch (const ImageError& error) {
      const std::string what = error.what();
      CAPTURE(what);
      CAPTURE(error.why());
      CHECK((what + error.why()).find(picture.expected) != std::string::npos);
      CHECK(what.find("some\\x0aname.png") != std::string::npos);
      CHECK_FALSE(error.why().empty());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(took.count() < 1.0);
  }
}

// Every prefix must be refused.
void check_truncations(const ByteVector& whole) {
  REQUIRE_NOTHROW(decode_image(whole, "whole"));
  int accepted = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    // A copy of the exact size lets the address sanitizer see a read behind the end.
    const ByteVector part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    try {
      decode_image(part, "part");
      ++accepted;
      MESSAGE("accepted with " << size << " of " << whole.size() << " bytes");
    } catch (const ImageError&) {
    }
  }
  CHECK(accepted == 0);
}

// Flipped bytes: an ImageError or an image that is what its header says, nothing else.
void check_corruptions(const ByteVector& whole, uint32_t seed, int rounds) {
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    ByteVector bytes = whole;
    const size_t at = random() % bytes.size();
    bytes[at] = static_cast<uint8_t>(random());
    CAPTURE(seed);
    CAPTURE(round);
    CAPTURE(at);
    try {
      const Image image = decode_image(bytes, "corrupt");
      REQUIRE(image.pixels.size() == static_cast<size_t>(image.width) *
                                         static_cast<size_t>(image.height) *
                                         static_cast<size_t>(image.channels));
    } catch (const ImageError&) {
      ++refused;
    }
  }
  CHECK(refused > 0);
}

}  // namespace

TEST_CASE("image_hostile: hostile PNG files are refused") { check_refused(hostile_png(), 55); }
TEST_CASE("image_hostile: hostile JPEG files are refused") { check_refused(hostile_jpeg(), 35); }
TEST_CASE("image_hostile: hostile BMP files are refused") { check_refused(hostile_bmp(), 28); }
TEST_CASE("image_hostile: hostile TGA files are refused") { check_refused(hostile_tga(), 14); }
TEST_CASE("image_hostile: what is no picture is refused by name") {
  check_refused(not_pictures(), 14);
}

TEST_CASE("image_hostile: truncation at every byte") {
  SUBCASE("PNG 8 bit") {
    check_truncations(encode_image(random_image(9, 7, 3, 8, 1), Format::png));
  }
  SUBCASE("PNG interlaced palette") {
    const PngSpec spec{.width = 9,
                       .height = 9,
                       .depth = 4,
                       .color = 3,
                       .interlaced = true,
                       .palette = ByteVector(48)};
    check_truncations(make_png(spec, random_samples(81, 4, 2)));
  }
  SUBCASE("JPEG") { check_truncations(make_jpeg(24, 17, 3)); }
  SUBCASE("JPEG progressive") { check_truncations(make_jpeg(24, 17, 3, true)); }
  SUBCASE("BMP") { check_truncations(encode_image(random_image(9, 7, 3, 8, 1), Format::bmp)); }
  SUBCASE("BMP with palette") {
    check_truncations(make_bmp({.width = 5, .height = 3, .bits = 8, .palette = ByteVector(1024, 3)},
                               ByteVector(24)));
  }
  SUBCASE("TGA packed") {
    check_truncations(encode_image(random_image(9, 7, 4, 8, 1), Format::tga));
  }
  SUBCASE("TGA plain") {
    check_truncations(make_tga({.width = 5, .height = 4}, ByteVector(60, 3)));
  }
}

TEST_CASE(
    "image_hostile: a JPEG cut anywhere and closed with an end mark is refused while pixels are "
    "missing") {
  for (bool progressive : {false, true}) {
    const ByteVector whole = make_jpeg(64, 48, 3, progressive);
    size_t last_scan = 0;
    for (size_t i = 0; i + 1 < whole.size(); ++i)
      if (whole[i] == 0xff && whole[i + 1] == 0xda) last_scan = i;
    int accepted = 0;
    // From two bytes before the end on, only padding bits are lost.
    for (size_t size = last_scan + 16; size < whole.size() - 6; size += 3) {
      ByteVector part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      part.insert(part.end(), {0xff, 0xd9});
      try {
        decode_image(part, "part");
        ++accepted;
      } catch (const ImageError&) {
      }
    }
    CHECK(accepted == 0);
  }
}

TEST_CASE("image_hostile: single wrong bytes never crash") {
  check_corruptions(encode_image(random_image(9, 7, 4, 16, 1), Format::png), 1, 400);
  check_corruptions(make_jpeg(24, 17, 3), 2, 1500);
  check_corruptions(make_jpeg(24, 17, 3, true), 3, 1500);
  check_corruptions(encode_image(random_image(9, 7, 3, 8, 1), Format::bmp), 4, 1500);
  check_corruptions(
      make_bmp({.width = 5, .height = 3, .bits = 4, .palette = ByteVector(64, 3)}, ByteVector(12)),
      5, 1500);
  check_corruptions(encode_image(random_image(9, 7, 4, 8, 1), Format::tga), 6, 1500);
  check_corruptions(make_tga({.width = 4,
                              .height = 4,
                              .type = 9,
                              .bits = 8,
                              .palette_bits = 16,
                              .palette = ByteVector(64, 5)},
                             {0x87, 1, 0x87, 40}),
                    7, 1500);
}

TEST_CASE(
    "image_hostile: PNG whose checksums are right but whose content is random never crashes") {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const PngSpec spec{.width = 7, .height = 5, .depth = 8, .color = 2};
    ByteVector raw = png_rows(spec, random_samples(105, 8, 1));
    raw[random() % raw.size()] = static_cast<uint8_t>(random());
    ByteVector packed = zlib_stream(raw);
    if (round % 2 == 1) packed[random() % packed.size()] = static_cast<uint8_t>(random());
    const ByteVector plain = make_png(spec, random_samples(105, 8, 1));
    ByteVector file(plain.begin(), plain.begin() + 33);
    for (const ByteVector& chunk : {png_chunk("IDAT", packed), png_chunk("IEND", {})})
      file.insert(file.end(), chunk.begin(), chunk.end());
    try {
      const Image image = decode_image(file, "x");
      CHECK(image.pixels.size() == 105);
    } catch (const ImageError& error) {
      CHECK(std::string(error.what()).find("PNG") != std::string::npos);
    }
  }
}

TEST_CASE("image_hostile: files that are no regular files are refused without waiting") {
  Folder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_symlink("circle", folder / "circle");
  { std::ofstream empty(folder / "empty"); }
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "socket").c_str(), sizeof address.sun_path - 1);
  REQUIRE(bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  fs::resize_file(folder / "empty", 0);
  { std::ofstream large(folder / "large"); }
  fs::resize_file(folder / "large", static_cast<uintmax_t>(kMaxFileBytes) + 1);
  const std::pair<std::string, std::string> cases[] = {{folder / "pipe", "FIFO"},
                                                       {folder / "dangling", "points to nothing"},
                                                       {folder / "circle", "symbolic links"},
                                                       {folder / "empty", "empty file"},
                                                       {folder / "socket", "socket"},
                                                       {folder / "large", "too large"},
                                                       {folder / "missing", "No such file"},
                                                       {folder.path.string(), "directory"},
                                                       {"/dev/zero", "device"},
                                                       {"", "No such file"},
                                                       {folder / "empty/below", "Not a directory"}};
  for (const auto& [path, expected] : cases) {
    CAPTURE(path);
    try {
      read_image(path);
      FAIL_CHECK("was accepted");
    } catch (const ImageError& error) {
      CAPTURE(error.why());
      const std::string sentence = std::string(error.what()) + " " + error.why();
      CAPTURE(sentence);
      CHECK(sentence.find(expected) != std::string::npos);
    }
  }
  close(socket_fd);
}

TEST_CASE("image_hostile: a damaged large picture is refused without memory for its pixels") {
  // 48 MB of pixels in a file of a few hundred KB; the damage lies at the very end.
  Image image = smooth_image(4000, 2000, 3);
  ByteVector png = encode_image(image, Format::png, {.png_level = 2});
  ByteVector jpeg = encode_image(image, Format::jpg, {.quality = 50});
  image = {};
  jpeg.erase(jpeg.end() - std::ssize(jpeg) / 50, jpeg.end());
  jpeg.insert(jpeg.end(), {0xff, 0xd9});
  png[png.size() - 30] ^= 0x55;
  const uint64_t little = 16 << 20;
  {
    const GrowthLimit limit(little);
    CHECK_THROWS_AS(decode_image(png, "x"), ImageError);
    CHECK_THROWS_AS(decode_image(jpeg, "x"), ImageError);
  }
  // The limit is kept: a sound picture of this size does not fit.
  const ByteVector sound = encode_image(smooth_image(4000, 2000, 3), Format::jpg);
  CHECK(decode_image(sound, "x").width == 4000);
  const GrowthLimit limit(little);
  if (limit.active()) CHECK_THROWS_AS(decode_image(sound, "x"), std::bad_alloc);
}
