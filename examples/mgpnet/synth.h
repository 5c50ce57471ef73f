// The built-in generator of training pairs: a picture without texture (the ground truth) and the
// same picture under a procedural texture layer, blended by the published recipe: achromatic, zero
// mean, added equally to R, G and B, clipped to [0, 255], rounded.
//
// Start reading in synth.cpp; synth_structure.cpp draws ground truths with the tools of
// synth_canvas.h, synth_texture*.cpp draws layers with the tools of synth_field.h.
#pragma once

#include <cstdint>
#include <vector>

#include "mgpnet/pair.h"

namespace mgpnet {

struct SynthOptions {
  int width = 128;
  int height = 128;
  uint64_t seed = 1;
  float min_std = 5.0f;  ///< bounds of the layer's standard deviation, in grey levels
  float max_std = 60.0f;
  float clean_share = 0.025f;  ///< share of pairs with no texture or a barely visible one
};

/// A pair with what the generator drew, before rounding, for tests and statistics.
struct SynthDetail {
  Pair pair;
  std::vector<float> layer;  ///< width * height, zero mean, in grey levels
  float std = 0.0f;          ///< its standard deviation
  bool clean = false;
  const char* scene = "";
  const char* texture = "";
};

/// Pair `index` of the options' seed: the same bytes in whatever order or thread it is asked for.
/// errors: std::invalid_argument if a side is not in 1..16384
Pair synth_pair(const SynthOptions& options, uint64_t index);
SynthDetail synth_detail(const SynthOptions& options, uint64_t index);

/// input = round(clip(gt + layer)), the same layer in R, G and B.
Image blend_layer(const Image& gt, const std::vector<float>& layer);

}  // namespace mgpnet
