// The container of training states: every wrong bit and every truncation is found.
#include "nn/container.h"

#include <array>
#include <filesystem>

#include <doctest/doctest.h>

#include "hostile_files.h"

using namespace satin;
using satin::testing::Bytes;

namespace {

constexpr std::string_view kKind = "test-state";
constexpr uint32_t kSchema = 7;

std::vector<Section> from_memory(const Bytes& bytes) {
  ByteReader reader("memory", std::as_bytes(std::span(bytes.data(), bytes.size())));
  return unpack_sections(reader, kKind, kSchema);
}

// What a trainer does with its state.
void load(ByteReader& reader) {
  constexpr std::array<std::string_view, 4> kNames = {"config", "position", "weights", "moments"};
  const SectionMap state(reader, kKind, kSchema);
  state.expect_text("config", "levels = 3", "use the run's own configuration");
  state.integer("position", 0, 100);
  const auto weights = state.values<float>("weights", 3);
  const auto moments = state.values<float>("moments", 3);
  state.expect_only(kNames);
  CHECK(weights == std::vector<float>{1, 2, 3});
  CHECK(moments == std::vector<float>{4, 5, 6});
}

uint64_t checksum_of(std::string_view text, uint64_t seed = 0) {
  return checksum64(std::as_bytes(std::span(text)), seed);
}

}  // namespace

TEST_CASE("container: the checksum is XXH64") {
  CHECK(checksum_of("") == 0xef46db3751d8e999);
  CHECK(checksum_of("a") == 0xd24ec4f1a98c6e5b);
  CHECK(checksum_of("abc") == 0x44bc2cf5ad770999);
  CHECK(checksum_of("Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1);
  CHECK(checksum_of("abc", 1) != checksum_of("abc"));
}

TEST_CASE("container: every hostile file is refused") {
  const auto read = [](const std::string& path) {
    ByteReader reader(path);
    load(reader);
  };
  testing::expect_all_refused(testing::hostile_state(), ".state", read);
  testing::expect_special_files_refused(read);
}

TEST_CASE("container: any flipped bit and any truncation is refused") {
  const Bytes bytes = testing::state_bytes();
  CHECK(testing::corrupt_everywhere(bytes, [](const Bytes& corrupt) { from_memory(corrupt); }) ==
        0);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    CHECK_THROWS_AS(from_memory(flipped), FileError);
  }
}

TEST_CASE("container: a file that shrinks while it is read is refused") {
  const testing::TemporaryFolder folder;
  for (const uint64_t size : {uint64_t{0}, uint64_t{100}}) {
    const std::string path = folder.write("s.state", testing::state_bytes());
    testing::expect_refused(path, "shrinks", "the file shrank", [&](const std::string& name) {
      ByteReader reader(name);
      std::filesystem::resize_file(name, size);
      load(reader);
    });
  }
}

TEST_CASE("container: the writer makes the bytes that are documented") {
  const std::array<float, 3> weights = {1, 2, 3}, moments = {4, 5, 6};
  const std::vector<Section> sections = {
      text_section("config", "levels = 3"), integer_section("position", 41),
      values_section("weights", std::span<const float>(weights)),
      values_section("moments", std::span<const float>(moments))};
  const std::vector<uint8_t> bytes = pack_sections(kKind, kSchema, sections);
  const Bytes expected = testing::state_bytes();
  CHECK(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));

  ByteReader reader("memory", std::as_bytes(std::span(bytes)));
  const SectionMap back(reader, kKind, kSchema);
  CHECK(back.text("config") == "levels = 3");
  CHECK(back.integer("position", 0, 100) == 41);
  CHECK(back.has("weights"));
  CHECK_FALSE(back.has("weight"));
  CHECK(pack_sections(kKind, kSchema, back.sections()) == bytes);
}

TEST_CASE("container: no sections, empty sections and large ones come back") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{8}, size_t{1000003}}) {
    CAPTURE(size);
    std::vector<Section> sections = {{"x", std::vector<std::byte>(size, std::byte{0x5a})},
                                     {std::string(255, 'y'), {}}};
    if (size == 0) sections.clear();
    const std::vector<uint8_t> bytes = pack_sections(kKind, kSchema, sections);
    const std::vector<Section> back = from_memory(Bytes(bytes.begin(), bytes.end()));
    REQUIRE(back.size() == sections.size());
    for (size_t i = 0; i < back.size(); ++i) {
      CHECK(back[i].name == sections[i].name);
      CHECK(back[i].data == sections[i].data);
    }
  }
}

TEST_CASE("container: the writer refuses what the reader would") {
  CHECK_THROWS_AS(pack_sections("", 1, {}), Error);
  CHECK_THROWS_AS(pack_sections("a kind of seventeen", 1, {}), Error);
  for (const std::string& name :
       {std::string(), std::string(256, 'n'), std::string("a\nb"), std::string("\xff")}) {
    const std::vector<Section> sections = {{name, {}}};
    CHECK_THROWS_AS(pack_sections(kKind, 1, sections), Error);
  }
  const std::vector<Section> twice = {{"x", {}}, {"x", {}}};
  CHECK_THROWS_WITH_AS(pack_sections(kKind, 1, twice), doctest::Contains("is there twice"), Error);
}
