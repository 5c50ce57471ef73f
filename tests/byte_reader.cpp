// The bounded reader, checked sizes, and the text helpers that error messages use.
#include "nn/byte_reader.h"

#include <array>
#include <limits>

#include <doctest/doctest.h>

#include "hostile_files.h"
#include "nn/checked.h"
#include "nn/text.h"

using namespace satin;
using satin::testing::Bytes;

TEST_CASE("checked: sizes that do not fit are empty") {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  CHECK(checked::add(2, 3) == 5);
  CHECK(checked::add(kMax, 0) == kMax);
  CHECK_FALSE(checked::add(kMax, 1));
  CHECK(checked::mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1) == kMax - 0xffffffff);
  CHECK_FALSE(checked::mul(uint64_t{1} << 32, uint64_t{1} << 32));
  CHECK(checked::mul(0, kMax) == 0);
  CHECK(checked::pad(0, 32) == 0);
  CHECK(checked::pad(1, 32) == 32);
  CHECK(checked::pad(32, 32) == 32);
  CHECK(checked::pad(kMax - 31, 32) == kMax - 31);
  CHECK_FALSE(checked::pad(kMax - 30, 32));
}

TEST_CASE("byte_reader: files and memory read alike across buffer boundaries") {
  const testing::TemporaryFolder folder;
  Bytes bytes;
  for (uint32_t i = 0; i < 100000; ++i) bytes.u32(i * 2654435761u);
  ByteReader file(folder.write("f", bytes));
  ByteReader memory("f", std::as_bytes(std::span(bytes.data(), bytes.size())));
  // Small, odd and large reads, forward and back.
  constexpr std::array<uint64_t, 8> kSteps = {1, 7, 65535, 65536, 65537, 3, 130000, 4};
  for (const uint64_t start : {uint64_t{0}, uint64_t{65533}, uint64_t{5}}) {
    file.seek(start);
    memory.seek(start);
    for (const uint64_t step : kSteps) {
      CAPTURE(step);
      CHECK(file.get_text(step, "x") == memory.get_text(step, "x"));
      CHECK(file.offset() == memory.offset());
    }
  }
  CHECK_THROWS_WITH_AS(file.expect_end("x"), doctest::Contains("bytes follow x"), FileError);
  file.seek(file.size());
  file.expect_end("x");
  CHECK_THROWS_WITH_AS(file.get<uint16_t>("a thing"),
                       doctest::Contains("byte 400000: the file ends inside a thing: 2"),
                       FileError);
  CHECK_THROWS_AS(file.seek(file.size() + 1), FileError);
  CHECK_THROWS_AS(file.get_text(std::numeric_limits<uint64_t>::max(), "x"), FileError);
}

TEST_CASE("byte_reader: the error's parts") {
  const ByteReader reader("dir/m.gguf", {});
  try {
    reader.fail(7, "too blue");
    FAIL("it returned");
  } catch (const FileError& error) {
    CHECK(error.file() == "dir/m.gguf");
    CHECK(error.offset() == 7);
    CHECK(error.reason() == "too blue");
    CHECK(std::string(error.what()) == "dir/m.gguf: byte 7: too blue; " + error.advice());
  }
}

TEST_CASE("text: UTF-8 as the standard has it") {
  for (const std::string_view good :
       {"", "abc", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(valid_utf8(good));
  for (const std::string_view bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x20", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    CHECK_FALSE(valid_utf8(bad));
  CHECK(valid_utf8_length("ab\xff") == 2);
}

TEST_CASE("text: names are printed on one short line") {
  CHECK(in_quotes("conv.weight") == "\"conv.weight\"");
  CHECK(in_quotes("a\nb\x7f\xff") == "\"a\\x0ab\\x7f\\xff\"");
  CHECK(in_quotes("\xc3\xa9") == "\"\xc3\xa9\"");
  CHECK(in_quotes(std::string(1000, 'x')).size() == 85);
}

TEST_CASE("text: the nearest name, if one is near") {
  const std::array<std::string_view, 3> names = {"conv1.weight", "conv1.bias", "layernorm.bias"};
  CHECK(nearest_name("conv1.wieght", names) == "conv1.weight");
  CHECK(nearest_name("conv2.bias", names) == "conv1.bias");
  CHECK(nearest_name("optimizer", names).empty());
  CHECK(nearest_name(std::string(100000, 'a'), names).empty());
  CHECK(nearest_name("", names).empty());
}
