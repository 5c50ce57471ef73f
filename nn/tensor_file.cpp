#include "nn/tensor_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <sstream>
#include <utility>

#include "nn/gguf.h"
#include "nn/safetensors.h"
#include "nn/text.h"

namespace satin {
namespace {

constexpr std::array<std::string_view, 13> kTypeNames = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};

[[noreturn]] void refuse(const TensorFile& file, std::string reason, std::string advice) {
  throw FileError(file.file, {}, std::move(reason), std::move(advice));
}

const MetaValue& require(const TensorFile& file, std::string_view key) {
  if (const MetaValue* value = file.find_metadata(key)) return *value;
  std::vector<std::string_view> keys;
  for (const MetaEntry& entry : file.metadata) keys.push_back(entry.key);
  const std::string near = nearest_name(key, keys);
  refuse(file, cat("metadata key ", in_quotes(key), " is missing"),
         near.empty() ? "use a file made for this model" : cat("the file has ", in_quotes(near)));
}

[[noreturn]] void refuse_type(const TensorFile& file,
                              std::string_view key,
                              const MetaValue& value,
                              std::string_view wanted) {
  refuse(file,
         cat("metadata key ", in_quotes(key), " is of type ", type_name(value), ", not ", wanted),
         "use a file made for this model");
}

template <class T>
std::string element_text(const T& x) {
  if constexpr (std::is_same_v<T, bool>) {
    return x ? "true" : "false";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return x;
  } else if constexpr (std::is_floating_point_v<T>) {
    std::ostringstream out;
    out.precision(sizeof(T) == 4 ? 9 : 17);
    out << x;
    return out.str();
  } else {
    return std::to_string(x);
  }
}

// The first element whose exponent is all ones (NaN or infinity); n when none is.  Blocks of fixed
// length are looked at before elements, so that the compiler uses vectors.
template <class Bits>
size_t first_nonfinite(const std::vector<std::byte>& data, Bits exponent) {
  constexpr size_t kBlock = 512;
  const size_t n = data.size() / sizeof(Bits);
  Bits block[kBlock] = {};
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t count = std::min(kBlock, n - begin);  // the rest was found finite before
    std::memcpy(block, data.data() + begin * sizeof(Bits), count * sizeof(Bits));
    Bits found = 0;
    for (size_t i = 0; i < kBlock; ++i)
      found |= static_cast<Bits>((block[i] & exponent) == exponent ? 1 : 0);
    for (size_t i = 0; found && i < count; ++i)
      if ((block[i] & exponent) == exponent) return begin + i;
  }
  return n;
}

size_t first_nonfinite(const StoredTensor& t) {
  switch (t.dtype) {
    case DType::f64:
      return first_nonfinite<uint64_t>(t.data, 0x7ff0000000000000u);
    case DType::f32:
      return first_nonfinite<uint32_t>(t.data, 0x7f800000u);
    case DType::bf16:
      return first_nonfinite<uint16_t>(t.data, 0x7f80u);
    case DType::f16:
      return first_nonfinite<uint16_t>(t.data, 0x7c00u);
  }
  return 0;
}

template <class Stored, class T, class Convert>
void unpack(const StoredTensor& t, T* to, Convert convert) {
  const size_t n = t.data.size() / sizeof(Stored);
  for (size_t i = 0; i < n; ++i) {
    Stored x;
    std::memcpy(&x, t.data.data() + i * sizeof x, sizeof x);
    to[i] = static_cast<T>(convert(x));
  }
}

template <class Stored, class T, class Convert>
void pack(StoredTensor& t, std::span<const T> values, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Stored x = convert(values[i]);
    std::memcpy(t.data.data() + i * sizeof x, &x, sizeof x);
  }
}

}  // namespace

const MetaValue* TensorFile::find_metadata(std::string_view key) const {
  const auto at =
      std::find_if(metadata.begin(), metadata.end(), [&](const auto& e) { return e.key == key; });
  return at == metadata.end() ? nullptr : &at->value;
}

const StoredTensor* TensorFile::find(std::string_view name) const {
  const auto at =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

TensorFile read_tensor_file(const std::string& path, const HeaderCheck& check) {
  ByteReader reader(path);
  return read_tensor_file(reader, check);
}

TensorFile read_tensor_file(ByteReader& reader, const HeaderCheck& check) {
  // Whatever claims to be GGUF by content or by name gets GGUF's messages.
  std::string magic;
  if (reader.size() >= 4) magic = reader.get_text(4, "the magic");
  reader.seek(0);
  return magic == "GGUF" || reader.file().ends_with(".gguf") ? read_gguf(reader, check)
                                                             : read_safetensors(reader, check);
}

const std::string& require_string(const TensorFile& file, std::string_view key) {
  const MetaValue& value = require(file, key);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  refuse_type(file, key, value, "string");
}

int64_t require_integer(const TensorFile& file, std::string_view key, int64_t least, int64_t most) {
  const MetaValue& value = require(file, key);
  const bool in_range = std::visit(
      [&]<class T>(const T& x) {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return std::cmp_less_equal(least, x) && std::cmp_less_equal(x, most);
        else
          refuse_type(file, key, value, "an integer");
        return false;
      },
      value);
  if (!in_range)
    refuse(file,
           cat("metadata key ", in_quotes(key), " is ", to_text(value), ", outside ", least, " to ",
               most),
           "use a file made for this model");
  return std::visit(
      []<class T>(const T& x) -> int64_t {
        if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(x);
        return 0;
      },
      value);
}

double require_number(const TensorFile& file, std::string_view key, double least, double most) {
  const MetaValue& value = require(file, key);
  const double number = std::visit(
      [&]<class T>(const T& x) -> double {
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
          return static_cast<double>(x);
        refuse_type(file, key, value, "a number");
      },
      value);
  if (!(number >= least && number <= most))  // NaN is outside of everything
    refuse(file,
           cat("metadata key ", in_quotes(key), " is ", number, ", outside ", least, " to ", most),
           "use a file made for this model");
  return number;
}

std::string type_name(const MetaValue& value) {
  if (const auto* array = std::get_if<MetaArray>(&value))
    return cat("array of ", kTypeNames[array->index()]);
  return std::string(kTypeNames[value.index()]);
}

std::string to_text(const MetaValue& value) {
  const auto array_text = []<class V>(const V& elements) {
    std::string out = "[";
    if constexpr (!std::is_same_v<V, std::monostate>)
      for (size_t i = 0; i < elements.size(); ++i)
        out += (i ? ", " : "") + element_text<typename V::value_type>(elements[i]);
    return out + "]";
  };
  return std::visit(
      [&]<class T>(const T& x) {
        if constexpr (std::is_same_v<T, MetaArray>)
          return std::visit(array_text, x);
        else
          return element_text(x);
      },
      value);
}

void check_tensor_set(const TensorFile& file, std::span<const ExpectedTensor> expected) {
  using Named = std::pair<std::string_view, size_t>;
  const auto index = [](const auto& list) {
    std::vector<Named> names;
    for (size_t i = 0; i < list.size(); ++i) names.emplace_back(list[i].name, i);
    std::sort(names.begin(), names.end());
    return names;
  };
  const auto find = [](const std::vector<Named>& names, std::string_view name) -> const Named* {
    const auto at = std::lower_bound(names.begin(), names.end(), Named(name, 0));
    return at == names.end() || at->first != name ? nullptr : &*at;
  };
  const std::vector<Named> present = index(file.tensors), wanted = index(expected);

  std::vector<std::string_view> extra;
  for (const StoredTensor& t : file.tensors)
    if (!find(wanted, t.name)) extra.push_back(t.name);
  for (const ExpectedTensor& e : expected) {
    const Named* at = find(present, e.name);
    if (!at) {
      const std::string near = nearest_name(e.name, extra);
      refuse(file, cat("tensor ", in_quotes(e.name), " ", e.shape, " is missing"),
             near.empty() ? "use a file made for this model"
                          : cat("did ", in_quotes(near), " mean it?"));
    }
    const StoredTensor& t = file.tensors[at->second];
    if (t.shape != e.shape)
      refuse(
          file,
          cat("tensor ", in_quotes(e.name), " has shape ", t.shape, ", the model's is ", e.shape),
          "use a file made for this model and variant");
  }
  if (!extra.empty()) {
    std::vector<std::string_view> known;
    for (const ExpectedTensor& e : expected) known.push_back(e.name);
    const std::string near = nearest_name(extra[0], known);
    refuse(file,
           cat("tensor ", in_quotes(extra[0]), " is not one of the model's ", expected.size()),
           near.empty() ? "use a file made for this model"
                        : cat("the nearest name is ", in_quotes(near)));
  }
}

void check_finite(const TensorFile& file) {
  for (const StoredTensor& t : file.tensors) {
    const size_t at = first_nonfinite(t);
    if (at < t.data.size() / size_of(t.dtype))
      refuse(file, cat("tensor ", in_quotes(t.name), " holds NaN or infinity at element ", at),
             "use an earlier file of the same training");
  }
}

void check_tensors(const TensorFile& file, std::span<const ExpectedTensor> expected) {
  check_tensor_set(file, expected);
  check_finite(file);
}

template <class T>
void read_values(const StoredTensor& t, std::span<T> to) {
  require_consistent(t);
  if (to.size() != static_cast<size_t>(t.shape.size()))
    throw Error(
        cat("tensor ", in_quotes(t.name), " ", t.shape, " does not have ", to.size(), " elements"));
  switch (t.dtype) {
    case DType::f64:
      return unpack<double>(t, to.data(), [](double x) { return x; });
    case DType::f32:
      return unpack<float>(t, to.data(), [](float x) { return x; });
    case DType::bf16:
      return unpack<Bf16>(t, to.data(), [](Bf16 x) { return to_f32(x); });
    case DType::f16:
      return unpack<F16>(t, to.data(), [](F16 x) { return to_f32(x); });
  }
}

template <class T>
std::vector<T> values_of(const StoredTensor& t) {
  require_consistent(t);
  std::vector<T> values(static_cast<size_t>(t.shape.size()));
  read_values<T>(t, values);
  return values;
}

template <class T>
StoredTensor store_values(std::string name,
                          const Shape& shape,
                          std::span<const T> values,
                          DType dtype) {
  StoredTensor t{.name = std::move(name), .dtype = dtype, .shape = shape, .data = {}};
  t.data.resize(values.size() * size_of(dtype));
  require_consistent(t);
  switch (dtype) {
    case DType::f64:
      pack<double>(t, values, [](T x) { return static_cast<double>(x); });
      break;
    case DType::f32:
      pack<float>(t, values, [](T x) { return static_cast<float>(x); });
      break;
    case DType::bf16:
      pack<Bf16>(t, values, [](T x) { return to_bf16(static_cast<float>(x)); });
      break;
    case DType::f16:
      pack<F16>(t, values, [](T x) { return to_f16(static_cast<float>(x)); });
      break;
  }
  return t;
}

template void read_values<float>(const StoredTensor&, std::span<float>);
template void read_values<double>(const StoredTensor&, std::span<double>);
template std::vector<float> values_of<float>(const StoredTensor&);
template std::vector<double> values_of<double>(const StoredTensor&);
template StoredTensor store_values<float>(std::string, const Shape&, std::span<const float>, DType);
template StoredTensor store_values<double>(std::string,
                                           const Shape&,
                                           std::span<const double>,
                                           DType);

void require_consistent(const StoredTensor& t) {
  const uint64_t wanted = static_cast<uint64_t>(t.shape.size()) * size_of(t.dtype);
  if (t.data.size() != wanted)
    throw Error(cat("tensor ", in_quotes(t.name), " ", t.shape, " of ", t.dtype, " needs ", wanted,
                    " bytes of data, not ", t.data.size()));
}

size_t first_duplicate(std::span<const std::string_view> names) {
  std::vector<uint32_t> order(names.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int sign = names[a].compare(names[b]);
    return sign != 0 ? sign < 0 : a < b;
  });
  size_t first = names.size();
  for (size_t i = 1; i < order.size(); ++i)
    if (names[order[i]] == names[order[i - 1]]) first = std::min<size_t>(first, order[i]);
  return first;
}

std::string name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.find('\0') != std::string_view::npos) return "holds a NUL byte";
  if (!valid_utf8(name)) return "is not UTF-8";
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(name.begin(), name.end(), control)) return "holds control characters";
  return {};
}

}  // namespace satin
