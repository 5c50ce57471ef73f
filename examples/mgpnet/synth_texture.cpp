// Which texture, and what happens to every one of them: blotches, grain, tone, focus, tiling.
#include "mgpnet/synth_texture.h"

namespace mgpnet::synth {

namespace {

// Weights follow what texture collections hold: ground and stone most of all, then cloth and paper.
constexpr TextureRow kTextures[] = {
    {"spectral", 1.4f, texture_spectral}, {"ridged", 0.5f, texture_ridged},
    {"relief", 2.4f, texture_relief},     {"fur", 0.7f, texture_fur},
    {"grain", 0.8f, texture_grain},       {"crumpled", 0.5f, texture_crumpled},
    {"ripples", 0.5f, texture_ripples},   {"cells", 1.8f, texture_cells},
    {"pebbles", 1.4f, texture_pebbles},   {"blades", 1.7f, texture_blades},
    {"chips", 0.8f, texture_chips},       {"scratches", 0.4f, texture_scratches},
    {"bricks", 0.9f, texture_bricks},     {"weave", 1.0f, texture_weave},
    {"canvas", 0.9f, texture_canvas},     {"stripes", 0.7f, texture_stripes},
    {"grate", 1.0f, texture_grate},       {"mesh", 0.6f, texture_mesh},
    {"scales", 0.5f, texture_scales},
};

const TextureRow& pick(Rng& rng) {
  float total = 0.0f;
  for (const TextureRow& row : kTextures) total += row.weight;
  float u = rng.uniform() * total;
  for (const TextureRow& row : kTextures) {
    if (u < row.weight) return row;
    u -= row.weight;
  }
  return kTextures[0];
}

// Dirt, wear and sensor grain over the bare pattern.
void weather(Field& f, Rng& rng) {
  if (rng.chance(0.3f)) {
    Field blotch = fractal_noise(rng, f.w, f.h, {.finest = 6.0f, .coarsest = 48.0f, .slope = 0.5f});
    if (rng.chance(0.5f)) {
      multiply_gain(f, blotch, rng.uniform(0.2f, 0.6f));
    } else {
      add_scaled(f, blotch, rng.uniform(0.1f, 0.45f));
    }
  }
  if (rng.chance(0.85f)) {
    const Field fine = fractal_noise(rng, f.w, f.h,
                                     {.finest = 1.0f,
                                      .coarsest = rng.log_uniform(1.0f, 5.0f),
                                      .slope = rng.uniform(-0.7f, 0.3f)});
    add_scaled(f, fine, rng.log_uniform(0.2f, 1.8f));
  }
}

// Sparse bright or dark spots: the histogram of a photographed surface is rarely symmetric.
void skew(Field& f, Rng& rng) {
  const float choice = rng.uniform();
  if (choice < 0.4f) {
    const float k = rng.sign() * rng.uniform(0.1f, 0.4f);
    for (float& x : f.v) x = exp_e(k * std::clamp(x, -5.0f, 5.0f));
    if (k < 0.0f) {
      for (float& x : f.v) x = -x;
    }
  } else if (choice < 0.65f) {
    const float low = rng.uniform(-2.2f, -0.8f), high = rng.uniform(0.8f, 2.2f);
    for (float& x : f.v) x = std::clamp(x, low, high);
  }
}

void focus(Field& f, Rng& rng) {
  const float choice = rng.uniform();
  if (choice < 0.06f) {
    f = blurred(f, 1);
  } else if (choice < 0.35f) {
    const Field soft = blurred(f, 1);
    const float k = rng.uniform(0.3f, 1.2f);
    for (size_t i = 0; i < f.v.size(); ++i) f.v[i] += k * (f.v[i] - soft.v[i]);
  }
}

Field draw_period(Rng& rng, int w, int h, const char** name) {
  const TextureRow& row = pick(rng);
  *name = row.name;
  Field f = row.draw(rng, w, h);
  normalize(f);
  // Two materials: one over the other, or patches of each (grass on earth, paper on wood).
  const float choice = rng.uniform();
  if (choice < 0.2f) {
    Field second = pick(rng).draw(rng, w, h);
    normalize(second);
    if (choice < 0.1f) {
      add_scaled(f, second, rng.uniform(0.3f, 1.0f));
    } else {
      const Field where =
          fractal_noise(rng, w, h, {.finest = 4.0f, .coarsest = 64.0f, .slope = 0.7f});
      const float edge = rng.uniform(0.05f, 0.8f), step = rng.uniform(0.0f, 0.8f);
      for (size_t i = 0; i < f.v.size(); ++i)
        f.v[i] = lerp(f.v[i], second.v[i] + step, smoothstep(-edge, edge, where.v[i]));
    }
    normalize(f);
  }
  weather(f, rng);
  normalize(f);
  skew(f, rng);
  focus(f, rng);
  return f;
}

}  // namespace

Field draw_texture(Rng& rng, int w, int h, const char** name) {
  // A tile wider than the picture never repeats, so only smaller ones are drawn as tiles.
  // Most tiles of the published sets are 256 to 512 pixels wide.
  const auto draw_side = [&] {
    return static_cast<int>(rng.log_uniform(rng.chance(0.35f) ? 32.0f : 200.0f, 512.0f));
  };
  const int tile_w = draw_side();
  const int tile_h = rng.chance(0.7f) ? tile_w : draw_side();
  const int pw = std::min(tile_w, w), ph = std::min(tile_h, h);
  // No pattern fits into fewer than 8 pixels: a narrower picture shows part of a period.
  Field period = draw_period(rng, std::max(pw, 8), std::max(ph, 8), name);
  const int ox = rng.below(period.w), oy = rng.below(period.h);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) f.at(x, y) = period.at((x + ox) % period.w, (y + oy) % period.h);
  normalize(f);
  return f;
}

}  // namespace mgpnet::synth
