// Materials with a plan: bricks and tiles, cloth, stripes, grates, roofs.
#include "mgpnet/synth_texture.h"

namespace mgpnet::synth {

namespace {

// Whole cells per period, about `size` pixels each, a multiple of `unit` so that patterns of
// several cells close at the seam; a period too short for that has one unit.
int whole_cells(int n, float size, int unit = 1) {
  const float units = static_cast<float>(n) / (size * static_cast<float>(unit));
  return unit * std::max(1, nearest(units));
}

void roughen(Rng& rng, Field& f, float chance) {
  if (!rng.chance(chance)) return;
  const float size = rng.log_uniform(3.0f, 24.0f);
  const Field dx = lattice_noise(rng, f.w, f.h, size, size),
              dy = lattice_noise(rng, f.w, f.h, size, size);
  f = warped(f, dx, dy, rng.uniform(0.05f, 0.3f) * size);
}

}  // namespace

// Courses of stones with joints, each stone with a tone, a light edge and a dark one.
Field texture_bricks(Rng& rng, int w, int h) {
  const float height = rng.log_uniform(6.0f, 30.0f), aspect = rng.uniform(0.8f, 3.0f);
  const int rows = whole_cells(h, height, 2), columns = whole_cells(w, height * aspect);
  const float bond = rng.chance(0.75f) ? rng.uniform(0.25f, 0.5f) : 0.0f;
  const float jitter = rng.chance(0.4f) ? rng.uniform(0.1f, 0.35f) : 0.0f;
  const float joint = rng.log_uniform(1.0f, 3.0f), depth = rng.sign() * rng.uniform(0.5f, 3.0f);
  const float tone = rng.uniform(0.1f, 1.0f),
              bevel = rng.chance(0.6f) ? rng.uniform(0.3f, 1.5f) : 0.0f;
  const float ch = static_cast<float>(h) / static_cast<float>(rows);
  const float cw = static_cast<float>(w) / static_cast<float>(columns);
  std::vector<float> tones(static_cast<size_t>(rows) * columns), cuts(tones.size());
  for (float& t : tones) t = tone * rng.normal();
  for (float& c : cuts) c = jitter * rng.uniform(-1.0f, 1.0f);
  // Courses of unequal height: their lower edges move, the outermost two stay on the seam.
  std::vector<float> edges(rows + 1);
  const float uneven = rng.chance(0.4f) ? rng.uniform(0.1f, 0.4f) : 0.0f;
  for (int j = 1; j < rows; ++j)
    edges[j] = (static_cast<float>(j) + uneven * rng.uniform(-1.0f, 1.0f)) * ch;
  edges[rows] = static_cast<float>(h);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float fy = static_cast<float>(y) + 0.5f;
      int j = std::min(static_cast<int>(fy / ch), rows - 1);
      if (fy < edges[j]) --j;
      if (fy >= edges[j + 1]) ++j;
      const float v = fy - edges[j], below = edges[j + 1] - fy;
      const float gx = static_cast<float>(x) / cw + bond * static_cast<float>(j % 2);
      int i = static_cast<int>(gx);
      const auto cut = [&](int k) {
        return static_cast<float>(k) + cuts[static_cast<size_t>(j) * columns + wrap(k, columns)];
      };
      if (gx < cut(i)) --i;
      if (gx >= cut(i + 1)) ++i;
      const float left = (gx - cut(i)) * cw, right = (cut(i + 1) - gx) * cw;
      const float inside = std::min({left, right, v, below});
      const float stone = smoothstep(joint * 0.3f, joint, inside);
      float value = tones[static_cast<size_t>(j) * columns + wrap(i, columns)];
      if (bevel > 0.0f) {
        value += bevel * (smoothstep(joint * 2.5f, joint, std::min(left, v)) -
                          smoothstep(joint * 2.5f, joint, std::min(right, below)));
      }
      f.at(x, y) = lerp(-depth, value, stone);
    }
  roughen(rng, f, 0.6f);
  if (rng.chance(0.7f)) {
    const Field fine = fractal_noise(
        rng, w, h, {.finest = 1.0f, .coarsest = 12.0f, .slope = rng.uniform(-0.3f, 0.3f)});
    add_scaled(f, fine, rng.uniform(0.2f, 0.9f));
  }
  return f;
}

// Threads over and under each other: plain, twill and basket bindings.
Field texture_weave(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(2.2f, 14.0f), aspect = rng.uniform(0.7f, 1.5f);
  const int nx = whole_cells(w, size * aspect, 4), ny = whole_cells(h, size, 4);
  const int binding = rng.below(3), gap = rng.chance(0.4f) ? 1 : 0;
  std::vector<float> warp_tone(nx), weft_tone(ny);
  const float vary = rng.uniform(0.0f, 0.6f),
              contrast = rng.chance(0.5f) ? rng.uniform(-1.5f, 1.5f) : 0.0f;
  for (float& t : warp_tone) t = vary * rng.normal() + 0.5f * contrast;
  for (float& t : weft_tone) t = vary * rng.normal() - 0.5f * contrast;
  const float round = rng.uniform(0.4f, 2.0f), dip = rng.uniform(0.3f, 1.5f);
  const float hole = gap ? rng.uniform(0.1f, 0.3f) : 0.0f;
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float gx = static_cast<float>(x) * static_cast<float>(nx) / static_cast<float>(w);
      const float gy = static_cast<float>(y) * static_cast<float>(ny) / static_cast<float>(h);
      const int i = static_cast<int>(gx), j = static_cast<int>(gy);
      const float u = gx - static_cast<float>(i) - 0.5f, v = gy - static_cast<float>(j) - 0.5f;
      const bool over = binding == 0   ? (i + j) % 2 == 0
                        : binding == 1 ? (i + j) % 4 < 2
                                       : (i / 2 + j / 2) % 2 == 0;
      const float across = over ? u : v, along = over ? v : u;
      float value = (over ? warp_tone[i] : weft_tone[j]) - round * 4.0f * across * across -
                    dip * 4.0f * along * along;
      if (gap && std::fabs(u) > 0.5f - hole && std::fabs(v) > 0.5f - hole)
        value = -round - dip - 1.0f;
      f.at(x, y) = value;
    }
  roughen(rng, f, 0.5f);
  if (size < 4.0f && rng.chance(0.5f)) f = blurred(f, 1);
  return f;
}

// Fine cloth and laid paper: two combs of threads, each thread with a strength of its own.
Field texture_canvas(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(2.0f, 9.0f);
  const int nx = whole_cells(w, size * rng.uniform(0.7f, 1.4f)), ny = whole_cells(h, size);
  const float balance = rng.uniform();
  const float slub = rng.uniform(0.0f, 1.0f);
  Field threads_x = lattice_noise(rng, w, h, size, 24.0f),
        threads_y = lattice_noise(rng, w, h, 24.0f, size);
  normalize(threads_x);
  normalize(threads_y);
  const float wobble = rng.uniform(0.0f, 0.08f);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float tx = static_cast<float>(x) * static_cast<float>(nx) / static_cast<float>(w);
      const float ty = static_cast<float>(y) * static_cast<float>(ny) / static_cast<float>(h);
      const float a =
          sin_turns(tx + wobble * threads_y.at(x, y)) * (1.0f + 0.5f * slub * threads_x.at(x, y));
      const float b =
          sin_turns(ty + wobble * threads_x.at(x, y)) * (1.0f + 0.5f * slub * threads_y.at(x, y));
      f.at(x, y) =
          balance * a + (1.0f - balance) * b + 0.5f * a * b +
          0.4f * slub * (balance * threads_x.at(x, y) + (1.0f - balance) * threads_y.at(x, y));
    }
  return f;
}

// Corduroy, furrows, boards, blinds: one direction, a profile, uneven lines.
Field texture_stripes(Rng& rng, int w, int h) {
  const float period = rng.log_uniform(3.0f, 24.0f),
              turns = rng.chance(0.6f) ? 0.25f * static_cast<float>(rng.below(2)) : rng.uniform();
  const float kx = std::floor(cos_turns(turns) * static_cast<float>(w) / period + 0.5f);
  const float ky = std::floor(sin_turns(turns) * static_cast<float>(h) / period + 0.5f);
  const float duty = rng.uniform(0.2f, 0.8f), soft = rng.uniform(0.05f, 0.5f);
  const bool saw = rng.chance(0.3f);
  Field wander =
      fractal_noise(rng, w, h, {.finest = period, .coarsest = period * 6.0f, .slope = 0.5f});
  const float amount = rng.chance(0.6f) ? rng.uniform(0.01f, 0.1f) : 0.0f;
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      float t = kx * static_cast<float>(x) / static_cast<float>(w) +
                ky * static_cast<float>(y) / static_cast<float>(h) + amount * wander.at(x, y);
      t -= std::floor(t);
      f.at(x, y) = saw ? smoothstep(0.0f, 0.15f, t) * (1.0f - t)
                       : smoothstep(-soft, soft, std::fabs(t - 0.5f) - 0.5f * duty);
    }
  normalize(f);
  if (rng.chance(0.7f)) {
    const Field fine = fractal_noise(rng, w, h,
                                     {.finest = 1.0f,
                                      .coarsest = 16.0f,
                                      .slope = rng.uniform(-0.5f, 0.3f),
                                      .stretch = std::fabs(ky) > std::fabs(kx) ? 4.0f : 0.25f});
    add_scaled(f, fine, rng.uniform(0.2f, 1.2f));
  }
  return f;
}

// Perforated metal, dots, diamonds, crosses, honeycombs: one motif on a lattice, embossed or flat.
Field texture_grate(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(4.0f, 22.0f);
  const int nx = whole_cells(w, size), ny = whole_cells(h, size * rng.uniform(0.7f, 1.2f), 2);
  const bool staggered = rng.chance(0.6f);
  const int motif = rng.below(5);
  const float radius = rng.uniform(0.25f, 0.45f),
              relief = rng.chance(0.5f) ? rng.uniform(0.5f, 2.0f) : 0.0f;
  const float lx = rng.uniform(-1.0f, 1.0f), ly = rng.uniform(-1.0f, 1.0f), level = rng.sign();
  const float cell = static_cast<float>(w) / static_cast<float>(nx);
  const float lobe = rng.uniform(0.2f, 0.6f);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float gy = static_cast<float>(y) * static_cast<float>(ny) / static_cast<float>(h);
      const int j = static_cast<int>(gy);
      float gx = static_cast<float>(x) * static_cast<float>(nx) / static_cast<float>(w);
      if (staggered && j % 2) gx += 0.5f;
      const float u = gx - std::floor(gx) - 0.5f, v = gy - static_cast<float>(j) - 0.5f;
      const float au = std::fabs(u), av = std::fabs(v);
      float d;
      switch (motif) {
        case 0:
          d = std::sqrt(u * u + v * v);
          break;
        case 1:
          d = std::max(au, av);
          break;
        case 2:
          d = au + av;
          break;
        case 3:
          d = std::max(av, 0.5f * av + 0.866f * au);
          break;
        default: {
          const float p = (j + static_cast<int>(gx)) % 2 ? u + v : u - v,
                      q = (j + static_cast<int>(gx)) % 2 ? u - v : u + v;
          d = std::sqrt(p * p * lobe + q * q / lobe);
        }
      }
      const float inside = std::clamp((radius - d) * cell + 0.5f, 0.0f, 1.0f);
      const float rim =
          relief * (u * lx + v * ly) / radius * smoothstep(radius + 0.2f, radius - 0.1f, d);
      f.at(x, y) = level * inside + rim;
    }
  roughen(rng, f, 0.3f);
  if (rng.chance(0.6f)) {
    normalize(f);
    const Field fine = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 8.0f, .slope = -0.2f});
    add_scaled(f, fine, rng.uniform(0.1f, 0.6f));
  }
  return f;
}

// Wire mesh, chain link, lattices: round wires crossing, one set over the other.
Field texture_mesh(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(5.0f, 24.0f);
  const int nx = whole_cells(w, size), ny = whole_cells(h, size * rng.uniform(0.8f, 1.3f));
  const bool diagonal = rng.chance(0.65f);
  const float thick = rng.uniform(0.08f, 0.25f), level = rng.sign() * rng.uniform(0.5f, 2.0f);
  const float light = rng.uniform(-1.0f, 1.0f), shadow = rng.uniform(0.0f, 1.0f);
  const float gauge = size * thick;
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float gx = static_cast<float>(x) * static_cast<float>(nx) / static_cast<float>(w);
      const float gy = static_cast<float>(y) * static_cast<float>(ny) / static_cast<float>(h);
      float value = 0.0f;
      const float across[2] = {diagonal ? gx + gy : gx, diagonal ? gx - gy : gy};
      for (int set = 0; set < 2; ++set) {
        const float d = across[set] - std::floor(across[set]) - 0.5f;
        const float fall =
            smoothstep(thick, thick + 0.15f, d) * smoothstep(thick + 0.35f, thick, d);
        value -= shadow * fall;
        const float cover = std::clamp((thick - std::fabs(d)) / thick * gauge + 0.5f, 0.0f, 1.0f);
        value = lerp(value, level + light * d / thick, cover);
      }
      f.at(x, y) = value;
    }
  roughen(rng, f, 0.5f);
  normalize(f);
  if (rng.chance(0.7f)) {
    const Field fine = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 8.0f, .slope = -0.2f});
    add_scaled(f, fine, rng.uniform(0.1f, 0.7f));
  }
  return f;
}

// Roof tiles, fish scales, shingles: rows that overlap and cast a shadow on the next.
Field texture_scales(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(8.0f, 32.0f);
  const int nx = whole_cells(w, size), ny = whole_cells(h, size * rng.uniform(0.5f, 1.0f), 2);
  const float arch = rng.uniform(0.0f, 0.5f), shadow = rng.uniform(0.1f, 0.4f),
              dome = rng.uniform(0.0f, 3.0f);
  const float stagger = rng.chance(0.7f) ? 0.5f : 0.0f;
  std::vector<float> tones(static_cast<size_t>(nx) * ny);
  const float tone = rng.uniform(0.0f, 0.5f);
  for (float& t : tones) t = tone * rng.normal();
  const bool upright = rng.chance(0.75f);
  Field f(w, h);
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float gy = static_cast<float>(upright ? y : h - 1 - y) * static_cast<float>(ny) /
                       static_cast<float>(h);
      const float gx = static_cast<float>(x) * static_cast<float>(nx) / static_cast<float>(w);
      int j = static_cast<int>(gy);
      float u = 0.0f, v = 0.0f;
      int i = 0;
      // The row above hangs over this one as far as its arch reaches.
      for (int hang = 1; hang >= 0; --hang) {
        const int row = j - hang;
        const float shifted = gx + ((row & 1) ? stagger : 0.0f);
        i = static_cast<int>(std::floor(shifted));
        u = shifted - static_cast<float>(i) - 0.5f;
        v = gy - static_cast<float>(row);
        if (hang == 0 || v < 1.0f + arch * (1.0f - 4.0f * u * u)) {
          j = row;
          break;
        }
      }
      const float end = 1.0f + arch * (1.0f - 4.0f * u * u);
      f.at(x, y) = tones[static_cast<size_t>(wrap(j, ny)) * nx + wrap(i, nx)] + v - dome * u * u -
                   1.5f * smoothstep(end - shadow, end, v) -
                   (0.5f - std::fabs(u) < 0.06f ? 1.0f : 0.0f);
    }
  roughen(rng, f, 0.4f);
  normalize(f);
  const Field fine = fractal_noise(rng, w, h, {.finest = 1.0f, .coarsest = 8.0f, .slope = 0.0f});
  add_scaled(f, fine, rng.uniform(0.05f, 0.5f));
  return f;
}

}  // namespace mgpnet::synth
