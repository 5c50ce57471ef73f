// Hostile GGUF files: a small description of a valid file, and rows that spoil one thing in it.
#include <array>
#include <limits>

#include "hostile_files.h"

namespace satin::testing {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kNegative = uint64_t{1} << 63;

struct Key {
  Bytes bytes;  // name, type, value
};

struct Tensor {
  Bytes name;
  std::vector<uint64_t> dimensions;  // innermost first
  uint32_t type = 0;
  uint64_t offset = 0;
  std::optional<uint32_t> rank = {};
};

struct Gguf {
  Bytes magic;
  uint32_t version = 3;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  std::optional<uint64_t> key_count = {}, tensor_count = {};
  size_t alignment = 32;
  uint8_t padding = 0;
  Bytes data;

  Bytes bytes() const {
    Bytes out;
    out.append(magic).u32(version).u64(tensor_count.value_or(tensors.size()));
    out.u64(key_count.value_or(keys.size()));
    for (const Key& key : keys) out.append(key.bytes);
    for (const Tensor& t : tensors) {
      out.append(t.name).u32(t.rank.value_or(static_cast<uint32_t>(t.dimensions.size())));
      for (const uint64_t d : t.dimensions) out.u64(d);
      out.u32(t.type).u64(t.offset);
    }
    while (out.size() % alignment != 0) out.push_back(padding);
    return out.append(data);
  }
};

constexpr uint32_t kU8 = 0, kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

Key key(std::string_view name, uint32_t type, const Bytes& value) {
  return {Bytes().text(name).u32(type).append(value)};
}
Key alignment(uint32_t value) { return key("general.alignment", kU32, Bytes().u32(value)); }
Key array(uint32_t type, uint64_t count, const Bytes& elements) {
  return key("x.array", kArray, Bytes().u32(type).u64(count).append(elements));
}
Bytes name(std::string_view text) { return Bytes().text(text); }

Gguf valid() {
  Gguf file;
  file.magic.raw("GGUF");
  file.keys = {key("general.architecture", kString, Bytes().text("mgpnet")),
               key("mgpnet.levels", kU32, Bytes().u32(3))};
  file.tensors = {{name("a.weight"), {3, 2}}, {name("b.bias"), {4}, 0, 32}};
  for (int i = 0; i < 6; ++i) file.data.f32(static_cast<float>(i));
  file.data.zeros(8);
  for (int i = 0; i < 4; ++i) file.data.f32(-1);
  file.data.zeros(16);
  return file;
}

using Spoil = std::function<void(Gguf&)>;

HostileFile row(std::string what, std::string reason, Spoil spoil) {
  return {std::move(what), std::move(reason), [spoil = std::move(spoil)] {
            Gguf file = valid();
            spoil(file);
            return file.bytes();
          }};
}

HostileFile raw(std::string what, std::string reason, std::function<Bytes()> make) {
  return {std::move(what), std::move(reason), std::move(make)};
}

Spoil add(Key extra) {
  return [extra = std::move(extra)](Gguf& file) { file.keys.push_back(extra); };
}
Spoil rename(Bytes to) {
  return [to = std::move(to)](Gguf& file) { file.tensors[1].name = to; };
}
Spoil dimensions(std::vector<uint64_t> to) {
  return [to = std::move(to)](Gguf& file) { file.tensors[1].dimensions = to; };
}
Spoil type(uint32_t to) {
  return [to](Gguf& file) { file.tensors[1].type = to; };
}
Spoil offset(uint64_t to) {
  return [to](Gguf& file) { file.tensors[1].offset = to; };
}
Spoil element(float value) {
  return [value](Gguf& file) {
    const Bytes bits = Bytes().f32(value);
    std::copy(bits.begin(), bits.end(), file.data.begin() + 8);
  };
}

Bytes cut(size_t bytes) {
  Bytes file = valid().bytes();
  file.resize(file.size() - bytes);
  return file;
}

// A million tensors of one element; with the count that is true, or one that passes for a model.
Bytes million_tensors(uint64_t count) {
  Bytes out;
  out.reserve(90 << 20);
  out.raw("GGUF").u32(3).u64(count).u64(0);
  for (uint64_t i = 0; i < 1000000; ++i)
    out.text(numbered("t", i)).u32(1).u64(1).u32(0).u64(32 * i);
  while (out.size() % 32 != 0) out.push_back(0);
  return out.zeros(32000000);
}

}  // namespace

Bytes gguf_bytes() { return valid().bytes(); }

std::vector<HostileFile> hostile_gguf() {
  std::vector<HostileFile> rows = {
      raw("empty", "the file is empty", [] { return Bytes(); }),
      raw("bad magic", "not a GGUF file", [] { return Bytes().raw("GGML").zeros(60); }),
      raw("ZIP named .gguf", "convert it to safetensors",
          [] { return Bytes().raw("PK\3\4").zeros(60); }),
      row("version 0", "version 0 is not supported", [](Gguf& f) { f.version = 0; }),
      row("version 1", "version 1 is not supported", [](Gguf& f) { f.version = 1; }),
      row("version 4", "version 4 is not supported", [](Gguf& f) { f.version = 4; }),
      row("version of the far future", "is not supported", [](Gguf& f) { f.version = 0x7fffffff; }),
      row("version byte-swapped", "big-endian", [](Gguf& f) { f.version = 0x03000000; }),

      row("tensor count negative", "tensor count is negative",
          [](Gguf& f) { f.tensor_count = kNegative; }),
      row("tensor count -1", "tensor count is negative", [](Gguf& f) { f.tensor_count = kHuge; }),
      row("tensor count huge", "can hold", [](Gguf& f) { f.tensor_count = kHuge / 2; }),
      row("tensor count beyond the bytes left", "can hold", [](Gguf& f) { f.tensor_count = 20; }),
      row("tensor count one too many", "byte", [](Gguf& f) { f.tensor_count = 3; }),
      row("tensor count one too few", "not zero", [](Gguf& f) { f.tensor_count = 1; }),
      row("key count negative", "key count is negative", [](Gguf& f) { f.key_count = kNegative; }),
      row("key count huge", "can hold", [](Gguf& f) { f.key_count = kHuge / 2; }),
      row("key count beyond the bytes left", "can hold", [](Gguf& f) { f.key_count = 20; }),
      row("key count one too many", "a tensor name of", [](Gguf& f) { f.key_count = 3; }),
      row("key count one too few", "a dimension of", [](Gguf& f) { f.key_count = 1; }),
      raw("10^6 keys", "over the limit",
          [] {
            Bytes out;
            out.raw("GGUF").u32(3).u64(0).u64(1000000);
            for (uint64_t i = 0; i < 1000000; ++i) out.text(numbered("k", i)).u32(kU8).number(0, 1);
            return out;
          }),

      row("key empty", "a key is empty", add(key("", kU32, Bytes().u32(1)))),
      row("key over 64 KiB", "a key of 65536 bytes",
          add(key(std::string(65536, 'k'), kU32, Bytes().u32(1)))),
      row("key longer than the file", "the file ends inside a key",
          add({Bytes().u64(60000).raw("k").u32(kU32).u32(1)})),
      row("key not UTF-8", "is not UTF-8", add(key("k\xff", kU32, Bytes().u32(1)))),
      row("key overlong UTF-8", "is not UTF-8", add(key("k\xc0\x80", kU32, Bytes().u32(1)))),
      row("key with NUL", "holds a NUL byte",
          add(key(std::string_view("a\0b", 3), kU32, Bytes().u32(1)))),
      row("key twice", "\"mgpnet.levels\" is there twice",
          add(key("mgpnet.levels", kU32, Bytes().u32(3)))),

      row("value type 13", "unknown value type 13", add(key("x", 13, Bytes().u32(1)))),
      row("value type 2^32-1", "unknown value type", add(key("x", 0xffffffff, Bytes().u32(1)))),
      row("array of arrays", "array of arrays",
          add(array(kArray, 1, Bytes().u32(kU8).u64(1).number(1, 1)))),
      row("array of unknown type", "unknown element type", add(array(77, 1, Bytes().u32(1)))),
      row("array longer than the file", "an array of 1000 elements",
          add(array(kU32, 1000, Bytes().u32(1)))),
      row("array whose size wraps", "bytes are left",
          add(array(kU32, uint64_t{1} << 62, Bytes().u32(1)))),
      row("array of 2^64-1", "bytes are left", add(array(kU8, kHuge, Bytes().u32(1)))),
      row("array of strings longer than the file", "bytes are left",
          add(array(kString, kHuge, Bytes().text("a")))),
      row("array of a million empty strings", "strings in arrays",
          add(array(kString, 1000000, Bytes().zeros(8000000)))),
      row("string longer than the file", "a string of 1000 bytes",
          add(key("x", kString, Bytes().u64(1000).raw("abc")))),
      row("string of 2^64-1", "are left", add(key("x", kString, Bytes().u64(kHuge).raw("abc")))),
      row("string not UTF-8", "is not UTF-8", add(key("x", kString, Bytes().text("\xed\xa0\x80")))),
      row("bool 2", "a bool of 2", add(key("x", kBool, Bytes().number(2, 1)))),
      row("bool 255 in an array", "a bool of 255",
          add(array(kBool, 2, Bytes().number(1, 1).number(255, 1)))),

      row("alignment of wrong type", "wrong type, u64",
          add(key("general.alignment", 10, Bytes().u64(32)))),
      row("alignment a string", "wrong type, string",
          add(key("general.alignment", kString, Bytes().text("32")))),
      row("alignment 0", "is 0, not a power of two", add(alignment(0))),
      row("alignment 48", "is 48, not a power of two", add(alignment(48))),
      row("alignment 131072", "is 131072, not a power of two from 8 to 65536",
          add(alignment(131072))),
      row("architecture a number", "wrong type, u32",
          [](Gguf& f) { f.keys[0] = key("general.architecture", kU32, Bytes().u32(1)); }),
      row("tags of wrong element type", "wrong type, array of u8",
          add(key("general.tags", kArray, Bytes().u32(kU8).u64(1).number(1, 1)))),

      row("tensor name empty", "is empty", rename(name(""))),
      row("tensor name of 64 bytes", "a tensor name of 64 bytes",
          rename(name(std::string(64, 'n')))),
      row("tensor name of 2^64-1", "a tensor name of", rename(Bytes().u64(kHuge).raw("b"))),
      row("tensor name with NUL", "holds a NUL byte", rename(name(std::string_view("b\0c", 3)))),
      row("tensor name not UTF-8", "is not UTF-8", rename(name("b\x80"))),
      row("tensor name with newline", "control characters", rename(name("b\nc"))),
      row("tensor name twice", "\"a.weight\" is there twice", rename(name("a.weight"))),
      row("tensor name ../b", "looks like a path", rename(name("../b"))),
      row("tensor name /etc/passwd", "looks like a path", rename(name("/etc/passwd"))),
      row("tensor name C:\\b", "looks like a path", rename(name("C:\\b"))),
      row("tensor name ..", "looks like a path", rename(name(".."))),

      row("0 dimensions", "has 0 dimensions", dimensions({})),
      row("5 dimensions", "has 5 dimensions", dimensions({1, 1, 1, 1, 4})),
      row("2^32-1 dimensions", "dimensions", [](Gguf& f) { f.tensors[1].rank = 0xffffffff; }),
      row("dimension 0", "a dimension of 0", dimensions({0})),
      row("dimension negative", "a dimension of -4", dimensions({kHuge - 3})),
      row("dimension over 2^31", "a dimension of 2147483649",
          dimensions({(uint64_t{1} << 31) + 1})),
      row("product overflows", "larger than the file",
          dimensions({1u << 31, 1u << 31, 1u << 31, 1u << 31})),
      row("product wraps to 0: [2^32, 2^32]", "a dimension of",
          dimensions({uint64_t{1} << 32, uint64_t{1} << 32})),
      row("product wraps to 0 with legal dimensions", "larger than the file",
          dimensions({1u << 31, 1u << 31, 4})),
      row("product is negative", "larger than the file", dimensions({1u << 31, 1u << 31, 2})),
      row("product wraps to 4", "larger than the file", dimensions({34724, 27905, 49477, 384773})),
      row("bytes wrap to 0", "larger than the file", dimensions({1u << 31, 1u << 31})),
      row("padding wraps", "larger than the file", dimensions({3, 715827883, 2147483647})),
      row("larger than memory", "larger than the file", dimensions({1u << 31, 1u << 20})),

      row("type Q4_0", "is of type 2,", type(2)),
      row("type I8", "is of type 24,", type(24)),
      row("type 2^32-1", "is of type 4294967295,", type(0xffffffff)),

      row("offset unaligned", "not a multiple of 32", offset(36)),
      row("offset overlapping", "overlapping", offset(0)),
      row("offset with a hole", "leaving a hole", offset(64)),
      row("offset wrapping", "leaving a hole", offset(kHuge - 31)),
      row("tensors out of order", "leaving a hole",
          [](Gguf& f) { std::swap(f.tensors[0], f.tensors[1]); }),
      row("tensor beyond the end", "short", dimensions({30})),
      raw("data short by a byte", "1 short", [] { return cut(1); }),
      raw("data short by a tensor", "32 short", [] { return cut(32); }),
      raw("data missing", "64 short", [] { return cut(64); }),
      raw("data and padding missing", "padding after the header",
          [] {
            Gguf file = valid();
            file.data.clear();
            file.alignment = 1;
            return file.bytes();
          }),
      row("a trailing byte", "1 bytes follow the last tensor", [](Gguf& f) { f.data.zeros(1); }),
      row("a trailing block", "32 bytes follow the last tensor", [](Gguf& f) { f.data.zeros(32); }),
      row("padding of the header not zero", "is not zero", [](Gguf& f) { f.padding = 1; }),
      row("padding of a tensor not zero", "is not zero", [](Gguf& f) { f.data[25] = 1; }),
      row("padding of the last tensor not zero", "is not zero", [](Gguf& f) { f.data.back() = 1; }),

      row("tensor missing", "\"b.bias\" [4] is missing", rename(name("c.bias"))),
      row("tensor extra", "\"c\" is not one of the model's 2",
          [](Gguf& f) {
            f.tensors.push_back({name("c"), {1}, 0, 64});
            f.data.zeros(32);
          }),
      row("tensor of another shape", "has shape [3,2], the model's is [2,3]",
          [](Gguf& f) {
            f.tensors[0].dimensions = {2, 3};
          }),
      row("tensor of another rank", "has shape [1,4], the model's is [4]", dimensions({4, 1})),
      row("hyper-parameter too large", "is 9, outside 1 to 8",
          [](Gguf& f) { f.keys[1] = key("mgpnet.levels", kU32, Bytes().u32(9)); }),
      row("hyper-parameter 0", "is 0, outside 1 to 8",
          [](Gguf& f) { f.keys[1] = key("mgpnet.levels", kU32, Bytes().u32(0)); }),
      row("hyper-parameter negative", "is -3, outside 1 to 8",
          [](Gguf& f) { f.keys[1] = key("mgpnet.levels", 5, Bytes().u32(0xfffffffd)); }),
      row("hyper-parameter 2^64-1", "is 18446744073709551615, outside",
          [](Gguf& f) { f.keys[1] = key("mgpnet.levels", 10, Bytes().u64(kHuge)); }),
      row("hyper-parameter a float", "is of type f32, not an integer",
          [](Gguf& f) { f.keys[1] = key("mgpnet.levels", kF32, Bytes().f32(3)); }),
      row("hyper-parameter missing", "the file has \"mgpnet.level\"",
          [](Gguf& f) { f.keys[1] = key("mgpnet.level", kU32, Bytes().u32(3)); }),
      row("other architecture", "is \"llama\", not \"mgpnet\"",
          [](Gguf& f) { f.keys[0] = key("general.architecture", kString, Bytes().text("llama")); }),
      row("weights with NaN", "\"a.weight\" holds NaN or infinity at element 2",
          element(std::numeric_limits<float>::quiet_NaN())),
      row("weights with infinity", "holds NaN or infinity",
          element(-std::numeric_limits<float>::infinity())),

      raw("10^6 tiny tensors", "over the limit of 65536", [] { return million_tensors(1000000); }),
      raw("10^6 tiny tensors, 65536 declared", "byte", [] { return million_tensors(65536); }),
  };
  for (size_t n = 1; n < 24; ++n)
    rows.push_back(raw(std::to_string(n) + " bytes",
                       n < 4 ? "not a GGUF file" : "a GGUF header at least 24", [n] {
                         Bytes file = valid().bytes();
                         file.resize(n);
                         return file;
                       }));
  return rows;
}

}  // namespace satin::testing
