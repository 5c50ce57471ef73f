// safetensors: round trips, what is accepted, and everything that is refused
// (hostile_safetensors.cpp).
#include "nn/safetensors.h"

#include <array>
#include <filesystem>

#include <doctest/doctest.h>

#include "hostile_files.h"

using namespace satin;
using satin::testing::Bytes;

namespace {

const std::array<ExpectedTensor, 2> kModel = {{{"a.weight", {2, 3}}, {"b.bias", {4}}}};

TensorFile from_memory(const Bytes& bytes) {
  ByteReader reader("memory", std::as_bytes(std::span(bytes.data(), bytes.size())));
  return read_safetensors(reader);
}

TensorFile sample() {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.5f * static_cast<float>(i) - 2;
  const std::span<const float> all(values);
  TensorFile file;
  file.metadata = {{"format", std::string("pt")},
                   {"quotes", std::string("\"\\\n\t\x01 \xc3\xa9")},
                   {"", std::string()}};
  file.tensors = {
      store_values("w.1", {3, 4}, all, DType::f32),
      store_values("b", {5}, all.first(5), DType::bf16),
      store_values("scalar", {}, all.first(1), DType::f64),
      store_values("none", {0, 4}, all.first(0), DType::f32),
      store_values("a/slash \xe2\x82\xac", {1, 1, 1, 1, 2, 3}, all.first(6), DType::f16)};
  return file;
}

}  // namespace

TEST_CASE("safetensors: every hostile file is refused") {
  const auto read = [](const std::string& path) {
    const TensorFile file =
        read_safetensors(path, [](const TensorFile& header) { check_tensor_set(header, kModel); });
    check_finite(file);
  };
  testing::expect_all_refused(testing::hostile_safetensors(), ".safetensors", read);
  testing::expect_special_files_refused(read);
}

TEST_CASE("safetensors: a file that shrinks or grows while it is read is refused") {
  const testing::TemporaryFolder folder;
  const Bytes bytes = testing::safetensors_bytes();
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{bytes.size() - 1}, uint64_t{bytes.size() + 1}}) {
    const std::string path = folder.write("s.safetensors", bytes);
    testing::expect_refused(path, "resized", "size changed", [&](const std::string& name) {
      read_safetensors(name, [&](const TensorFile&) { std::filesystem::resize_file(name, size); });
    });
  }
}

TEST_CASE(
    "safetensors: unsorted order, scalars, zero-size tensors, escapes and spaces are accepted") {
  const TensorFile file = from_memory(testing::safetensors_of(
      R"({"z":{"shape":[2],"data_offsets":[8,16],"dtype":"F32"},"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
      R"( "e\u0065" : {"dtype":"F16","shape":[3,0,2],"data_offsets":[16,16]},"f":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}}   )",
      16));
  REQUIRE(file.tensors.size() == 4);
  CHECK(file.tensors[0].name == "z");
  CHECK(file.tensors[1].shape == Shape{});
  CHECK(file.tensors[1].data.size() == 8);
  CHECK(file.tensors[2].name == "ee");
  CHECK(file.tensors[2].shape == Shape{3, 0, 2});
  CHECK(file.tensors[3].data.empty());
  CHECK(from_memory(testing::safetensors_of("{}", 0)).tensors.empty());
  CHECK(from_memory(testing::safetensors_of(R"({"__metadata__":{}})", 0)).metadata.empty());
}

TEST_CASE("safetensors: the costliest legal header stays within time and memory") {
  const testing::TemporaryFolder folder;
  std::string header;
  for (size_t i = 0; i < kMaxTensors; ++i)
    header += (i ? ",\"a name that does not lie inline " : "{\"") + std::to_string(i) +
              R"(":{"dtype":"F16","shape":[1],"data_offsets":[)" + std::to_string(2 * i) + "," +
              std::to_string(2 * i + 2) + "]}";
  const Bytes bytes = testing::safetensors_of(header + "}", 2 * kMaxTensors);
  const std::string path = folder.write("t.safetensors", bytes);
  testing::within_limits(bytes.size(),
                         [&] { CHECK(read_safetensors(path).tensors.size() == kMaxTensors); });
}

TEST_CASE("safetensors: round trips keep every byte") {
  const testing::TemporaryFolder folder;
  const TensorFile file = sample();
  const std::vector<uint8_t> bytes = serialize_safetensors(file);
  const std::string path = folder.path("r.safetensors");
  write_safetensors(path, file);
  const TensorFile back = read_tensor_file(path);
  CHECK(serialize_safetensors(back) == bytes);
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (const StoredTensor& t : file.tensors) {
    const StoredTensor* found = back.find(t.name);
    REQUIRE(found != nullptr);
    CHECK(found->dtype == t.dtype);
    CHECK(found->shape == t.shape);
    CHECK(found->data == t.data);
  }
  // The order of the list does not matter, and the data begins at a multiple of eight.
  TensorFile reversed = file;
  std::reverse(reversed.tensors.begin(), reversed.tensors.end());
  CHECK(serialize_safetensors(reversed) == bytes);
  CHECK(bytes[0] % 8 == 0);
}

TEST_CASE("safetensors: the bytes are those of the reference implementation") {
  TensorFile file;
  const std::array<float, 2> values = {1, 2};
  file.metadata = {{"k", std::string("v\"\n")}};
  file.tensors = {store_values("h", {2}, std::span<const float>(values), DType::f16),
                  store_values("a", {1, 2}, std::span<const float>(values), DType::f32)};
  const std::vector<uint8_t> bytes = serialize_safetensors(file);
  const Bytes expected =
      Bytes()
          .u64(144)
          .raw(
              R"({"__metadata__":{"k":"v\"\n"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
              R"("h":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}     )")
          .f32(1)
          .f32(2)
          .number(0x3c00, 2)
          .number(0x4000, 2);
  CHECK(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
}

TEST_CASE("safetensors: corruption of any byte is refused or read") {
  const std::vector<uint8_t> rich = serialize_safetensors(sample());
  for (const Bytes& bytes : {testing::safetensors_bytes(), Bytes(rich.begin(), rich.end())}) {
    const int read = testing::corrupt_everywhere(
        bytes, [](const Bytes& corrupt) { from_memory(corrupt); },
        [](const Bytes& corrupt) {  // written again, it says the same
          const TensorFile file = from_memory(corrupt);
          const std::vector<uint8_t> again = serialize_safetensors(file);
          const TensorFile back = from_memory(Bytes(again.begin(), again.end()));
          CHECK(back.metadata == file.metadata);
          CHECK(back.tensors.size() == file.tensors.size());
        });
    CHECK(read > 100);
  }
}

TEST_CASE("safetensors: the fixtures written by Python are read") {
  const std::string folder = SATIN_SOURCE_DIR "/tests/data/";
  for (const char* name : {"fixture_64x64_b2.safetensors", "fixture_96x160_b1.safetensors"}) {
    CAPTURE(name);
    const TensorFile file = read_tensor_file(folder + name);
    check_finite(file);
    REQUIRE(file.find("output1") != nullptr);
    CHECK(file.find("output1")->dtype == DType::f64);
    CHECK(file.find("output1")->shape.rank() == 4);
    CHECK(file.find("grad_norms")->shape == Shape{470});
    CHECK(require_string(file, "parameters").starts_with("[\"EncoderBlock1.0.conv.weight\""));
  }
}

TEST_CASE("safetensors: the writer refuses what the reader would") {
  TensorFile file = sample();
  file.metadata.push_back({"n", uint32_t{3}});
  CHECK_THROWS_WITH_AS(serialize_safetensors(file), doctest::Contains("only strings"), Error);
  file = sample();
  file.metadata.push_back({"format", std::string("pt")});
  CHECK_THROWS_WITH_AS(serialize_safetensors(file), doctest::Contains("is there twice"), Error);
  file = sample();
  file.tensors[1].name = "w.1";
  CHECK_THROWS_WITH_AS(serialize_safetensors(file), doctest::Contains("is there twice"), Error);
  file.tensors[1].name = "w\xff";
  CHECK_THROWS_WITH_AS(serialize_safetensors(file), doctest::Contains("UTF-8"), Error);
  file.tensors[1].name = "__metadata__";
  CHECK_THROWS_AS(serialize_safetensors(file), Error);
  file = sample();
  file.tensors[0].data.resize(3);
  CHECK_THROWS_WITH_AS(serialize_safetensors(file), doctest::Contains("bytes of data"), Error);
}
