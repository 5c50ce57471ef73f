#include "nn/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "nn/atomic_file.h"
#include "nn/checked.h"
#include "nn/text.h"

namespace satin {
namespace {

// The parser holds the header up to eight times (tokens, messages), which must stay under 64 MiB.
constexpr uint64_t kLargestJson = 8 << 20;
constexpr uint64_t kLargestShape = uint64_t{1} << 59;  // what Shape takes

constexpr std::string_view kMetadata = "__metadata__";

struct TypeName {
  std::string_view name;
  DType dtype;
};
// Widest first, the order of the data in a written file.
constexpr std::array<TypeName, 4> kJsonTypes = {
    {{"F64", DType::f64}, {"F32", DType::f32}, {"BF16", DType::bf16}, {"F16", DType::f16}}};

// --- reading -----------------------------------------------------------------------------------

// Walks over the header and tells how far the parser has come, for the offset in errors.
class Cursor {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::forward_iterator_tag;

  Cursor() = default;
  Cursor(const char* at, uint64_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at_ == b.at_; }

 private:
  const char* at_ = nullptr;
  uint64_t* count_ = nullptr;
};

struct Extent {
  uint64_t begin = 0, end = 0;
};

// Takes the parser's events.  Only one shape of document is accepted, so depth never exceeds three
// and anything deeper ends at its first bracket.
class HeaderEvents {
 public:
  HeaderEvents(const ByteReader& in, TensorFile& out) : in_(in), out_(out) {}

  uint64_t parsed = 0;          // characters, counted by Cursor
  std::vector<Extent> extents;  // of out.tensors, in the same order
  std::vector<uint64_t> tensor_at, metadata_at;

  bool start_object(size_t) {
    if (place_ == Place::outside) {
      place_ = Place::top;
    } else if (place_ == Place::tensor_begins) {
      place_ = Place::tensor;
      fields_ = 0;
    } else if (place_ == Place::metadata_begins) {
      place_ = Place::metadata;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() {
    if (place_ == Place::tensor) end_tensor();
    place_ = place_ == Place::top ? Place::outside : Place::top;
    return true;
  }

  bool key(std::string& name) {
    if (place_ == Place::tensor) {
      begin_field(name);
    } else if (place_ == Place::metadata) {
      if (out_.metadata.size() == kMaxMetadata)
        fail(cat("more than ", kMaxMetadata, " metadata keys"), "this is no model for it");
      metadata_at.push_back(offset());
      out_.metadata.push_back({std::move(name), std::string()});
      place_ = Place::metadata_value;
    } else if (name == kMetadata) {
      if (has_metadata_) fail(cat(kMetadata, " is there twice"));
      has_metadata_ = true;
      place_ = Place::metadata_begins;
    } else {
      begin_tensor(name);
    }
    return true;
  }

  bool string(std::string& text) {
    if (place_ == Place::metadata_value) {
      out_.metadata.back().value = std::move(text);
      place_ = Place::metadata;
    } else if (place_ == Place::dtype) {
      const auto type = std::find_if(kJsonTypes.begin(), kJsonTypes.end(),
                                     [&](const TypeName& t) { return t.name == text; });
      if (type == kJsonTypes.end())
        fail(cat(who(), " is of dtype ", in_quotes(text), ", not F64, F32, BF16 or F16"),
             "convert it to one of those");
      out_.tensors.back().dtype = type->dtype;
      place_ = Place::tensor;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_array(size_t) {
    if (place_ == Place::shape_begins) {
      place_ = Place::shape;
    } else if (place_ == Place::offsets_begins) {
      place_ = Place::offsets;
    } else {
      unexpected("an array");
    }
    count_ = 0;
    return true;
  }

  bool end_array() {
    if (place_ == Place::offsets && count_ != 2)
      fail(cat("data_offsets of ", who(), " has ", count_, " numbers, not 2"));
    if (place_ == Place::shape) rank_ = count_;
    place_ = Place::tensor;
    return true;
  }

  bool number_unsigned(uint64_t x) {
    if (place_ == Place::shape) {
      if (count_ == kMaxRank) fail(cat(who(), " has more than ", kMaxRank, " dimensions"));
      shape_[count_++] = x;
    } else if (place_ == Place::offsets) {
      if (count_ == 2) fail(cat("data_offsets of ", who(), " has more than 2 numbers"));
      (count_++ == 0 ? extents.back().begin : extents.back().end) = x;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool number_integer(int64_t x) {  // -0 arrives here too
    if (place_ == Place::shape || place_ == Place::offsets)
      fail(cat(who(), " has a negative number, ", x == 0 ? "-0" : std::to_string(x)));
    unexpected("a number");
  }
  bool number_float(double, const std::string& text) {
    if (place_ == Place::shape || place_ == Place::offsets)
      fail(cat(who(), " has ", printable(text), " where an integer belongs"));
    unexpected("a number");
  }
  bool null() { unexpected("null"); }
  bool boolean(bool) { unexpected("a boolean"); }
  bool binary(nlohmann::json::binary_t&) { unexpected("binary data"); }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: reason"
    std::string_view reason = error.what();
    if (const size_t at = reason.find("] "); at != reason.npos) reason.remove_prefix(at + 2);
    if (const size_t at = reason.find(": "); reason.starts_with("parse error") && at != reason.npos)
      reason.remove_prefix(at + 2);
    fail("the header is not valid JSON: " + printable(reason));
  }

 private:
  enum class Place {
    outside,
    top,
    metadata_begins,
    metadata,
    metadata_value,
    tensor_begins,
    tensor,
    dtype,
    shape_begins,
    shape,
    offsets_begins,
    offsets,
  };
  enum Field : unsigned { kDtype = 1, kShape = 2, kOffsets = 4 };

  uint64_t offset() const { return 8 + parsed; }
  std::string who() const { return "tensor " + in_quotes(out_.tensors.back().name); }
  [[noreturn]] void fail(std::string reason, std::string advice = {}) const {
    in_.fail(offset(), std::move(reason), std::move(advice));
  }
  [[noreturn]] void unexpected(std::string_view found) const {
    switch (place_) {
      case Place::outside:
        fail(cat("the header is ", found, ", not an object"));
      case Place::metadata_begins:
        fail(cat(kMetadata, " is ", found, ", not an object"));
      case Place::metadata_value:
        fail(cat("metadata key ", in_quotes(out_.metadata.back().key), " has ", found,
                 ", not a string"));
      case Place::tensor_begins:
        fail(cat(who(), " is ", found, ", not an object"));
      case Place::dtype:
        fail(cat("dtype of ", who(), " is ", found, ", not a string"));
      case Place::shape_begins:
        fail(cat("shape of ", who(), " is ", found, ", not an array"));
      case Place::shape:
        fail(cat("shape of ", who(), " holds ", found, ", not integers"));
      case Place::offsets_begins:
        fail(cat("data_offsets of ", who(), " is ", found, ", not an array"));
      case Place::offsets:
        fail(cat("data_offsets of ", who(), " holds ", found, ", not integers"));
      default:
        fail(cat("unexpected ", found, " in the header"));
    }
  }

  void begin_tensor(std::string& name) {
    if (out_.tensors.size() == kMaxTensors)
      fail(cat("more than ", kMaxTensors, " tensors"), "this is no model for it");
    if (const std::string fault = name_fault(name); !fault.empty())
      fail(cat("the name of tensor ", in_quotes(name), " ", fault));
    tensor_at.push_back(offset());
    out_.tensors.emplace_back().name = std::move(name);
    extents.emplace_back();
    place_ = Place::tensor_begins;
  }

  void begin_field(std::string_view name) {
    unsigned field = 0;
    if (name == "dtype") {
      field = kDtype;
      place_ = Place::dtype;
    } else if (name == "shape") {
      field = kShape;
      place_ = Place::shape_begins;
    } else if (name == "data_offsets") {
      field = kOffsets;
      place_ = Place::offsets_begins;
    } else {
      fail(cat(who(), " has an unknown field ", in_quotes(name)));
    }
    if (fields_ & field) fail(cat("field ", name, " of ", who(), " is there twice"));
    fields_ |= field;
  }

  void end_tensor() {
    if (!(fields_ & kDtype)) fail(cat(who(), " has no dtype"));
    if (!(fields_ & kShape)) fail(cat(who(), " has no shape"));
    if (!(fields_ & kOffsets)) fail(cat(who(), " has no data_offsets"));
    StoredTensor& t = out_.tensors.back();
    const Extent extent = extents.back();
    if (extent.begin > extent.end)
      fail(cat("data_offsets of ", who(), " begin at ", extent.begin, " and end at ", extent.end));
    // `capacity` is the product without zero extents: [0, 2^62] must not wrap anything either.
    std::optional<uint64_t> elements = 1, capacity = 1;
    std::array<int64_t, kMaxRank> shape{};
    for (size_t i = 0; i < rank_; ++i) {
      if (capacity) capacity = checked::mul(*capacity, std::max<uint64_t>(shape_[i], 1));
      if (elements) elements = checked::mul(*elements, shape_[i]);
      shape[i] = static_cast<int64_t>(shape_[i]);
    }
    if (!capacity || *capacity > kLargestShape) fail(cat("the shape of ", who(), " is too large"));
    t.shape = Shape(std::span(shape).first(rank_));
    const uint64_t bytes = *elements * size_of(t.dtype);  // under 2^62
    if (extent.end - extent.begin != bytes)
      fail(cat(who(), " ", t.shape, " of ", t.dtype, " needs ", bytes,
               " bytes, its data_offsets span ", extent.end - extent.begin));
  }

  const ByteReader& in_;
  TensorFile& out_;
  Place place_ = Place::outside;
  bool has_metadata_ = false;
  unsigned fields_ = 0;
  size_t count_ = 0, rank_ = 0;
  std::array<uint64_t, kMaxRank> shape_{};
};

struct JsonHeader {
  TensorFile file;
  std::vector<Extent> extents;  // absolute, of file.tensors
  std::vector<size_t> by_offset;
};

std::string read_header_text(ByteReader& in) {
  if (in.size() == 0) in.fail(0, "the file is empty");
  if (in.size() < 8)
    in.fail(in.size(), cat("the file has ", in.size(), " bytes, a safetensors file at least 10"));
  const auto length = in.get<uint64_t>("the header's length");
  if (length < 2) in.fail(0, cat("a header of ", length, " bytes cannot hold {}"));
  if (length > in.left()) {
    std::string start(4, '\0');
    in.seek(0);
    in.read(start.data(), start.size(), "the header's length");
    const bool zip = start.starts_with("PK");
    in.fail(0, cat("the header should have ", length, " bytes, ", in.size() - 8, " are left"),
            zip ? "this looks like a PyTorch checkpoint, convert it to safetensors" : "");
  }
  if (length > kLargestJson)
    in.fail(0, cat("a header of ", length, " bytes, the limit is ", kLargestJson),
            "this is no model for it");
  std::string text = in.get_text(length, "the header");
  // The parser would skip a BOM and leading space, and take a NUL for the end.
  if (text[0] != '{')
    in.fail(8, cat("the header begins with ", in_quotes(text.substr(0, 1)), ", not with {"));
  if (const size_t at = text.find('\0'); at != text.npos)
    in.fail(8 + at, "the header holds a NUL byte");
  if (const size_t n = valid_utf8_length(text); n != text.size())
    in.fail(8 + n, "the header is not UTF-8");
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}') in.fail(8 + last, "the header does not end with } and spaces");
  return text;
}

void check_layout(const ByteReader& in,
                  JsonHeader& header,
                  const std::vector<uint64_t>& tensor_at) {
  std::vector<size_t>& order = header.by_offset;
  order.resize(header.extents.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto& extents = header.extents;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(extents[a].begin, extents[a].end) <
           std::pair(extents[b].begin, extents[b].end);
  });
  const uint64_t data = in.offset();
  uint64_t reached = 0;
  for (const size_t i : order) {
    Extent& extent = header.extents[i];
    const std::string who = "tensor " + in_quotes(header.file.tensors[i].name);
    if (extent.end > in.left())
      in.fail(tensor_at[i],
              cat(who, " ends at data byte ", extent.end, ", the file holds ", in.left()));
    if (extent.begin != reached)
      in.fail(tensor_at[i], cat(who, " begins at data byte ", extent.begin,
                                extent.begin < reached ? ", overlapping the one that ends at "
                                                       : ", leaving a hole from ",
                                reached));
    reached = extent.end;
    extent = {data + extent.begin, data + extent.end};
  }
  if (reached != in.left())
    in.fail(data + reached, cat(in.left() - reached, " bytes follow the last tensor"));
}

JsonHeader read_header(ByteReader& in) {
  JsonHeader header;
  header.file.file = in.file();
  header.file.format = "safetensors";
  HeaderEvents events(in, header.file);
  {
    const std::string text = read_header_text(in);
    const Cursor begin(text.data(), &events.parsed), end(text.data() + text.size(), &events.parsed);
    nlohmann::json::sax_parse(begin, end, &events);
  }
  const auto check_unique = [&](const auto& list, auto name_of_entry,
                                const std::vector<uint64_t>& at, std::string_view kind) {
    std::vector<std::string_view> names;
    names.reserve(list.size());
    for (const auto& entry : list) names.push_back(name_of_entry(entry));
    const size_t twice = first_duplicate(names);
    if (twice < names.size())
      in.fail(at[twice], cat(kind, " ", in_quotes(names[twice]), " is there twice"));
  };
  check_unique(
      header.file.tensors, [](const StoredTensor& t) -> std::string_view { return t.name; },
      events.tensor_at, "tensor");
  check_unique(
      header.file.metadata, [](const MetaEntry& e) -> std::string_view { return e.key; },
      events.metadata_at, "metadata key");
  header.extents = std::move(events.extents);
  check_layout(in, header, events.tensor_at);
  return header;
}

}  // namespace

TensorFile read_safetensors(ByteReader& in, const HeaderCheck& check) {
  JsonHeader header = read_header(in);
  if (check) check(header.file);
  for (const size_t i : header.by_offset) {
    StoredTensor& t = header.file.tensors[i];
    t.data.resize(header.extents[i].end - header.extents[i].begin);
    in.seek(header.extents[i].begin);
    in.read(t.data.data(), t.data.size(), "a tensor");
  }
  in.expect_end("the last tensor");
  return std::move(header.file);
}

TensorFile read_safetensors(const std::string& path, const HeaderCheck& check) {
  ByteReader in(path);
  return read_safetensors(in, check);
}

TensorFile read_safetensors_header(ByteReader& in) { return read_header(in).file; }

TensorFile read_safetensors_header(const std::string& path) {
  ByteReader in(path);
  return read_safetensors_header(in);
}

// --- writing -----------------------------------------------------------------------------------

std::vector<uint8_t> serialize_safetensors(const TensorFile& file) {
  const auto rank_of = [](DType dtype) {
    return std::find_if(kJsonTypes.begin(), kJsonTypes.end(),
                        [&](const TypeName& t) { return t.dtype == dtype; });
  };
  std::vector<const StoredTensor*> order;
  for (const StoredTensor& t : file.tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [&](const StoredTensor* a, const StoredTensor* b) {
    return std::pair(rank_of(a->dtype), std::string_view(a->name)) <
           std::pair(rank_of(b->dtype), std::string_view(b->name));
  });

  const auto json_text = [](const std::string& text) {
    if (!valid_utf8(text)) throw Error(cat("safetensors: ", in_quotes(text), " is not UTF-8"));
    return nlohmann::json(text).dump();
  };
  std::string header = "{";
  if (!file.metadata.empty()) {
    header += '"' + std::string(kMetadata) + "\":{";
    for (const MetaEntry& entry : file.metadata) {
      const auto* text = std::get_if<std::string>(&entry.value);
      if (!text)
        throw Error(cat("safetensors: metadata key ", in_quotes(entry.key), " is of type ",
                        type_name(entry.value), ", only strings can be written; use to_text()"));
      header += json_text(entry.key) + ':' + json_text(*text) + ',';
    }
    header.back() = '}';
    header += ',';
  }
  uint64_t offset = 0;
  for (const StoredTensor* t : order) {
    require_consistent(*t);
    header += json_text(t->name) + ":{\"dtype\":\"" + std::string(rank_of(t->dtype)->name) +
              "\",\"shape\":";
    header += cat(t->shape, ",\"data_offsets\":[", offset, ',', offset + t->data.size(), "]},");
    offset += t->data.size();
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.resize(checked::pad(header.size(), 8).value(), ' ');

  std::vector<uint8_t> out;
  out.reserve(8 + header.size() + offset);
  const auto append = [&](const void* from, size_t n) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    out.insert(out.end(), bytes, bytes + n);
  };
  const uint64_t length = header.size();
  append(&length, sizeof length);
  append(header.data(), header.size());
  for (const StoredTensor* t : order) append(t->data.data(), t->data.size());
  // The reader states the rules; nothing leaves this function that it would refuse.
  try {
    ByteReader reader("safetensors", std::as_bytes(std::span(out)));
    read_safetensors_header(reader);
  } catch (const FileError& error) {
    throw Error(cat("this content cannot be written as safetensors: ", error.reason()));
  }
  return out;
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  write_file(path, serialize_safetensors(file));
}

}  // namespace satin
