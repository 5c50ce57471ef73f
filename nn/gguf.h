// GGUF, the native model format: version 3 (version 2 differs in nothing that is read here), little
// endian, tensors of F32, F64, F16 and BF16.  GGUF lists dimensions innermost first; shapes here
// are outermost first, as everywhere in the library.  The readers take any file: whatever is not
// exactly a GGUF file is refused with FileError before memory is spent on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/tensor_file.h"

namespace satin {

/// Names are up to 63 bytes, without '/', '\' or control characters; tensors have 1 to 4 dimensions
/// of 1 to 2^31; data lies in the order of the list, padded with zeros to general.alignment (8 to
/// 65,536, default 32), the last tensor's too, and the file ends there.
/// memory: the tensors' bytes and under 64 MiB beside them.
TensorFile read_gguf(const std::string& path, const HeaderCheck& check = {});
TensorFile read_gguf(ByteReader& reader, const HeaderCheck& check = {});

/// Everything but the data, checked as strictly; StoredTensor::data stays empty.
TensorFile read_gguf_header(const std::string& path);
TensorFile read_gguf_header(ByteReader& reader);

/// The bytes of the file; the same content gives the same bytes.
/// errors: Error for what the reader would refuse.
std::vector<uint8_t> serialize_gguf(const TensorFile& file);
/// Those bytes, complete or not at all.  errors: also WriteError (atomic_file.h).
void write_gguf(const std::string& path, const TensorFile& file);

}  // namespace satin
