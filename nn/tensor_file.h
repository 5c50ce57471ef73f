// What a model file holds, whatever its format: named tensors and typed metadata.  gguf.h and
// safetensors.h read and write it; the checks against a model live here, because they are the same
// for both.  Start with read_tensor_file and check_tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nn/byte_reader.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace satin {

/// A tensor as it lies in the file: row-major little-endian elements.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> data;  ///< empty when only the header was read
};

/// Alternative i is what GGUF calls value type i, so index() is the type code; 9 is "array" and
/// cannot be an element.
using MetaArray = std::variant<std::vector<uint8_t>,
                               std::vector<int8_t>,
                               std::vector<uint16_t>,
                               std::vector<int16_t>,
                               std::vector<uint32_t>,
                               std::vector<int32_t>,
                               std::vector<float>,
                               std::vector<bool>,
                               std::vector<std::string>,
                               std::monostate,
                               std::vector<uint64_t>,
                               std::vector<int64_t>,
                               std::vector<double>>;
using MetaValue = std::variant<uint8_t,
                               int8_t,
                               uint16_t,
                               int16_t,
                               uint32_t,
                               int32_t,
                               float,
                               bool,
                               std::string,
                               MetaArray,
                               uint64_t,
                               int64_t,
                               double>;

struct MetaEntry {
  std::string key;
  MetaValue value;
  friend bool operator==(const MetaEntry&, const MetaEntry&) = default;
};

struct TensorFile {
  std::string file;  ///< where it was read from, for messages
  std::vector<MetaEntry> metadata;
  std::vector<StoredTensor> tensors;
  std::string format = {};  ///< "GGUF" or "safetensors", as read
  uint32_t version = 0;     ///< of the format; 0: it has none

  const MetaValue* find_metadata(std::string_view key) const;  ///< nullptr when absent
  const StoredTensor* find(std::string_view name) const;       ///< nullptr when absent
};

/// Called when the header has been checked and no tensor data has been allocated or read: the place
/// to refuse hyper-parameters and shapes.
using HeaderCheck = std::function<void(const TensorFile&)>;

/// More of either is refused: such lists cost more memory than the file has bytes.
inline constexpr size_t kMaxTensors = 65536, kMaxMetadata = 65536;

/// Reads a file in whichever format its first bytes show, GGUF or safetensors.
TensorFile read_tensor_file(const std::string& path, const HeaderCheck& check = {});
TensorFile read_tensor_file(ByteReader& reader, const HeaderCheck& check = {});

// Metadata that must be there.  errors: FileError naming file, key and what was found instead.
const std::string& require_string(const TensorFile& file, std::string_view key);
/// An integer of any width in [least, most].
int64_t require_integer(const TensorFile& file, std::string_view key, int64_t least, int64_t most);
/// A float or integer of any width in [least, most]; not NaN.
double require_number(const TensorFile& file, std::string_view key, double least, double most);

/// "u32", "string", "array of f32"
std::string type_name(const MetaValue& value);
/// The value as one line of text: 7, 0.5, true, a string as it is, [1, 2, 3].
std::string to_text(const MetaValue& value);

struct ExpectedTensor {
  std::string name;
  Shape shape;
};

/// errors: FileError naming the first tensor that is missing, not expected or of another shape,
/// with the name that was probably meant.  Needs the header only.
void check_tensor_set(const TensorFile& file, std::span<const ExpectedTensor> expected);
/// errors: FileError naming the first tensor that holds a NaN or an infinity, and the element.
void check_finite(const TensorFile& file);
/// Both.
void check_tensors(const TensorFile& file, std::span<const ExpectedTensor> expected);

// Elements between their stored type and a computing one (float, double).  f64 reaches bf16 and f16
// through f32.
template <class T>
std::vector<T> values_of(const StoredTensor& tensor);
/// errors: Error when the tensor does not have to.size() elements.
template <class T>
void read_values(const StoredTensor& tensor, std::span<T> to);
template <class T>
StoredTensor store_values(std::string name,
                          const Shape& shape,
                          std::span<const T> values,
                          DType dtype);

/// Sizes and names that any writer needs to hold.  errors: Error when data does not have the size
/// that shape and dtype give.
void require_consistent(const StoredTensor& tensor);

/// The index of the first name that appeared earlier; names.size() when all differ.  By sorting:
/// hash tables can be flooded.
size_t first_duplicate(std::span<const std::string_view> names);

/// Where a tensor's name breaks a rule common to all formats (empty, not UTF-8, control
/// characters); empty when it does not.
std::string name_fault(std::string_view name);

}  // namespace satin
