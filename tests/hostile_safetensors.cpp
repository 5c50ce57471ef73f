// Hostile safetensors files: JSON headers written out, each wrong in one place.
#include <limits>

#include "hostile_files.h"
#include "tensor/error.h"

namespace satin::testing {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

constexpr std::string_view kValid =
    R"({"__metadata__":{"general.architecture":"mgpnet"},)"
    R"("a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b.bias":{"dtype":"F32","shape":[4],"data_offsets":[24,40]}})";
constexpr size_t kData = 40;

HostileFile header(std::string name, std::string reason, std::string text, size_t data = kData) {
  return {std::move(name), std::move(reason),
          [text = std::move(text), data] { return safetensors_of(text, data); }};
}

// The valid header with `from`, which must occur, replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string text(kValid);
  text.replace(text.find(from), from.size(), to);
  return text;
}

HostileFile changed(std::string name,
                    std::string reason,
                    std::string_view from,
                    std::string_view to) {
  return header(std::move(name), std::move(reason), with(from, to));
}

HostileFile length(std::string name, std::string reason, uint64_t claimed, uint64_t size = 0) {
  return {std::move(name), std::move(reason),
          [claimed] { return safetensors_of(kValid, kData, claimed); }, size};
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// {"k0":value,"k1":value,...}
std::string many_keys(uint64_t count, std::string_view value) {
  std::string out = "{";
  for (uint64_t i = 0; i < count; ++i) {
    out += numbered(i > 0 ? ",\"k" : "\"k", i);
    out.append("\":").append(value);
  }
  return out.append("}");
}

}  // namespace

Bytes safetensors_of(std::string_view text, size_t data, std::optional<uint64_t> claimed) {
  return Bytes().u64(claimed.value_or(text.size())).raw(text).zeros(data);
}

Bytes safetensors_bytes() { return safetensors_of(kValid, kData); }

std::vector<HostileFile> hostile_safetensors() {
  constexpr std::string_view kA =
      R"("a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";
  const std::string deep = repeated("[", 100000), valid(kValid);
  std::vector<HostileFile> rows = {
      length("header length 0", "a header of 0 bytes", 0),
      length("header length 1", "a header of 1 bytes", 1),
      length("header length 2^63", "are left", uint64_t{1} << 63),
      length("header length 2^64-1", "are left", kHuge),
      length("header length 2^64-8, wraps with its own field", "are left", kHuge - 7),
      length("header length beyond the file", "are left", kValid.size() + kData + 1),
      length("header length over 100 MB", "the limit is 8388608", 100000001, 200000000),
      length("header length short by one", "not valid JSON", kValid.size() - 1),
      length("header length of a part", "does not end with }", kValid.size() - 2),
      header("not UTF-8", "is not UTF-8",
             with("b.bias",
                  "b\xff"
                  "bias")),
      header("surrogate in UTF-8", "is not UTF-8", with("b.bias", "b\xed\xa0\x80")),
      header("lone surrogate escaped", "not valid JSON", with("b.bias", "b\\ud800")),
      header("BOM", "begins with", "\xef\xbb\xbf" + valid),
      header("leading space", "begins with \" \"", cat(" ", valid)),
      header("array at the top", "begins with \"[\"", cat("[", valid, "]")),
      header("trailing junk", "does not end with }", valid + "x"),
      header("trailing newline", "does not end with }", valid + "\n"),
      header("trailing NUL", "holds a NUL byte", valid + '\0'),
      header("NUL, then another document", "holds a NUL byte", valid + '\0' + "{}"),
      header("two documents", "not valid JSON", valid + "{}"),
      header("comma at the end", "not valid JSON", with("}}", "},}")),
      header("comment", "not valid JSON", with("{\"__", "{/**/\"__")),
      header("control character in a name", "not valid JSON", with("b.bias", "b\tbias")),
      header("unclosed string", "not valid JSON", "{\"a}"),
      header("unclosed string of 8 MB", "not valid JSON",
             cat("{\"", repeated("a", (8 << 20) - 3), "}")),
      header("unclosed object", "not valid JSON", "{\"__metadata__\":{}"),
      header("nothing but a brace pair and data", "40 bytes follow", "{}"),

      header("nesting of 10^5 at the top", "is an array, not an object", "{\"a\":" + deep + "}"),
      header("nesting of 10^5 in a shape", "holds an array",
             with("[4]", deep + repeated("]", 100000))),
      header("nesting of 10^5 in metadata", "has an array, not a string",
             with("\"mgpnet\"", deep + "}")),
      header("nesting of 10^5 objects", "unknown field \"a\"",
             repeated("{\"a\":", 100000) + repeated("}", 100000)),
      header("10^6 keys", "the limit is 8388608", many_keys(1000000, "{}")),
      header("10^6 metadata keys", "the limit is 8388608",
             "{\"__metadata__\":" + many_keys(1000000, "\"\"") + "}"),
      header("70,000 metadata keys", "more than 65536 metadata keys",
             "{\"__metadata__\":" + many_keys(70000, "\"\"") + "}"),
      header("70,000 tensors", "more than 65536 tensors",
             many_keys(70000, R"({"dtype":"F16","shape":[0],"data_offsets":[0,0]})")),
      changed("1e400", "not valid JSON", "[4]", "[1e400]"),
      changed("-0 in a shape", "a negative number, -0", "[4]", "[-0]"),
      changed("-0 in the offsets", "a negative number, -0", "[0,24]", "[-0,24]"),
      changed("1.0 in a shape", "4.0 where an integer belongs", "[4]", "[4.0]"),
      changed("4e0 in a shape", "4e0 where an integer belongs", "[4]", "[4e0]"),
      changed("\"16\" in a shape", "holds a string, not integers", "[4]", "[\"16\"]"),
      changed("\"16\" in the offsets", "holds a string, not integers", "[24,40]", "[24,\"40\"]"),
      changed("true in a shape", "holds a boolean", "[4]", "[true]"),
      changed("null in a shape", "holds null", "[4]", "[null]"),
      changed("leading zero", "not valid JSON", "[4]", "[04]"),
      changed("NaN", "not valid JSON", "[4]", "[NaN]"),

      header("tensor twice", "\"a.weight\" is there twice",
             with("\"b.bias\"", std::string(kA) + ",\"b.bias\"")),
      header(
          "tensor twice, once escaped", "\"a.weight\" is there twice",
          with("\"b.bias\"",
               R"("a.w\u0065ight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b.bias")")),
      changed("field twice", "field shape of tensor \"b.bias\" is there twice", "\"shape\":[4]",
              "\"shape\":[4],\"shape\":[4]"),
      changed("metadata key twice", "metadata key \"k\" is there twice", "{\"general",
              "{\"k\":\"\",\"k\":\"\",\"general"),
      changed("metadata twice", "__metadata__ is there twice", "\"b.bias\"",
              "\"__metadata__\":{},\"b.bias\""),
      changed("metadata a number", "has a number, not a string", "\"mgpnet\"", "3"),
      changed("metadata null", "has null, not a string", "\"mgpnet\"", "null"),
      changed("metadata an object", "has an object, not a string", "\"mgpnet\"", "{}"),
      header("metadata itself a string", "__metadata__ is a string", R"({"__metadata__":"x"})"),
      changed("tensor a number", "is a number, not an object", kA, "\"a.weight\":3"),

      changed("dtype unknown", "is of dtype \"F33\"", "\"F32\"", "\"F33\""),
      changed("dtype I64", "is of dtype \"I64\"", "\"F32\"", "\"I64\""),
      changed("dtype in lower case", "is of dtype \"f32\"", "\"F32\"", "\"f32\""),
      changed("dtype a number", "dtype of tensor \"a.weight\" is a number", "\"F32\"", "32"),
      changed("dtype missing", "has no dtype", "\"dtype\":\"F32\",", ""),
      changed("shape missing", "has no shape", "\"shape\":[2,3],", ""),
      changed("offsets missing", "has no data_offsets", ",\"data_offsets\":[0,24]", ""),
      changed("extra field", "unknown field \"stride\"", "\"shape\":[4]",
              "\"shape\":[4],\"stride\":[1]"),
      changed("shape a number", "shape of tensor \"b.bias\" is a number", "[4]", "4"),

      changed("shape negative", "a negative number, -4", "[4]", "[-4]"),
      changed("shape wraps to 0", "is too large", "[4]", "[4294967296,4294967296]"),
      changed("shape wraps to 4", "is too large", "[4]", "[34724,27905,49477,384773]"),
      changed("shape wraps behind a zero", "is too large", "[4]", "[0,4294967296,4294967296]"),
      changed("shape of 2^63", "is too large", "[4]", "[9223372036854775808]"),
      changed("shape over 64 bits", "where an integer belongs", "[4]", "[18446744073709551620]"),
      changed("bytes wrap to 16", "is too large", "[4]", "[4611686018427387908]"),
      changed("7 dimensions", "more than 6 dimensions", "[4]", "[1,1,1,1,1,1,4]"),

      changed("one offset", "has 1 numbers, not 2", "[24,40]", "[24]"),
      changed("no offset", "has 0 numbers, not 2", "[24,40]", "[]"),
      changed("three offsets", "more than 2 numbers", "[24,40]", "[24,40,40]"),
      changed("begin after end", "begin at 40 and end at 24", "[24,40]", "[40,24]"),
      changed("overlapping", "overlapping", "[24,40]", "[20,36]"),
      header("hole between", "leaving a hole", with("[24,40]", "[28,44]"), kData + 4),
      header("hole at the start", "leaving a hole",
             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
      header(
          "two at one place", "overlapping",
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          4),
      header(
          "zero-size tensor inside another", "overlapping",
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
          8),
      header("a trailing byte", "1 bytes follow the last tensor", valid, kData + 1),
      header("data short by a byte", "the file holds 39", valid, kData - 1),
      header("data short by a tensor", "the file holds 24", valid, 24),
      header("data missing", "the file holds 0", valid, 0),
      changed("offsets of 2^64-1", "needs 16 bytes", "[24,40]", "[24,18446744073709551615]"),
      changed("offsets at the end of 64 bits", "ends at data byte 18446744073709551615", "[24,40]",
              "[18446744073709551599,18446744073709551615]"),
      changed("size below shape x dtype", "needs 20 bytes, its data_offsets span 16", "[4]", "[5]"),
      changed("size above shape x dtype", "needs 12 bytes, its data_offsets span 16", "[4]", "[3]"),

      header("tensor name empty", "is empty", with("b.bias", "")),
      header("tensor name with NUL", "holds a NUL byte", with("b.bias", "b\\u0000")),
      changed("tensor missing", "did \"b.bia\" mean it?", "b.bias", "b.bia"),
      header(
          "tensor extra", "\"c\" is not one of the model's 2",
          with("\"b.bias\"", R"("c":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b.bias")")),
      changed("tensor of another shape", "has shape [6], the model's is [2,3]", "[2,3]", "[6]"),
      {"weights with NaN", "holds NaN or infinity at element 5",
       [] {
         Bytes file = safetensors_bytes();
         const Bytes nan = Bytes().f32(std::numeric_limits<float>::quiet_NaN());
         std::copy(nan.begin(), nan.end(), file.end() - 20);
         return file;
       }},
      {"ZIP named .safetensors", "convert it to safetensors",
       [] { return Bytes().raw("PK\3\4").zeros(60).u64(kHuge); }},
  };
  for (size_t n = 0; n < 8; ++n)
    rows.push_back({std::to_string(n) + " bytes",
                    n == 0 ? "the file is empty" : "a safetensors file at least 10",
                    [n] { return Bytes().zeros(n); }});
  return rows;
}

}  // namespace satin::testing
