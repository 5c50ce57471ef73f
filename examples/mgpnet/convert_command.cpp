// mgpnet convert: model files from one format or precision to another.
#include <memory>

#include "mgpnet/command.h"
#include "mgpnet/command_line.h"
#include "mgpnet/model.h"
#include "nn/atomic_file.h"

namespace mgpnet {

namespace {

struct ConvertArguments {
  std::string in, out, type;
};

void convert(const ConvertArguments& a, const Globals& globals) {
  const ModelFormat format = model_format(a.out);
  const Model model = open_model(a.in == "embedded" ? "" : a.in);
  // Without --type the precision stays.
  satin::DType type = model.stored;
  if (type == satin::DType::f64) type = satin::DType::f32;
  if (a.type == "f32") type = satin::DType::f32;
  if (a.type == "bf16") type = satin::DType::bf16;
  if (a.type == "f16") type = satin::DType::f16;
  const std::vector<uint8_t> bytes = serialize_model(model, format, type);
  satin::write_file(a.out, bytes);
  note(globals, satin::cat("wrote ", satin::one_line(a.out), ": ", model.variant, ", ",
                           model.weights.size(), " parameters, ", satin::name_of(type), ", ",
                           size_text(static_cast<int64_t>(bytes.size()))));
}

}  // namespace

void add_convert(CLI::App& app, Globals& globals) {
  CLI::App* command =
      app.add_subcommand("convert", "model files: .gguf <-> .safetensors, f32, bf16, f16");
  const auto a = std::make_shared<ConvertArguments>();
  command->add_option("in", a->in, "the model to read, or the word embedded")->required();
  command->add_option("out", a->out, "NAME.gguf or NAME.safetensors (released names and layouts)")
      ->required();
  command->add_option("--type", a->type, "of matrices and kernels; default: as in the input")
      ->check(choice({"f32", "bf16", "f16"}));
  command->callback([a, &globals] { convert(*a, globals); });
}

}  // namespace mgpnet
