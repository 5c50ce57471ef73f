// A trained network in memory and in files.
//
// Two formats.  GGUF is native: layouts as the library computes them, names shortened (GGUF names
// are under 64 bytes, the longest released one has 69).  safetensors holds the names and layouts of
// the authors' released checkpoint, so that PyTorch users can come and go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mgpnet/network.h"
#include "nn/tensor_file.h"

namespace mgpnet {

struct Model {
  std::string variant = "full";
  NetworkConfig config;
  std::vector<float> weights;               ///< in the order of network_parameters(config).flat()
  std::vector<satin::MetaEntry> metadata;   ///< beyond architecture and variant; passed through
  std::string source;                       ///< where it came from, for messages; not stored
  satin::DType stored = satin::DType::f32;  ///< of the matrices in the file it came from
};

enum class ModelFormat { gguf, safetensors };

/// Of a file name's ending.
/// errors: Failure(kUsage) for other endings
ModelFormat model_format(const std::string& path);

/// Reads either format, told apart by content.  The variant is taken from GGUF's metadata and found
/// from the tensors of a safetensors file, whose names may all start with `module.` or `params.`.
/// errors: satin::FileError: damaged, another architecture, tensors missing, unknown or of another
/// shape, weights that are not finite
Model load_model(const std::string& path);
Model load_model(std::span<const std::byte> bytes, const std::string& name);

/// The bytes of a file; the same model gives the same bytes.  Matrices and kernels are stored as
/// `type` (f32, bf16, f16), vectors as f32.
/// errors: Failure(kNotANumber) for weights that are not finite or that f16 cannot hold
std::vector<uint8_t> serialize_model(const Model& model,
                                     ModelFormat format,
                                     satin::DType type = satin::DType::f32);

/// The model inside the program; empty when it was built without one.
std::span<const std::byte> embedded_bytes();

/// The model of `path`, or the embedded one when path is empty.
/// errors: as load_model; Failure(kModel) when there is no embedded model
Model open_model(const std::string& path);

/// PyTorch's default initialization.
Model random_model(const std::string& variant, uint64_t seed);

/// GGUF name of a released name, and back; a name without anything to shorten stays.
std::string short_name(std::string_view released);
std::string released_name(std::string_view shortened);

/// The shape PyTorch gives a parameter.
satin::Shape torch_shape(const satin::ParameterInfo& info);
/// The offset in PyTorch's layout of element `i` of a parameter in ours.
int64_t torch_offset(const satin::ParameterInfo& info, int64_t i);

}  // namespace mgpnet
