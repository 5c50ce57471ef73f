// Model files: names, layouts, both formats and back, and what is refused.
#include "mgpnet/model.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include <doctest/doctest.h>

#include "mgpnet/command.h"
#include "nn/gguf.h"
#include "nn/safetensors.h"

using namespace mgpnet;
using satin::DType;
using satin::FileError;

namespace {

Model read(const std::vector<uint8_t>& bytes) {
  return load_model(std::as_bytes(std::span(bytes)), "test bytes");
}

satin::TensorFile content(const std::vector<uint8_t>& bytes, ModelFormat format) {
  satin::ByteReader reader("test bytes", std::as_bytes(std::span(bytes)));
  return format == ModelFormat::gguf ? satin::read_gguf(reader) : satin::read_safetensors(reader);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string refusal(const std::vector<uint8_t>& bytes) {
  try {
    read(bytes);
  } catch (const FileError& e) {
    return e.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr ModelFormat kFormats[] = {ModelFormat::gguf, ModelFormat::safetensors};

}  // namespace

TEST_CASE("short names are unique, short enough and lead back") {
  size_t longest = 0;
  for (const std::string& name : variant_names()) {
    std::set<std::string> seen;
    const satin::Parameters parameters = network_parameters(variant(name).value());
    for (const satin::ParameterInfo& info : parameters.list()) {
      const std::string brief = short_name(info.name);
      CHECK(brief.size() < 64);
      CHECK(released_name(brief) == info.name);
      CHECK(seen.insert(brief).second);
      longest = std::max(longest, info.name.size());
    }
  }
  CHECK(longest == 69);
  CHECK(short_name("EncoderBlock1.1.groups_list.0.GridGmlpLayer.y_ope.2.linear.bias") ==
        "enc1.1.g.0.grid.y_ope.2.linear.bias");
}

TEST_CASE("every variant goes through both formats bit for bit") {
  for (const std::string& name : variant_names()) {
    const Model model = random_model(name, 3);
    for (const ModelFormat format : kFormats) {
      CAPTURE(name);
      const std::vector<uint8_t> bytes = serialize_model(model, format);
      CHECK(bytes == serialize_model(model, format));
      const Model back = read(bytes);
      CHECK(back.variant == name);
      CHECK(back.config == model.config);
      CHECK(same_bits(back.weights, model.weights));
      CHECK(serialize_model(back, format) == bytes);
    }
    // From one format to the other and back: the same file again.
    const std::vector<uint8_t> gguf = serialize_model(model, ModelFormat::gguf);
    CHECK(serialize_model(read(serialize_model(read(gguf), ModelFormat::safetensors)),
                          ModelFormat::gguf) == gguf);
  }
}

TEST_CASE("safetensors holds the released names and layouts") {
  const Model model = random_model("full", 4);
  const satin::Parameters parameters = network_parameters();
  const satin::TensorFile file =
      content(serialize_model(model, ModelFormat::safetensors), ModelFormat::safetensors);
  REQUIRE(file.tensors.size() == 470);
  // PyTorch index (a, b, kh, kw) of a tensor against our index.
  const auto check = [&](const std::string& name, const satin::Shape& shape, auto ours) {
    CAPTURE(name);
    const satin::StoredTensor* t = file.find(name);
    REQUIRE(t);
    REQUIRE(t->shape == shape);
    const std::vector<float> values = satin::values_of<float>(*t);
    const int64_t offset = parameters.find(name)->offset;
    size_t i = 0, wrong = 0;
    for (int64_t a = 0; a < shape[0]; ++a)
      for (int64_t b = 0; b < shape[1]; ++b)
        for (int64_t y = 0; y < shape[2]; ++y)
          for (int64_t x = 0; x < shape[3]; ++x, ++i)
            wrong += values[i] != model.weights[static_cast<size_t>(offset + ours(a, b, y, x))];
    CHECK(wrong == 0);
    CHECK(i == values.size());
  };
  check("EncoderBlock1.0.conv.weight", {32, 3, 1, 1},
        [](int64_t out, int64_t in, int64_t, int64_t) { return in * 32 + out; });
  check("enConv2.weight", {16, 3, 3, 3}, [](int64_t out, int64_t in, int64_t y, int64_t x) {
    return ((y * 3 + x) * 3 + in) * 16 + out;
  });
  check("us2.convUp.weight", {64, 64, 2, 2}, [](int64_t in, int64_t out, int64_t y, int64_t x) {
    return ((y * 2 + x) * 64 + out) * 64 + in;
  });
  check("EncoderBlock1.1.groups_list.0.GridGmlpLayer.y_ope.2.linear.weight", {256, 256, 1, 1},
        [](int64_t p, int64_t q, int64_t, int64_t) { return p * 256 + q; });
}

TEST_CASE("prefixes of other tools are accepted") {
  const Model model = random_model("plain-db", 5);
  satin::TensorFile file =
      content(serialize_model(model, ModelFormat::safetensors), ModelFormat::safetensors);
  for (const std::string prefix : {"module.", "params.module."}) {
    satin::TensorFile renamed = file;
    for (satin::StoredTensor& t : renamed.tensors) t.name.insert(0, prefix);
    const Model back = read(satin::serialize_safetensors(renamed));
    CHECK(back.variant == "plain-db");
    CHECK(same_bits(back.weights, model.weights));
  }
  file.tensors[5].name.insert(0, "module.");
  CHECK(contains(refusal(satin::serialize_safetensors(file)), "module."));
}

TEST_CASE("half precision stores matrices as asked and vectors as f32") {
  const Model model = random_model("full", 6);
  for (const DType type : {DType::bf16, DType::f16})
    for (const ModelFormat format : kFormats) {
      const std::vector<uint8_t> bytes = serialize_model(model, format, type);
      CHECK(bytes.size() < 8'000'000);
      for (const satin::StoredTensor& t : content(bytes, format).tensors)
        CHECK(t.dtype == (t.shape.rank() == 1 ? DType::f32 : type));
      const Model back = read(bytes);
      CHECK(back.stored == type);
      double worst = 0;
      for (size_t i = 0; i < model.weights.size(); ++i)
        worst = std::max<double>(worst, std::abs(back.weights[i] - model.weights[i]));
      CHECK(worst > 0);
      // Half a unit in the last place of a weight below 1.
      CHECK(worst <= (type == DType::bf16 ? 0x1p-9 : 0x1p-12));
      // What has been rounded once stays.
      CHECK(serialize_model(back, format, type) == bytes);
    }
}

TEST_CASE("weights that are not numbers are neither written nor read") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Model model = random_model("full", 8);
    model.weights[1000] = bad;
    for (const ModelFormat format : kFormats) {
      CHECK_THROWS_AS(serialize_model(model, format), Failure);
      Model good = random_model("full", 8);
      satin::TensorFile file = content(serialize_model(good, format), format);
      std::memcpy(file.tensors[100].data.data() + 8, &bad, sizeof bad);
      const std::vector<uint8_t> bytes = format == ModelFormat::gguf
                                             ? satin::serialize_gguf(file)
                                             : satin::serialize_safetensors(file);
      CHECK(contains(refusal(bytes), file.tensors[100].name));
    }
  }
  // f16 ends at 65504.
  Model large = random_model("full", 8);
  for (float& w : large.weights) w *= 1e6f;
  CHECK_THROWS_AS(serialize_model(large, ModelFormat::gguf, DType::f16), Failure);
}

TEST_CASE("files of other models are refused with what does not fit") {
  const Model model = random_model("full", 9);
  for (const ModelFormat format : kFormats) {
    const satin::TensorFile good = content(serialize_model(model, format), format);
    const auto pack = [&](const satin::TensorFile& file) {
      return format == ModelFormat::gguf ? satin::serialize_gguf(file)
                                         : satin::serialize_safetensors(file);
    };
    satin::TensorFile missing = good;
    const std::string name = missing.tensors[17].name;
    missing.tensors.erase(missing.tensors.begin() + 17);
    CHECK(contains(refusal(pack(missing)), name));
    satin::TensorFile extra = good;
    extra.tensors.push_back(
        satin::store_values<float>("surplus", {1}, std::vector{1.0f}, DType::f32));
    CHECK(contains(refusal(pack(extra)), "surplus"));
  }
  satin::TensorFile file = content(serialize_model(model, ModelFormat::gguf), ModelFormat::gguf);
  for (auto& entry : file.metadata)
    if (entry.key == "general.architecture") entry.value = std::string("llama");
  CHECK(contains(refusal(satin::serialize_gguf(file)), "llama"));
  for (auto& entry : file.metadata) {
    if (entry.key == "general.architecture") entry.value = std::string("mgpnet");
    if (entry.key == "mgpnet.variant") entry.value = std::string("plain-bd");
  }
  CHECK(contains(refusal(satin::serialize_gguf(file)), "plain-"));
}

TEST_CASE("metadata beyond the model's own is passed through") {
  Model model = random_model("full", 10);
  model.metadata = {{"general.name", std::string("test")}, {"mgpnet.iterations", uint32_t{30000}}};
  const Model gguf = read(serialize_model(model, ModelFormat::gguf));
  CHECK(gguf.metadata == model.metadata);
  const Model tensors = read(serialize_model(model, ModelFormat::safetensors));
  REQUIRE(tensors.metadata.size() == 2);
  CHECK(std::get<std::string>(tensors.metadata[1].value) == "30000");
}
