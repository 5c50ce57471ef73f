// safetensors, the format PyTorch users come and go with: a JSON header, then the tensors' bytes.
// Readers are as strict as those of gguf.h.  Accepted besides the ordinary: tensors listed in any
// order, scalars (shape []), tensors without elements, spaces after the header's last brace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/tensor_file.h"

namespace satin {

/// Tensors of F32, F64, F16 and BF16 with up to six dimensions; `__metadata__` becomes strings.
/// The header is at most 8 MiB (70 KiB is usual), the data has no holes and ends with the file.
/// memory: the tensors' bytes and under 64 MiB beside them.
TensorFile read_safetensors(const std::string& path, const HeaderCheck& check = {});
TensorFile read_safetensors(ByteReader& reader, const HeaderCheck& check = {});

/// Everything but the data, checked as strictly; StoredTensor::data stays empty.
TensorFile read_safetensors_header(const std::string& path);
TensorFile read_safetensors_header(ByteReader& reader);

/// The bytes of the file, as the reference implementation lays them out: widest dtype first, names
/// ascending within one dtype, the header padded with spaces to 8 bytes.  The order of
/// file.tensors does not matter; metadata keeps its order.
/// errors: Error for what the reader would refuse, and for metadata other than strings.
std::vector<uint8_t> serialize_safetensors(const TensorFile& file);
/// Those bytes, complete or not at all.  errors: also WriteError (atomic_file.h).
void write_safetensors(const std::string& path, const TensorFile& file);

}  // namespace satin
