// A pair: structure, layer, blending.  Each part has a random stream of its own, split from
// (seed, index), so that adding a draw to one does not change the others.
#include "mgpnet/synth.h"

#include <stdexcept>

#include "mgpnet/synth_structure.h"
#include "mgpnet/synth_texture.h"

namespace mgpnet {

namespace {

// Standard deviations follow the published sets: SPS-like layers crowd below 25, NKS-like ones lie
// between 11 and 25; weak and very strong ones are the tails.
float draw_std(synth::Rng& rng) {
  const float u = rng.uniform();
  if (u < 0.34f) return rng.uniform(21.0f, 26.0f);
  if (u < 0.78f) return rng.uniform(10.0f, 24.0f);
  if (u < 0.88f) return rng.uniform(5.0f, 10.0f);
  return rng.log_uniform(26.0f, 60.0f);
}

}  // namespace

SynthDetail synth_detail(const SynthOptions& o, uint64_t index) {
  if (o.width < 1 || o.height < 1 || o.width > 16384 || o.height > 16384)
    throw std::invalid_argument("synth: width and height must lie in 1..16384, got " +
                                std::to_string(o.width) + " x " + std::to_string(o.height));
  const synth::Rng root(
      synth::Rng::mix(o.seed * 0x9e3779b97f4a7c15ull + synth::Rng::mix(index + 1)));
  synth::Rng choice = root.split(1), structure = root.split(2), texture = root.split(3);
  SynthDetail d;
  d.pair.gt = synth::draw_structure(structure, o.width, o.height, &d.scene);
  d.clean = choice.chance(o.clean_share);
  d.std = std::clamp(draw_std(choice), o.min_std, std::max(o.min_std, o.max_std));
  if (d.clean) d.std = choice.chance(0.5f) ? 0.0f : choice.uniform(0.0f, 2.0f);
  if (d.std > 0.0f) {
    d.layer = synth::draw_texture(texture, o.width, o.height, &d.texture).v;
    for (float& x : d.layer) x *= d.std;
  } else {
    d.layer.assign(static_cast<size_t>(o.width) * o.height, 0.0f);
    d.texture = "none";
  }
  d.pair.input = blend_layer(d.pair.gt, d.layer);
  return d;
}

Pair synth_pair(const SynthOptions& options, uint64_t index) {
  return synth_detail(options, index).pair;
}

Image blend_layer(const Image& gt, const std::vector<float>& layer) {
  Image out = gt;
  for (size_t i = 0; i < layer.size(); ++i)
    for (int c = 0; c < gt.channels; ++c) {
      const float sum = static_cast<float>(gt.pixels[i * gt.channels + c]) + layer[i];
      out.pixels[i * gt.channels + c] =
          static_cast<uint16_t>(nearest(std::clamp(sum, 0.0f, 255.0f)));
    }
  return out;
}

}  // namespace mgpnet
