// GGUF: round trips, what is accepted, and everything that is refused (hostile_gguf.cpp).
#include "nn/gguf.h"

#include <array>
#include <filesystem>
#include <limits>

#include <doctest/doctest.h>

#include "hostile_files.h"

using namespace satin;
using satin::testing::Bytes;

namespace {

const std::array<ExpectedTensor, 2> kModel = {{{"a.weight", {2, 3}}, {"b.bias", {4}}}};

// What a program does with a model file: hyper-parameters and shapes from the header, weights
// after.
TensorFile load(ByteReader& reader) {
  TensorFile file = read_gguf(reader, [](const TensorFile& header) {
    for (const StoredTensor& t : header.tensors) REQUIRE(t.data.empty());
    if (const std::string& name = require_string(header, "general.architecture"); name != "mgpnet")
      throw FileError(header.file, {}, "general.architecture is \"" + name + "\", not \"mgpnet\"",
                      "use another file");
    require_integer(header, "mgpnet.levels", 1, 8);
    check_tensor_set(header, kModel);
  });
  check_finite(file);
  return file;
}

TensorFile from_memory(const Bytes& bytes) {
  ByteReader reader("memory", std::as_bytes(std::span(bytes.data(), bytes.size())));
  return read_gguf(reader);
}

TensorFile rich_file() {
  using Strings = std::vector<std::string>;
  TensorFile file;
  file.metadata = {
      {"general.architecture", std::string("mgpnet")},
      {"general.tags", MetaArray(Strings{"one", "", "zw\xc3\xb6lf"})},
      {"x.u8", uint8_t{255}},
      {"x.i8", int8_t{-128}},
      {"x.u16", uint16_t{65535}},
      {"x.i16", int16_t{-32768}},
      {"x.u32", uint32_t{4000000000}},
      {"x.i32", int32_t{-2000000000}},
      {"x.u64", std::numeric_limits<uint64_t>::max()},
      {"x.i64", std::numeric_limits<int64_t>::min()},
      {"x.f32", 1e-5f},
      {"x.f64", 1e-300},
      {"x.bool", true},
      {"x.empty", MetaArray(std::vector<int32_t>{})},
      {"x.u8s", MetaArray(std::vector<uint8_t>{1, 2, 3})},
      {"x.bools", MetaArray(std::vector<bool>{true, false, true})},
      {"x.f32s", MetaArray(std::vector<float>{0.5f, -1.5f})},
      {"x.i64s", MetaArray(std::vector<int64_t>{-1, 1})},
  };
  std::vector<double> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) - 7.25;
  const std::span<const double> all(values);
  file.tensors = {store_values("f32", {2, 3, 4}, all, DType::f32),
                  store_values("f64", {1, 2, 3, 4}, all, DType::f64),
                  store_values("f16", {5}, all.first(5), DType::f16),
                  store_values("bf16", {1}, all.first(1), DType::bf16),
                  store_values(std::string(63, 'n'), {7, 3}, all.first(21), DType::f32)};
  return file;
}

}  // namespace

TEST_CASE("gguf: every hostile file is refused") {
  const auto read = [](const std::string& path) {
    ByteReader reader(path);
    load(reader);
  };
  testing::expect_all_refused(testing::hostile_gguf(), ".gguf", read);
  testing::expect_special_files_refused(read);
}

TEST_CASE("gguf: the header alone is checked as strictly") {
  const testing::TemporaryFolder folder;
  int refused = 0;
  for (const testing::HostileFile& file : testing::hostile_gguf()) {
    const std::string path = folder.write("h.gguf", file.make());
    try {
      read_gguf_header(path);
    } catch (const FileError&) {
      ++refused;
    }
  }
  // Left are the rows about the model, NaN weights and the padding between tensors.
  CHECK(refused == static_cast<int>(testing::hostile_gguf().size()) - 15);
}

TEST_CASE("gguf: a file that shrinks or grows while it is read is refused") {
  const testing::TemporaryFolder folder;
  Bytes large = testing::gguf_bytes();
  TensorFile file = from_memory(large);
  file.tensors.push_back(store_values(
      "c", {100000}, std::span<const float>(std::vector<float>(100000, 1.0f)), DType::f32));
  const std::vector<uint8_t> bytes = serialize_gguf(file);
  const auto resized = [&](uint64_t size) {
    return [&, size](const std::string& path) {
      read_gguf(path, [&](const TensorFile&) { std::filesystem::resize_file(path, size); });
    };
  };
  const Bytes content(bytes.begin(), bytes.end());
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{100}, uint64_t{200000}, uint64_t{bytes.size() - 1}})
    testing::expect_refused(folder.write("s.gguf", content), "shrinks", "the file", resized(size));
  testing::expect_refused(folder.write("s.gguf", content), "grows", "size changed",
                          resized(bytes.size() + 1));
}

TEST_CASE("gguf: the valid file behind the hostile ones is read") {
  const Bytes bytes = testing::gguf_bytes();
  ByteReader reader("memory", std::as_bytes(std::span(bytes.data(), bytes.size())));
  const TensorFile file = load(reader);
  CHECK(file.tensors[0].shape == Shape{2, 3});
  CHECK(values_of<float>(file.tensors[0]) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(values_of<double>(file.tensors[1]) == std::vector<double>(4, -1.0));
  const std::vector<uint8_t> again = serialize_gguf(file);
  CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

TEST_CASE("gguf: versions 2 and 3, alignments and types") {
  Bytes version2 = testing::gguf_bytes();
  version2[4] = 2;
  CHECK(from_memory(version2).tensors.size() == 2);

  for (const uint32_t alignment : {8u, 16u, 64u, 4096u, 65536u}) {
    CAPTURE(alignment);
    TensorFile file = rich_file();
    file.metadata.push_back({"general.alignment", alignment});
    const std::vector<uint8_t> bytes = serialize_gguf(file);
    CHECK(bytes.size() % alignment == 0);
    const TensorFile back = from_memory(Bytes(bytes.begin(), bytes.end()));
    CHECK(back.metadata == file.metadata);
    CHECK(serialize_gguf(back) == bytes);
  }
}

TEST_CASE("gguf: the costliest legal headers stay within time and memory") {
  const testing::TemporaryFolder folder;
  Bytes strings;
  strings.raw("GGUF").u32(3).u64(0).u64(1).text("x").u32(9).u32(8).u64(1 << 19);
  for (int i = 0; i < 1 << 19; ++i) strings.text("0123456789abcdef");  // one too long to lie inline
  strings.zeros(31 - (strings.size() + 31) % 32);
  std::string path = folder.write("strings.gguf", strings);
  testing::within_limits(strings.size(), [&] { CHECK(read_gguf(path).metadata.size() == 1); });

  Bytes tensors;
  tensors.raw("GGUF").u32(3).u64(kMaxTensors).u64(0);
  for (uint64_t i = 0; i < kMaxTensors; ++i)
    tensors.text(testing::numbered("a name that does not lie inline ", i))
        .u32(1)
        .u64(1)
        .u32(0)
        .u64(32 * i);
  tensors.zeros(31 - (tensors.size() + 31) % 32 + 32 * kMaxTensors);
  path = folder.write("tensors.gguf", tensors);
  testing::within_limits(tensors.size(),
                         [&] { CHECK(read_gguf(path).tensors.size() == kMaxTensors); });
}

TEST_CASE("gguf: round trips keep every byte") {
  const testing::TemporaryFolder folder;
  const TensorFile file = rich_file();
  const std::vector<uint8_t> bytes = serialize_gguf(file);
  const std::string path = folder.path("r.gguf");
  write_gguf(path, file);
  const TensorFile back = read_tensor_file(path);
  CHECK(back.file == path);
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    CHECK(back.tensors[i].name == file.tensors[i].name);
    CHECK(back.tensors[i].dtype == file.tensors[i].dtype);
    CHECK(back.tensors[i].shape == file.tensors[i].shape);
    CHECK(back.tensors[i].data == file.tensors[i].data);
  }
  CHECK(serialize_gguf(back) == bytes);
  const TensorFile header = read_gguf_header(path);
  CHECK(header.tensors[1].shape == Shape{1, 2, 3, 4});
  CHECK(header.tensors[1].data.empty());
}

TEST_CASE("gguf: corruption of any byte is refused or read as what it says") {
  const std::vector<uint8_t> rich = serialize_gguf(rich_file());
  for (const Bytes& bytes : {testing::gguf_bytes(), Bytes(rich.begin(), rich.end())}) {
    const int read = testing::corrupt_everywhere(
        bytes, [](const Bytes& corrupt) { from_memory(corrupt); },
        [](const Bytes&
               corrupt) {  // what is accepted is canonical: writing it gives the same bytes
          Bytes expected = corrupt;
          expected[4] = 3;
          const std::vector<uint8_t> again = serialize_gguf(from_memory(corrupt));
          CHECK(std::equal(again.begin(), again.end(), expected.begin(), expected.end()));
        });
    CHECK(read > 100);  // values of weights and metadata
  }
}

TEST_CASE("gguf: the writer refuses what the reader would") {
  const auto refused = [](const auto& spoil, const std::string& reason) {
    TensorFile file = rich_file();
    spoil(file);
    std::string message = "written";
    try {
      serialize_gguf(file);
    } catch (const Error& error) {
      message = error.what();
    }
    INFO(message);
    CHECK(message.find(reason) != std::string::npos);
  };
  refused([](TensorFile& f) { f.tensors[0].name = std::string(64, 'n'); }, "64 bytes");
  refused([](TensorFile& f) { f.tensors[1].name = "f32"; }, "is there twice");
  refused([](TensorFile& f) { f.tensors[0].name = "a/b"; }, "looks like a path");
  refused([](TensorFile& f) { f.tensors[0].data.pop_back(); }, "needs 96 bytes of data, not 95");
  refused([](TensorFile& f) { f.tensors[3].shape = {}; }, "0 dimensions");
  refused([](TensorFile& f) { f.tensors[0].shape = {1, 1, 2, 3, 4}; }, "5 dimensions");
  refused(
      [](TensorFile& f) {
        f.metadata.push_back({"general.alignment", uint32_t{12}});
      },
      "power of two");
  refused([](TensorFile& f) { f.metadata.push_back({"general.name", 3.0f}); }, "wrong type");
  refused(
      [](TensorFile& f) {
        f.metadata.push_back({"x", MetaArray(std::monostate())});
      },
      "element type");
}

TEST_CASE("tensor_file: metadata is asked for by type and range") {
  TensorFile file = rich_file();
  file.file = "m.gguf";
  CHECK(require_string(file, "general.architecture") == "mgpnet");
  CHECK(require_integer(file, "x.i8", -128, 127) == -128);
  CHECK(require_integer(file, "x.u32", 0, 4000000000) == 4000000000);
  CHECK(require_number(file, "x.f32", 0, 1) == doctest::Approx(1e-5));
  CHECK(require_number(file, "x.u16", 0, 1e9) == 65535);
  CHECK_THROWS_WITH_AS(require_integer(file, "x.u64", 0, 10),
                       doctest::Contains("m.gguf: metadata key \"x.u64\" is 18446744073709551615"),
                       FileError);
  CHECK_THROWS_WITH_AS(require_integer(file, "x.bool", 0, 1), doctest::Contains("of type bool"),
                       FileError);
  CHECK_THROWS_WITH_AS(require_string(file, "x.f32s"), doctest::Contains("array of f32"),
                       FileError);
  CHECK_THROWS_WITH_AS(require_number(file, "x.f23", 0, 1),
                       doctest::Contains("the file has \"x.f32\""), FileError);
  file.metadata.push_back({"x.nan", std::numeric_limits<float>::quiet_NaN()});
  CHECK_THROWS_WITH_AS(require_number(file, "x.nan", -1e300, 1e300),
                       doctest::Contains("nan, outside"), FileError);
  CHECK(to_text(*file.find_metadata("x.bools")) == "[true, false, true]");
  CHECK(to_text(*file.find_metadata("x.f32s")) == "[0.5, -1.5]");
  CHECK(to_text(*file.find_metadata("x.i8")) == "-128");
}

TEST_CASE("tensor_file: values pass through every stored type") {
  const std::vector<float> values = {0.0f, 1.0f, -2.5f, 65504.0f, 0.09375f, -0.0f};
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    CAPTURE(name_of(dtype));
    const StoredTensor t = store_values("t", {2, 3}, std::span<const float>(values), dtype);
    CHECK(t.data.size() == 6 * size_of(dtype));
    std::vector<float> expected = values;
    if (dtype == DType::bf16) expected[3] = 65536.0f;
    CHECK(values_of<float>(t) == expected);
    TensorFile file{.file = "m", .metadata = {}, .tensors = {t}};
    check_finite(file);
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> spoilt = values;
      spoilt[4] = bad;
      file.tensors[0] = store_values("t", {2, 3}, std::span<const float>(spoilt), dtype);
      CHECK_THROWS_WITH_AS(check_finite(file),
                           doctest::Contains("\"t\" holds NaN or infinity at element 4"),
                           FileError);
    }
  }
  CHECK_THROWS_AS(store_values("t", {7}, std::span<const float>(values), DType::f32), Error);
}
