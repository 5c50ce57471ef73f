// Model files: which tensors, under which names, in which layout; the formats themselves are
// nn/gguf.cpp and nn/safetensors.cpp.
#include "mgpnet/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "cpu/cpu.h"
#include "mgpnet/command.h"
#include "nn/gguf.h"
#include "nn/safetensors.h"
#include "nn/text.h"

namespace mgpnet {

using namespace satin;

namespace {

constexpr std::string_view kArchitectureKey = "general.architecture",
                           kVariantKey = "mgpnet.variant", kVersionKey = "mgpnet.version",
                           kArchitecture = "mgpnet";

// One name segment each way; no released segment is also a short one.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kSegments = {{
    {"EncoderBlock1", "enc1"},
    {"EncoderBlock2", "enc2"},
    {"EncoderBlock3", "enc3"},
    {"DecoderBlock1", "dec1"},
    {"DecoderBlock2", "dec2"},
    {"DecoderBlock3", "dec3"},
    {"groups_list", "g"},
    {"GridGmlpLayer", "grid"},
    {"BlockGmlpLayer", "block"},
}};

template <class Map>
std::string by_segment(std::string_view name, Map map) {
  std::string out;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    out += map(name.substr(at, end - at));
    if (end < name.size()) out += '.';
    at = end + 1;
  }
  return out;
}

[[noreturn]] void refuse(const TensorFile& file, std::string reason, std::string advice) {
  throw FileError(file.file, {}, std::move(reason), std::move(advice));
}

std::vector<ExpectedTensor> expected_tensors(const Parameters& parameters, ModelFormat format) {
  std::vector<ExpectedTensor> expected;
  for (const ParameterInfo& info : parameters.list()) {
    if (format == ModelFormat::gguf)
      expected.push_back({short_name(info.name), info.shape});
    else
      expected.push_back({info.name, torch_shape(info)});
  }
  return expected;
}

// --- which network a file holds ----------------------------------------------------------------

std::string variant_of_metadata(const TensorFile& file) {
  const std::string& architecture = require_string(file, kArchitectureKey);
  if (architecture != kArchitecture)
    refuse(file, cat("the architecture is ", in_quotes(architecture), ", not \"mgpnet\""),
           "use a model file of mgpnet");
  require_integer(file, kVersionKey, 1, 1);
  const std::string& name = require_string(file, kVariantKey);
  if (!variant(name)) {
    const std::vector<std::string_view> known(variant_names().begin(), variant_names().end());
    const std::string near = nearest_name(name, known);
    refuse(file, cat("unknown network variant ", in_quotes(name)),
           near.empty() ? "use a newer mgpnet" : cat("the nearest known one is ", in_quotes(near)));
  }
  return name;
}

std::string variant_of_tensors(const TensorFile& file) {
  const auto any = [&](std::string_view part) {
    return std::any_of(file.tensors.begin(), file.tensors.end(), [&](const StoredTensor& t) {
      return t.name.find(part) != std::string::npos;
    });
  };
  NetworkConfig config;
  config.encoder_sees_pictures = any("enConv2.");
  config.decoder_emits_pictures = any("deConv2.");
  const bool grid = any(".GridGmlpLayer."), block = any(".BlockGmlpLayer.");
  if (grid != block) config.branches = grid ? Branches::grid : Branches::block;
  if (const StoredTensor* fusion = file.find("AFF1.conv.0.main.0.weight"))
    config.multi_scale_fusion = fusion->shape.rank() != 4 || fusion->shape[1] != 32;
  for (const std::string& name : variant_names())
    if (variant(name) == config) return name;
  return "full";  // check_tensor_set will say what does not fit
}

void strip_prefixes(TensorFile& file) {
  for (bool again = true; again && !file.tensors.empty();) {
    again = false;
    for (const std::string_view prefix : {"module.", "params."}) {
      const auto has = [&](const StoredTensor& t) { return t.name.starts_with(prefix); };
      if (!std::all_of(file.tensors.begin(), file.tensors.end(), has)) continue;
      for (StoredTensor& t : file.tensors) t.name.erase(0, prefix.size());
      again = true;
    }
  }
}

Model load(ByteReader& reader) {
  Model model;
  std::optional<Parameters> parameters;
  // As read_tensor_file tells them apart.
  std::string magic;
  if (reader.size() >= 4) magic = reader.get_text(4, "the magic");
  reader.seek(0);
  const ModelFormat format = magic == "GGUF" || reader.file().ends_with(".gguf")
                                 ? ModelFormat::gguf
                                 : ModelFormat::safetensors;
  TensorFile file = read_tensor_file(reader, [&](const TensorFile& header) {
    TensorFile plain = header;  // no data yet
    if (format == ModelFormat::safetensors) strip_prefixes(plain);
    model.variant =
        format == ModelFormat::gguf ? variant_of_metadata(plain) : variant_of_tensors(plain);
    model.config = variant(model.variant).value();
    parameters.emplace(network_parameters(model.config));
    check_tensor_set(plain, expected_tensors(*parameters, format));
  });
  check_finite(file);
  if (format == ModelFormat::safetensors) strip_prefixes(file);

  model.source = reader.file();
  model.weights.reserve(static_cast<size_t>(parameters->size()));
  cpu::ask_for_large_pages(model.weights.data(),
                           parameters->size() * static_cast<int64_t>(sizeof(float)));
  model.weights.resize(static_cast<size_t>(parameters->size()));
  for (StoredTensor& t : file.tensors) {
    const std::string name = format == ModelFormat::gguf ? released_name(t.name) : t.name;
    const ParameterInfo& info = *parameters->find(name);
    if (info.shape.rank() > 1) model.stored = t.dtype;
    const std::span<float> to(model.weights.data() + info.offset,
                              static_cast<size_t>(info.shape.size()));
    if (format == ModelFormat::gguf) {
      read_values(t, to);
    } else {
      const std::vector<float> values = values_of<float>(t);
      for (size_t i = 0; i < to.size(); ++i)
        to[i] = values[static_cast<size_t>(torch_offset(info, static_cast<int64_t>(i)))];
    }
    t.data = {};
  }
  for (const MetaEntry& entry : file.metadata) {
    const bool ours = entry.key == kArchitectureKey || entry.key == kVariantKey ||
                      entry.key == kVersionKey || entry.key == "general.alignment" ||
                      entry.key == "format";
    if (!ours) model.metadata.push_back(entry);
  }
  return model;
}

}  // namespace

// --- names and layouts -------------------------------------------------------------------------

std::string short_name(std::string_view released) {
  return by_segment(released, [](std::string_view segment) {
    for (const auto& [name, shortened] : kSegments)
      if (segment == name) return shortened;
    return segment;
  });
}

std::string released_name(std::string_view shortened) {
  return by_segment(shortened, [](std::string_view segment) {
    for (const auto& [name, brief] : kSegments)
      if (segment == brief) return name;
    return segment;
  });
}

Shape torch_shape(const ParameterInfo& info) {
  const Shape& s = info.shape;
  switch (info.kind) {
    case ParameterKind::linear:
      return {s[1], s[0], 1, 1};
    case ParameterKind::mixing:
      return {s[0], s[1], 1, 1};
    case ParameterKind::conv:
    case ParameterKind::conv_transpose:
      return {s[3], s[2], s[0], s[1]};
    default:
      return s;
  }
}

int64_t torch_offset(const ParameterInfo& info, int64_t i) {
  const Shape& s = info.shape;
  switch (info.kind) {
    case ParameterKind::linear:
      return (i % s[1]) * s[0] + i / s[1];
    case ParameterKind::conv:
    case ParameterKind::conv_transpose: {
      const int64_t last = i % s[3], third = i / s[3] % s[2], kernel = i / (s[3] * s[2]);
      return (last * s[2] + third) * s[0] * s[1] + kernel;
    }
    default:
      return i;
  }
}

// --- reading and writing -----------------------------------------------------------------------

ModelFormat model_format(const std::string& path) {
  if (path.ends_with(".gguf")) return ModelFormat::gguf;
  if (path.ends_with(".safetensors")) return ModelFormat::safetensors;
  throw Failure(kUsage, "unknown model format", path, "name it .gguf or .safetensors");
}

Model load_model(const std::string& path) {
  ByteReader reader(path);
  return load(reader);
}

Model load_model(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader reader(name, bytes);
  return load(reader);
}

std::vector<uint8_t> serialize_model(const Model& model, ModelFormat format, DType type) {
  const Parameters parameters = network_parameters(model.config);
  if (static_cast<int64_t>(model.weights.size()) != parameters.size())
    throw Error(cat("serialize_model: ", model.weights.size(), " weights for a network of ",
                    parameters.size()));
  const bool gguf = format == ModelFormat::gguf;
  TensorFile file;
  if (gguf) {
    file.metadata = {{std::string(kArchitectureKey), std::string(kArchitecture)},
                     {std::string(kVersionKey), uint32_t{1}},
                     {std::string(kVariantKey), model.variant}};
    file.metadata.insert(file.metadata.end(), model.metadata.begin(), model.metadata.end());
  } else {
    file.metadata = {{"format", std::string("pt")}};  // what PyTorch's own tools write
    for (const MetaEntry& entry : model.metadata)
      file.metadata.push_back({entry.key, to_text(entry.value)});
  }
  for (const ParameterInfo& info : parameters.list()) {
    const std::span<const float> ours(model.weights.data() + info.offset,
                                      static_cast<size_t>(info.shape.size()));
    std::vector<float> values(ours.begin(), ours.end());
    if (!gguf)
      for (size_t i = 0; i < ours.size(); ++i)
        values[static_cast<size_t>(torch_offset(info, static_cast<int64_t>(i)))] = ours[i];
    const bool vector = info.shape.rank() == 1;
    file.tensors.push_back(store_values<float>(gguf ? short_name(info.name) : info.name,
                                               gguf ? info.shape : torch_shape(info), values,
                                               vector ? DType::f32 : type));
  }
  try {
    check_finite(file);
  } catch (const FileError& e) {
    throw Failure(kNotANumber, "weights that are not numbers are not written", model.source,
                  e.reason());
  }
  return gguf ? serialize_gguf(file) : serialize_safetensors(file);
}

Model open_model(const std::string& path) {
  if (!path.empty()) return load_model(path);
  if (embedded_bytes().empty())
    throw Failure(kModel, "no model", "", "this binary has no embedded model; give -m FILE");
  return load_model(embedded_bytes(), "embedded model");
}

Model random_model(const std::string& variant_name, uint64_t seed) {
  Model model;
  model.variant = variant_name;
  model.config = variant(variant_name).value();
  model.weights = default_initialization(network_parameters(model.config), seed);
  model.source = "random weights";
  return model;
}

}  // namespace mgpnet
