// Continuous materials: earth, stone, paper, fur, bark, sand.
#include "mgpnet/synth_texture.h"

namespace mgpnet::synth {

namespace {

// A field of directions, in turns, that wanders by `spread` around one drawn at random.
Field wandering_angle(Rng& rng, int w, int h, float spread) {
  Field angle = lattice_noise(rng, w, h, 40.0f, 40.0f);
  normalize(angle);
  const float base = rng.chance(0.4f) ? 0.25f * static_cast<float>(rng.below(4)) : rng.uniform();
  for (float& a : angle.v) a = base + spread * a;
  return angle;
}

void warp_in_place(Rng& rng, Field& f, float size, float amount) {
  const Field dx = lattice_noise(rng, f.w, f.h, size, size);
  const Field dy = lattice_noise(rng, f.w, f.h, size, size);
  f = warped(f, dx, dy, amount);
}

}  // namespace

// White to 1/f^2, band-passed or not, round or stretched.
Field texture_spectral(Rng& rng, int w, int h) {
  FractalOptions o;
  o.finest = rng.chance(0.6f) ? 1.0f : rng.log_uniform(1.0f, 5.0f);
  o.coarsest = o.finest * rng.log_uniform(1.0f, 32.0f);
  o.slope = rng.uniform(-0.9f, 0.4f);
  o.stretch = rng.chance(0.3f) ? rng.log_uniform(0.15f, 7.0f) : 1.0f;
  Field f = fractal_noise(rng, w, h, o);
  if (rng.chance(0.25f))
    warp_in_place(rng, f, rng.log_uniform(8.0f, 40.0f), rng.uniform(2.0f, 12.0f));
  return f;
}

Field texture_ridged(Rng& rng, int w, int h) {
  Field f = fractal_noise(rng, w, h,
                          {.finest = rng.log_uniform(1.0f, 4.0f),
                           .coarsest = rng.log_uniform(6.0f, 48.0f),
                           .slope = rng.uniform(-0.2f, 0.7f),
                           .stretch = rng.chance(0.3f) ? rng.log_uniform(0.3f, 3.5f) : 1.0f,
                           .ridged = true});
  if (rng.chance(0.5f))
    warp_in_place(rng, f, rng.log_uniform(8.0f, 40.0f), rng.uniform(2.0f, 10.0f));
  return f;
}

// Rough ground under slanting light.
Field texture_relief(Rng& rng, int w, int h) {
  Field height = fractal_noise(rng, w, h,
                               {.finest = rng.log_uniform(1.0f, 2.5f),
                                .coarsest = rng.log_uniform(4.0f, 48.0f),
                                .slope = rng.uniform(0.0f, 1.1f),
                                .stretch = rng.chance(0.35f) ? rng.log_uniform(0.25f, 4.0f) : 1.0f,
                                .ridged = rng.chance(0.45f)});
  if (rng.chance(0.3f))
    warp_in_place(rng, height, rng.log_uniform(8.0f, 40.0f), rng.uniform(2.0f, 8.0f));
  Field f = embossed(height, rng.uniform(), rng.log_uniform(0.5f, 1.6f));
  normalize(f);
  if (rng.chance(0.4f)) add_scaled(f, height, rng.uniform(0.2f, 0.8f));
  return f;
}

Field texture_fur(Rng& rng, int w, int h) {
  const Field angle = wandering_angle(rng, w, h, rng.uniform(0.0f, 0.12f));
  Field source = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 2.0f, .slope = 0.2f});
  if (rng.chance(0.4f)) {
    for (float& x : source.v) x = x > 0.8f ? 1.0f : 0.0f;
  }
  return streaked(source, angle, rng.log_uniform(5.0f, 24.0f));
}

// Wood: long fibers, rings of a slowly varying distance, now and then a plank's edge.
Field texture_grain(Rng& rng, int w, int h) {
  const bool upright = rng.chance(0.5f);
  const float length = rng.log_uniform(8.0f, 60.0f);
  Field f = fractal_noise(rng, w, h,
                          {.finest = 1.5f,
                           .coarsest = rng.log_uniform(4.0f, 16.0f),
                           .slope = rng.uniform(-0.4f, 0.5f),
                           .stretch = upright ? 1.0f / length : length});
  if (rng.chance(0.6f)) {
    Field rings = fractal_noise(
        rng, w, h,
        {.finest = 8.0f, .coarsest = 64.0f, .slope = 1.0f, .stretch = upright ? 0.12f : 8.0f});
    const float count = rng.uniform(1.0f, 5.0f);
    for (float& x : rings.v) x = sin_turns(x * count);
    add_scaled(f, rings, rng.uniform(0.3f, 1.2f));
  }
  if (rng.chance(0.7f))
    warp_in_place(rng, f, rng.log_uniform(12.0f, 48.0f), rng.uniform(0.5f, 5.0f));
  if (rng.chance(0.4f)) {
    const int planks = std::max(1, (upright ? w : h) / rng.between(12, 60));
    std::vector<float> tone(planks);
    for (float& t : tone) t = rng.normal() * 0.5f;
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        const float u = static_cast<float>(upright ? x : y) * static_cast<float>(planks) /
                        static_cast<float>(upright ? w : h);
        const float place = u - std::floor(u);
        const float gap = place * static_cast<float>(upright ? w : h) / static_cast<float>(planks);
        f.at(x, y) += tone[std::min(static_cast<int>(u), planks - 1)] - (gap < 1.5f ? 3.0f : 0.0f);
      }
  }
  return f;
}

// Foil and paper: facets between folds, each facet with a light of its own.
Field texture_crumpled(Rng& rng, int w, int h) {
  Field height(w, h);
  const int folds = rng.between(5, 14);
  for (int i = 0; i < folds; ++i) {
    Field one =
        lattice_noise(rng, w, h, rng.log_uniform(10.0f, 50.0f), rng.log_uniform(10.0f, 50.0f));
    normalize(one);
    for (size_t k = 0; k < one.v.size(); ++k) height.v[k] += std::fabs(one.v[k] - 0.4f);
  }
  Field f = embossed(height, rng.uniform(), rng.uniform(0.7f, 1.5f));
  normalize(f);
  if (rng.chance(0.5f)) {
    const Field fine = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 4.0f, .slope = -0.2f});
    add_scaled(f, fine, rng.uniform(0.1f, 0.5f));
  }
  return f;
}

// Dune sand, water, corrugation that bends.
Field texture_ripples(Rng& rng, int w, int h) {
  const float period = rng.log_uniform(5.0f, 28.0f);
  const float turns = rng.uniform();
  const float kx = std::floor(cos_turns(turns) * static_cast<float>(w) / period + 0.5f);
  const float ky = std::floor(sin_turns(turns) * static_cast<float>(h) / period + 0.5f);
  const Field bend = fractal_noise(
      rng, w, h,
      {.finest = period * 0.7f, .coarsest = period * 4.0f, .slope = rng.uniform(0.2f, 1.0f)});
  const float amount = rng.uniform(0.05f, 0.5f), sharp = rng.uniform(0.0f, 0.8f);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float t = kx * static_cast<float>(x) / static_cast<float>(w) +
                      ky * static_cast<float>(y) / static_cast<float>(h) + amount * bend.at(x, y);
      f.at(x, y) = sin_turns(t) + sharp * sin_turns(2.0f * t + 0.1f);
    }
  if (rng.chance(0.6f)) {
    const Field fine = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 6.0f, .slope = 0.0f});
    add_scaled(f, fine, rng.uniform(0.2f, 0.8f));
  }
  return f;
}

}  // namespace mgpnet::synth
