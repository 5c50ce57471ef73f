// See smoother.h; the arithmetic on pixels is here and nowhere else.
#include "mgpnet/smoother.h"

#include <algorithm>
#include <cmath>

namespace mgpnet {

using namespace satin;

namespace {

// Decoded in and out, the file's bytes both ways and what the codecs hold, beside the plan.
int64_t picture_bytes(int width, int height, int channels) {
  return int64_t{width} * height * channels * 8;
}

Tensor picture_input(int width, int height) { return input({1, height, width, 3}, DType::f32); }

}  // namespace

Smoother::Smoother(const Model& model, const Globals& globals)
    : globals_(globals),
      backend_(backend_of(globals)),
      pool_(globals.threads),
      parameters_(network_parameters(model.config)),
      config_(model.config),
      store_(backend_) {
  store_.write(parameters_.flat(), model.weights.data());
}

int64_t Smoother::needed_bytes(int width, int height, int channels) const {
  const int w = padded(width), h = padded(height);
  const int64_t beside =
      counted_beside(globals_, kProcessBytes + picture_bytes(width, height, channels));
  const int64_t limit = left_for_plan(globals_, beside);
  if (w != planned_width_ || h != planned_height_ || limit != planned_within_) {
    Parameters parameters = network_parameters(config_);
    const Tensor y = network(parameters, picture_input(w, h), config_)[0];
    planned_bytes_ =
        plan_of(
            {y}, backend_,
            {.fuse = !globals_.no_fuse, .precision = precision_of(globals_), .max_bytes = limit})
            .total_bytes();
    planned_width_ = w, planned_height_ = h, planned_within_ = limit;
  }
  return planned_bytes_ + beside;
}

void Smoother::require_memory(int width, int height, int channels, const std::string& name) const {
  mgpnet::require_memory(globals_, needed_bytes(width, height, channels),
                         cat(width, " x ", height, " pixels"), name);
}

void Smoother::compile(int width, int height) {
  // Gray pictures leave a little more for the plan: what was planned for less fits too.
  if (program_ && width == width_ && height == height_ &&
      program_->plan().total_bytes() <= planned_within_)
    return;
  program_.reset();
  input_ = picture_input(width, height);
  output_ = network(parameters_, input_, config_)[0];
  try {
    program_ = std::make_unique<Program>(Tensors{output_}, backend_,
                                         Options{.store = &store_,
                                                 .fuse = !globals_.no_fuse,
                                                 .precision = precision_of(globals_),
                                                 .max_bytes = planned_within_});
  } catch (const DeviceError&) {
    throw;
  } catch (const Error& e) {
    // The graph has been built and checked: only memory can be lacking (ulimit, overcommit off).
    throw Failure(kMemory, "not enough memory", cat(width, " x ", height, " pixels"), e.what());
  }
  width_ = width, height_ = height;
}

void Smoother::fill(const Image& in) {
  std::vector<float> staged;  // on the way to a device
  auto* to = static_cast<float*>(program_->memory(input_));
  if (!backend_.on_host()) {
    staged.resize(static_cast<size_t>(input_.size()));
    to = staged.data();
  }
  const auto max = static_cast<float>(in.max_value());
  const int colors = in.channels >= 3 ? 3 : 1;
  for (int y = 0; y < height_; ++y)
    for (int x = 0; x < width_; ++x) {
      const uint16_t* from = in.at(reflected(x, in.width), reflected(y, in.height));
      for (int c = 0; c < 3; ++c) *to++ = static_cast<float>(from[std::min(c, colors - 1)]) / max;
    }
  if (!staged.empty()) program_->write<float>(input_, staged);
}

Image Smoother::smooth(const Image& in, float strength, int bits) {
  require_memory(in.width, in.height, in.channels, "--max-mem");
  compile(padded(in.width), padded(in.height));
  fill(in);
  // The arena may put the output where the input was: the picture itself is kept apart.
  InterruptCheck check;
  program_->run(exec_of(globals_, pool_, &check));
  std::vector<float> fetched;
  const auto* net = static_cast<const float*>(program_->memory(output_));
  if (!backend_.on_host()) {
    fetched = program_->read<float>(output_);
    net = fetched.data();
  }

  Image out;
  out.width = in.width, out.height = in.height, out.channels = in.channels;
  out.bits = bits == 0 ? in.bits : bits;
  out.icc = in.icc, out.exif = in.exif, out.png_color = in.png_color;
  out.pixels.resize(in.pixels.size());
  const auto in_max = static_cast<float>(in.max_value());
  const auto out_max = static_cast<float>(out.max_value());
  const int colors = in.channels >= 3 ? 3 : 1;
  bool finite = true;
  for (int y = 0; y < in.height; ++y) {
    const float* row = net + int64_t{y} * width_ * 3;
    for (int x = 0; x < in.width; ++x, row += 3) {
      const uint16_t* from = in.at(x, y);
      uint16_t* to = out.at(x, y);
      for (int c = 0; c < colors; ++c) {
        const float value = colors == 3 ? row[c] : (row[0] + row[1] + row[2]) / 3;
        finite = finite && std::isfinite(value);
        const float before = static_cast<float>(from[c]) / in_max;
        const float after = std::clamp(before + strength * (value - before), 0.0f, 1.0f);
        to[c] = finite ? static_cast<uint16_t>(nearest(after * out_max)) : uint16_t{0};
      }
      if (in.has_alpha()) {
        const uint32_t from_max = static_cast<uint32_t>(in.max_value());
        const uint64_t to_max = static_cast<uint64_t>(out.max_value());
        to[colors] = static_cast<uint16_t>((from[colors] * to_max + from_max / 2) / from_max);
      }
    }
  }
  if (!finite)
    throw Failure(kNotANumber, "the result holds values that are not numbers", "",
                  "nothing was written; check the model with mgpnet inspect");
  return out;
}

}  // namespace mgpnet
