#include "nn/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "nn/atomic_file.h"
#include "nn/checked.h"
#include "nn/text.h"

namespace satin {
namespace {

constexpr uint32_t kVersion = 3, kOldestVersion = 2;
constexpr uint64_t kSmallest = 24;  // magic, version, two counts
constexpr uint64_t kLongestKey = 65535, kLongestTensorName = 63;
constexpr uint32_t kDefaultAlignment = 32, kLeastAlignment = 8, kMostAlignment = 65536;
constexpr uint64_t kMostDimensions = 4, kLargestDimension = uint64_t{1} << 31;
constexpr uint32_t kBoolType = 7, kStringType = 8, kArrayType = 9, kTypes = 13;
// The bounds that keep memory within the file's size and 64 MiB: a string in memory costs up to 56
// bytes more than in the file, and names are sorted to find duplicates.
constexpr uint64_t kMostStrings = 1 << 19, kLargestHeader = 64 << 20;
// The fewest bytes an entry can take in the file.
constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1, kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

constexpr std::string_view kAlignmentKey = "general.alignment";

struct TensorType {
  uint32_t code;
  DType dtype;
};
constexpr std::array<TensorType, 4> kTensorTypes = {
    {{0, DType::f32}, {1, DType::f16}, {28, DType::f64}, {30, DType::bf16}}};

// Keys whose type the format's specification fixes: value type, and element type of arrays.
struct KnownKey {
  std::string_view key;
  uint32_t type;
  uint32_t element = 0;
};
constexpr KnownKey kKnownKeys[] = {
    {kAlignmentKey, 4},
    {"general.architecture", 8},
    {"general.author", 8},
    {"general.basename", 8},
    {"general.datasets", 9, 8},
    {"general.description", 8},
    {"general.file_type", 4},
    {"general.finetune", 8},
    {"general.languages", 9, 8},
    {"general.license", 8},
    {"general.name", 8},
    {"general.organization", 8},
    {"general.quantization_version", 4},
    {"general.quantized_by", 8},
    {"general.repo_url", 8},
    {"general.size_label", 8},
    {"general.tags", 9, 8},
    {"general.url", 8},
    {"general.version", 8},
};

// Calls f.operator()<T, code>() with the C++ type of a value type other than array.
template <class F>
MetaValue with_type(uint32_t code, F f) {
  MetaValue out;
  const auto attempt = [&]<size_t I>(std::integral_constant<size_t, I>) {
    if constexpr (I != kArrayType)
      if (code == I) out = f.template operator()<std::variant_alternative_t<I, MetaValue>>();
  };
  [&]<size_t... I>(std::index_sequence<I...>) {
    (attempt(std::integral_constant<size_t, I>{}), ...);
  }
  (std::make_index_sequence<kTypes>{});
  return out;
}

constexpr uint64_t kTypeBytes[kTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// --- reading -----------------------------------------------------------------------------------

class HeaderReader {
 public:
  explicit HeaderReader(ByteReader& in) : in_(in) { out_.file = in.file(); }

  /// Leaves the reader at the first tensor's data.
  TensorFile read() {
    const auto [tensors, keys] = read_counts();
    read_metadata(keys);
    read_tensors(tensors);
    check_layout();
    return std::move(out_);
  }

  uint32_t alignment() const { return alignment_; }

 private:
  std::pair<uint64_t, uint64_t> read_counts() {
    if (in_.size() == 0) in_.fail(0, "the file is empty");
    const std::string magic = in_.get_text(std::min<uint64_t>(4, in_.size()), "the magic");
    if (magic != "GGUF")
      in_.fail(0, cat("not a GGUF file: it begins with ", in_quotes(magic)),
               magic.starts_with("PK")
                   ? "this looks like a PyTorch checkpoint, convert it to safetensors"
                   : "name a .gguf or .safetensors model");
    if (in_.size() < kSmallest)
      in_.fail(in_.size(),
               cat("the file has ", in_.size(), " bytes, a GGUF header at least ", kSmallest));
    const auto version = in_.get<uint32_t>("the version");
    if (version == __builtin_bswap32(kVersion) || version == __builtin_bswap32(kOldestVersion))
      in_.fail(4, "the file is big-endian", "convert it to little-endian GGUF");
    if (version < kOldestVersion || version > kVersion)
      in_.fail(4, cat("GGUF version ", version, " is not supported, 2 and 3 are"),
               "convert it to version 3");
    out_.format = "GGUF";
    out_.version = version;
    const uint64_t tensors = read_count("tensor", kLeastTensorBytes, kMaxTensors);
    const uint64_t keys = read_count("key", kLeastKeyBytes, kMaxMetadata);
    return {tensors, keys};
  }

  uint64_t read_count(std::string_view what, uint64_t least_bytes, uint64_t most) {
    const uint64_t at = in_.offset(), n = in_.get<uint64_t>("the counts");
    if (static_cast<int64_t>(n) < 0) in_.fail(at, cat("the ", what, " count is negative or huge"));
    if (n > in_.left() / least_bytes)
      in_.fail(at,
               cat("a ", what, " count of ", n, " is more than ", in_.left(), " bytes can hold"));
    if (n > most)
      in_.fail(at, cat("a ", what, " count of ", n, " is over the limit of ", most),
               "this is no model for it");
    return n;
  }

  void read_metadata(uint64_t count) {
    out_.metadata.reserve(count);
    std::vector<uint64_t> offsets;
    offsets.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      offsets.push_back(in_.offset());
      std::string key = read_key();
      const uint64_t at = in_.offset();
      const auto type = in_.get<uint32_t>("a value type");
      MetaValue value = read_value(type, at, key);
      check_known_key(key, value, at);
      out_.metadata.push_back({std::move(key), std::move(value)});
      if (in_.offset() > kLargestHeader)
        in_.fail(in_.offset(), cat("the metadata is over ", kLargestHeader >> 20, " MiB"),
                 "this is no model for it");
    }
    std::vector<std::string_view> names;
    names.reserve(count);
    for (const MetaEntry& entry : out_.metadata) names.push_back(entry.key);
    const size_t twice = first_duplicate(names);
    if (twice < count)
      in_.fail(offsets[twice], cat("key ", in_quotes(names[twice]), " is there twice"));
  }

  std::string read_key() {
    const uint64_t at = in_.offset(), n = in_.get<uint64_t>("a key's length");
    if (n == 0) in_.fail(at, "a key is empty");
    if (n > kLongestKey) in_.fail(at, cat("a key of ", n, " bytes, the limit is ", kLongestKey));
    std::string key = in_.get_text(n, "a key");
    if (const std::string fault = name_fault(key); !fault.empty())
      in_.fail(at, cat("key ", in_quotes(key), " ", fault));
    return key;
  }

  std::string read_string(std::string_view key) {
    const uint64_t at = in_.offset(), n = in_.get<uint64_t>("a string's length");
    if (n > in_.left())
      in_.fail(at, cat("a string of ", n, " bytes in key ", in_quotes(key), ", ", in_.left(),
                       " are left"));
    if (n > kLargestHeader)
      in_.fail(at, cat("a string of ", n, " bytes in key ", in_quotes(key), ", the limit is ",
                       kLargestHeader));
    std::string text = in_.get_text(n, "a string");
    if (!valid_utf8(text)) in_.fail(at, cat("the string of key ", in_quotes(key), " is not UTF-8"));
    return text;
  }

  template <class T>
  T read_scalar(std::string_view key) {
    if constexpr (std::is_same_v<T, std::string>) {
      return read_string(key);
    } else if constexpr (std::is_same_v<T, bool>) {
      const auto byte = in_.get<uint8_t>("a bool");
      if (byte > 1)
        in_.fail(in_.offset() - 1,
                 cat("a bool of ", int{byte}, " in key ", in_quotes(key), ", not 0 or 1"));
      return byte == 1;
    } else {
      return in_.get<T>("a value");
    }
  }

  MetaValue read_value(uint32_t type, uint64_t at, std::string_view key) {
    if (type >= kTypes) in_.fail(at, cat("unknown value type ", type, " of key ", in_quotes(key)));
    if (type == kArrayType) return read_array(key);
    return with_type(
        type, [&]<class T>() { return MetaValue(std::in_place_type<T>, read_scalar<T>(key)); });
  }

  MetaValue read_array(std::string_view key) {
    const uint64_t at = in_.offset();
    const auto type = in_.get<uint32_t>("an array's element type");
    const auto count = in_.get<uint64_t>("an array's length");
    if (type == kArrayType)
      in_.fail(at, cat("key ", in_quotes(key), " is an array of arrays"),
               "this is no model for it");
    if (type >= kTypes)
      in_.fail(at, cat("unknown element type ", type, " of key ", in_quotes(key)));
    const auto bytes = checked::mul(count, kTypeBytes[type]);
    if (!bytes || *bytes > in_.left())
      in_.fail(at + 4, cat("an array of ", count, " elements in key ", in_quotes(key), ", ",
                           in_.left(), " bytes are left"));
    if (*bytes > kLargestHeader)
      in_.fail(at + 4, cat("an array of ", *bytes, " bytes in key ", in_quotes(key),
                           ", the limit is ", kLargestHeader));
    if (type == kStringType) {
      if (count > strings_left_)
        in_.fail(at + 4, cat("more than ", kMostStrings, " strings in arrays"),
                 "this is no model for it");
      strings_left_ -= count;
    }
    return with_type(type, [&]<class T>() {
      std::vector<T> elements(count);
      if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, bool>)
        for (uint64_t i = 0; i < count; ++i) elements[i] = read_scalar<T>(key);
      else
        in_.read(elements.data(), *bytes, "an array");
      return MetaValue(MetaArray(std::move(elements)));
    });
  }

  void check_known_key(std::string_view key, const MetaValue& value, uint64_t at) {
    const auto* known = std::find_if(std::begin(kKnownKeys), std::end(kKnownKeys),
                                     [&](const KnownKey& k) { return k.key == key; });
    if (known == std::end(kKnownKeys)) return;
    const auto* array = std::get_if<MetaArray>(&value);
    if (value.index() != known->type || (array && array->index() != known->element))
      in_.fail(at, cat("key ", in_quotes(key), " has the wrong type, ", type_name(value)));
    if (key == kAlignmentKey) set_alignment(std::get<uint32_t>(value), at);
  }

  void set_alignment(uint32_t given, uint64_t at) {
    if (!std::has_single_bit(given) || given < kLeastAlignment || given > kMostAlignment)
      in_.fail(at, cat(kAlignmentKey, " is ", given, ", not a power of two from ", kLeastAlignment,
                       " to ", kMostAlignment));
    alignment_ = given;
  }

  void read_tensors(uint64_t count) {
    out_.tensors.reserve(count);
    std::vector<uint64_t> offsets;
    offsets.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      offsets.push_back(in_.offset());
      read_tensor();
    }
    std::vector<std::string_view> names;
    names.reserve(count);
    for (const StoredTensor& t : out_.tensors) names.push_back(t.name);
    const size_t twice = first_duplicate(names);
    if (twice < count)
      in_.fail(offsets[twice], cat("tensor ", in_quotes(names[twice]), " is there twice"));
  }

  void read_tensor() {
    StoredTensor t;
    uint64_t at = in_.offset();
    const auto length = in_.get<uint64_t>("a tensor name's length");
    if (length > kLongestTensorName)
      in_.fail(at, cat("a tensor name of ", length, " bytes, the limit is ", kLongestTensorName));
    t.name = in_.get_text(length, "a tensor name");
    const std::string who = "tensor " + in_quotes(t.name);
    std::string fault = name_fault(t.name);
    if (t.name.find_first_of("/\\") != std::string::npos || t.name == "." || t.name == "..")
      fault = "looks like a path";
    if (!fault.empty()) in_.fail(at, cat("the name of ", who, " ", fault));

    at = in_.offset();
    const auto rank = in_.get<uint32_t>("a number of dimensions");
    if (rank == 0 || rank > kMostDimensions)
      in_.fail(at, cat(who, " has ", rank, " dimensions, not 1 to ", kMostDimensions));
    std::array<int64_t, kMostDimensions> extents{};
    std::optional<uint64_t> elements = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      const auto extent = in_.get<uint64_t>("a dimension");
      if (extent == 0 || extent > kLargestDimension)
        in_.fail(in_.offset() - 8,
                 cat(who, " has a dimension of ", static_cast<int64_t>(extent), ", not 1 to 2^31"));
      extents[rank - 1 - i] = static_cast<int64_t>(extent);
      if (elements) elements = checked::mul(*elements, extent);
    }

    at = in_.offset();
    const auto code = in_.get<uint32_t>("a tensor type");
    const auto type = std::find_if(kTensorTypes.begin(), kTensorTypes.end(),
                                   [&](const TensorType& k) { return k.code == code; });
    if (type == kTensorTypes.end())
      in_.fail(at, cat(who, " is of type ", code, ", not F32 (0), F16 (1), F64 (28) or BF16 (30)"),
               "convert it to one of those");
    t.dtype = type->dtype;
    if (elements) elements = checked::mul(*elements, size_of(t.dtype));
    if (!elements || *elements > in_.size())
      in_.fail(at, cat(who, " is larger than the file of ", in_.size(), " bytes"));
    t.shape = Shape(std::span(extents).first(rank));

    at = in_.offset();
    const auto offset = in_.get<uint64_t>("a tensor's offset");
    if (offset % alignment_ != 0)
      in_.fail(at, cat(who, " has offset ", offset, ", not a multiple of ", alignment_));
    if (offset != data_bytes_)
      in_.fail(at, cat(who, " has offset ", offset, ", ",
                       offset < data_bytes_ ? "overlapping its predecessor" : "leaving a hole",
                       "; it must be ", data_bytes_));
    // Every tensor is within the file's size, so the sum stays far below 2^64.
    data_bytes_ = checked::pad(data_bytes_ + *elements, alignment_).value();
    if (data_bytes_ > in_.size() + alignment_)
      in_.fail(at, cat(who, " reaches beyond the end of the file"));
    out_.tensors.push_back(std::move(t));
  }

  void check_layout() {
    const uint64_t start = checked::pad(in_.offset(), alignment_).value();
    in_.expect_zeros(start - in_.offset(), "the padding after the header");
    if (data_bytes_ > in_.left())
      in_.fail(in_.size(), cat("the tensors need ", data_bytes_, " bytes from byte ", start,
                               " on, the file is ", data_bytes_ - in_.left(), " short"));
    if (data_bytes_ < in_.left())
      in_.fail(start + data_bytes_, cat(in_.left() - data_bytes_, " bytes follow the last tensor"));
  }

  ByteReader& in_;
  TensorFile out_;
  uint32_t alignment_ = kDefaultAlignment;
  uint64_t data_bytes_ = 0;  // of the tensors read so far, padded: the next one's offset
  uint64_t strings_left_ = kMostStrings;
};

// --- writing -----------------------------------------------------------------------------------

class Writer {
 public:
  template <class T>
  void put(T x) {
    raw(&x, sizeof x);
  }
  void raw(const void* from, size_t n) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    out.insert(out.end(), bytes, bytes + n);
  }
  void text(std::string_view s) {
    put<uint64_t>(s.size());
    raw(s.data(), s.size());
  }
  void element(const std::string& s) { text(s); }
  void element(bool b) { put<uint8_t>(b); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void element(T x) { put(x); }

  void value(const MetaValue& v) {
    put(static_cast<uint32_t>(v.index()));
    std::visit(
        [&]<class T>(const T& x) {
          if constexpr (std::is_same_v<T, MetaArray>)
            array(x);
          else
            element(x);
        },
        v);
  }
  void array(const MetaArray& a) {
    put(static_cast<uint32_t>(a.index()));
    std::visit(
        [&]<class V>(const V& elements) {
          if constexpr (std::is_same_v<V, std::monostate>) {
            throw Error("GGUF: an array without an element type cannot be written");
          } else {
            put<uint64_t>(elements.size());
            for (size_t i = 0; i < elements.size(); ++i)
              element(static_cast<typename V::value_type>(elements[i]));
          }
        },
        a);
  }
  void zeros_to(size_t alignment) { out.resize(checked::pad(out.size(), alignment).value()); }

  std::vector<uint8_t> out;
};

}  // namespace

TensorFile read_gguf(ByteReader& in, const HeaderCheck& check) {
  HeaderReader header(in);
  TensorFile file = header.read();
  if (check) check(file);
  for (StoredTensor& t : file.tensors) {
    t.data.resize(static_cast<size_t>(t.shape.size()) * size_of(t.dtype));
    in.read(t.data.data(), t.data.size(), "a tensor");
    in.expect_zeros(checked::pad(t.data.size(), header.alignment()).value() - t.data.size(),
                    "the padding after a tensor");
  }
  in.expect_end("the last tensor");
  return file;
}

TensorFile read_gguf(const std::string& path, const HeaderCheck& check) {
  ByteReader in(path);
  return read_gguf(in, check);
}

TensorFile read_gguf_header(ByteReader& in) { return HeaderReader(in).read(); }

TensorFile read_gguf_header(const std::string& path) {
  ByteReader in(path);
  return read_gguf_header(in);
}

std::vector<uint8_t> serialize_gguf(const TensorFile& file) {
  uint32_t alignment = kDefaultAlignment;
  if (const MetaValue* value = file.find_metadata(kAlignmentKey)) {
    const auto* given = std::get_if<uint32_t>(value);
    if (!given || !std::has_single_bit(*given))
      throw Error(cat("GGUF: ", kAlignmentKey, " must be a u32 that is a power of two"));
    alignment = *given;
  }
  Writer w;
  w.raw("GGUF", 4);
  w.put(kVersion);
  w.put<uint64_t>(file.tensors.size());
  w.put<uint64_t>(file.metadata.size());
  for (const MetaEntry& entry : file.metadata) {
    w.text(entry.key);
    w.value(entry.value);
  }
  uint64_t offset = 0;
  for (const StoredTensor& t : file.tensors) {
    require_consistent(t);
    w.text(t.name);
    w.put(static_cast<uint32_t>(t.shape.rank()));
    for (int i = t.shape.rank() - 1; i >= 0; --i)
      w.put<uint64_t>(static_cast<uint64_t>(t.shape[i]));
    w.put(std::find_if(kTensorTypes.begin(), kTensorTypes.end(), [&](const TensorType& k) {
            return k.dtype == t.dtype;
          })->code);
    w.put<uint64_t>(offset);
    offset = checked::pad(offset + t.data.size(), alignment).value();
  }
  w.zeros_to(alignment);
  w.out.reserve(w.out.size() + offset);
  for (const StoredTensor& t : file.tensors) {
    w.raw(t.data.data(), t.data.size());
    w.zeros_to(alignment);
  }
  // The reader states the rules; nothing leaves this function that it would refuse.
  try {
    ByteReader reader("GGUF", std::as_bytes(std::span(w.out)));
    read_gguf_header(reader);
  } catch (const FileError& error) {
    throw Error(cat("this content cannot be written as GGUF: ", error.reason()));
  }
  return std::move(w.out);
}

void write_gguf(const std::string& path, const TensorFile& file) {
  write_file(path, serialize_gguf(file));
}

}  // namespace satin
