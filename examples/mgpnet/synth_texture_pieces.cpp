// Materials of loose pieces: cells and cracks, pebbles, blades, chips, scratches.
#include "mgpnet/synth_texture.h"

namespace mgpnet::synth {

namespace {

// Distances to the nearest two of a jittered grid of points, on the torus.
struct Cells {
  Field first, second, tone, slope;
};

Cells nearest_points(Rng& rng, int w, int h, float size, float aspect, float jitter) {
  const float fw = static_cast<float>(w), fh = static_cast<float>(h);
  const int nx = std::max(1, nearest(fw / (size * aspect)));
  const int ny = std::max(1, nearest(fh * aspect / size));
  const float cw = fw / static_cast<float>(nx), ch = fh / static_cast<float>(ny);
  struct Point {
    float x, y, tone, lx, ly;
  };
  std::vector<Point> points(static_cast<size_t>(nx) * ny);
  const float shift = rng.chance(0.3f) ? 0.5f : 0.0f;
  const float light = rng.uniform();
  const float tilt = rng.uniform(0.0f, 1.0f);
  for (int j = 0; j < ny; ++j)
    for (int i = 0; i < nx; ++i) {
      Point& p = points[static_cast<size_t>(j) * nx + i];
      p.x = static_cast<float>(i) + 0.5f + jitter * (rng.uniform() - 0.5f) + (j % 2 ? shift : 0.0f);
      p.y = static_cast<float>(j) + 0.5f + jitter * (rng.uniform() - 0.5f);
      p.tone = rng.normal();
      const float turns = light + tilt * 0.4f * rng.normal();
      p.lx = cos_turns(turns);
      p.ly = sin_turns(turns);
    }
  Cells c{Field(w, h), Field(w, h), Field(w, h), Field(w, h)};
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const float gx = static_cast<float>(x) / cw, gy = static_cast<float>(y) / ch;
      const int cx = static_cast<int>(gx), cy = static_cast<int>(gy);
      float best = 1e9f, next = 1e9f;
      const Point* owner = &points[0];
      float ox = 0.0f, oy = 0.0f;
      for (int j = cy - 1; j <= cy + 1; ++j)
        for (int i = cx - 2; i <= cx + 1; ++i) {
          const int wi = wrap(i, nx), wj = wrap(j, ny);
          const Point& p = points[static_cast<size_t>(wj) * nx + wi];
          const float dx = gx - p.x - static_cast<float>(i - wi),
                      dy = gy - p.y - static_cast<float>(j - wj);
          const float d = dx * dx + dy * dy;
          if (d < best) {
            next = best;
            best = d;
            owner = &p;
            ox = dx;
            oy = dy;
          } else if (d < next) {
            next = d;
          }
        }
      c.first.at(x, y) = std::sqrt(best);
      c.second.at(x, y) = std::sqrt(next);
      c.tone.at(x, y) = owner->tone;
      c.slope.at(x, y) = ox * owner->lx + oy * owner->ly;
    }
  return c;
}

// One piece in its own coordinates: u along, v across, both in [-1, 1] at the rim.
struct Piece {
  float x, y, turns, long_radius, short_radius;
};

// Calls paint(pixel index, u, v) for every pixel whose center lies in the piece's box, wrapping.
template <typename Paint>
void for_each_pixel(const Field& f, const Piece& p, Paint paint) {
  const float c = cos_turns(p.turns), s = sin_turns(p.turns);
  const float ex = std::fabs(c) * p.long_radius + std::fabs(s) * p.short_radius + 1.0f;
  const float ey = std::fabs(s) * p.long_radius + std::fabs(c) * p.short_radius + 1.0f;
  const int x0 = static_cast<int>(std::floor(p.x - ex)), x1 = static_cast<int>(std::ceil(p.x + ex));
  const int y0 = static_cast<int>(std::floor(p.y - ey)), y1 = static_cast<int>(std::ceil(p.y + ey));
  const float ku = 1.0f / p.long_radius, kv = 1.0f / p.short_radius;
  for (int y = y0; y <= y1; ++y) {
    const float dy = static_cast<float>(y) - p.y;
    const size_t row = static_cast<size_t>(wrap(y, f.h)) * f.w;
    for (int x = x0; x <= x1; ++x) {
      const float dx = static_cast<float>(x) - p.x;
      paint(row + wrap(x, f.w), (dx * c + dy * s) * ku, (dy * c - dx * s) * kv);
    }
  }
}

// How many pieces of a mean area cover the field `times` over.
int count_for(const Field& f, float times, float area) {
  const float n = times * static_cast<float>(f.w) * static_cast<float>(f.h) / area;
  return std::clamp(static_cast<int>(n), 1, 1 << 20);
}

}  // namespace

// Cobbles, cracked mud, reptile skin, mosaics: one diagram, many ways to shade it.
Field texture_cells(Rng& rng, int w, int h) {
  const float size = rng.log_uniform(4.0f, 32.0f);
  const float aspect = rng.chance(0.4f) ? rng.log_uniform(0.6f, 1.7f) : 1.0f;
  Cells c = nearest_points(rng, w, h, size, aspect, rng.uniform(0.3f, 1.0f));
  const float tone = rng.uniform(0.0f, 1.0f),
              dome = rng.chance(0.6f) ? rng.uniform(0.0f, 3.0f) : 0.0f;
  const float crack = rng.uniform(0.0f, 3.0f), width = rng.uniform(0.08f, 0.4f);
  const float light = rng.chance(0.7f) ? rng.uniform(0.5f, 3.0f) : 0.0f;
  Field f(w, h);
  for (size_t i = 0; i < f.v.size(); ++i) {
    const float rim = c.second.v[i] - c.first.v[i];
    f.v[i] = tone * c.tone.v[i] - dome * c.first.v[i] * c.first.v[i] + light * c.slope.v[i] -
             crack * (1.0f - smoothstep(0.0f, width, rim));
  }
  if (rng.chance(0.6f)) {
    const float grain = rng.log_uniform(4.0f, 16.0f);
    const Field dx = lattice_noise(rng, w, h, grain, grain),
                dy = lattice_noise(rng, w, h, grain, grain);
    f = warped(f, dx, dy, rng.uniform(0.1f, 0.5f) * grain);
  }
  return f;
}

// Domes of mixed sizes lying on each other, lit from one side.
Field texture_pebbles(Rng& rng, int w, int h) {
  Field f(w, h, rng.uniform(-2.0f, 0.0f));
  const float largest = rng.log_uniform(2.5f, 14.0f), spread = rng.log_uniform(1.0f, 4.0f);
  const float lx = rng.uniform(-1.0f, 1.0f), ly = rng.uniform(-1.0f, 1.0f);
  const float flat = rng.uniform(0.4f, 1.0f), tone = rng.uniform(0.2f, 1.0f);
  const float rim = rng.uniform(0.0f, 1.5f);
  const float mean = largest / std::sqrt(spread);
  const int n = count_for(f, rng.uniform(0.8f, 2.2f), 3.0f * mean * mean * flat);
  for (int i = 0; i < n; ++i) {
    const float r = largest / rng.log_uniform(1.0f, spread);
    const Piece p{rng.uniform() * static_cast<float>(w), rng.uniform() * static_cast<float>(h),
                  rng.uniform(), r, std::max(0.8f, r * rng.uniform(flat, 1.0f))};
    const float base = tone * rng.normal();
    const float c = cos_turns(p.turns), s = sin_turns(p.turns);
    const float pu = lx * c + ly * s, pv = ly * c - lx * s;
    for_each_pixel(f, p, [&](size_t k, float u, float v) {
      const float d = std::sqrt(u * u + v * v);
      const float cover = std::clamp((1.0f - d) * p.short_radius + 0.5f, 0.0f, 1.0f);
      if (cover <= 0.0f) return;
      const float value = base + u * pu + v * pv - rim * d * d * d * d;
      f.v[k] = lerp(f.v[k], value, cover);
    });
  }
  return f;
}

// Grass, straw, needles: thin strokes, brighter along the middle, over darker ones.
Field texture_blades(Rng& rng, int w, int h) {
  Field f(w, h, -1.0f);
  const float length = rng.log_uniform(3.0f, 32.0f), thick = rng.log_uniform(0.45f, 1.8f);
  const float base = rng.uniform(), spread = rng.chance(0.6f) ? 0.5f : rng.uniform(0.02f, 0.2f);
  const float depth = rng.uniform(0.0f, 2.0f), shade = rng.uniform(0.0f, 1.0f);
  const int n = count_for(f, rng.uniform(0.7f, 2.0f), 3.0f * length * thick * 0.7f);
  for (int i = 0; i < n; ++i) {
    const float r = length * rng.uniform(0.4f, 1.0f);
    const Piece p{rng.uniform() * static_cast<float>(w), rng.uniform() * static_cast<float>(h),
                  base + spread * (rng.uniform() - 0.5f), r,
                  std::max(0.5f, thick * rng.uniform(0.6f, 1.3f))};
    const float order = static_cast<float>(i) / static_cast<float>(n);
    const float tone = rng.normal() * 0.8f + depth * order,
                bow = rng.uniform(-0.3f, 0.3f) * r / p.short_radius;
    const float fall = shade * rng.sign();
    for_each_pixel(f, p, [&](size_t k, float u, float v) {
      const float across = std::fabs(v + bow * (u * u - 0.3f));
      const float taper = 1.0f - u * u;
      const float cover = std::clamp((taper - across) * p.short_radius + 0.5f, 0.0f, 1.0f) *
                          (taper > 0.0f ? 1.0f : 0.0f);
      if (cover > 0.0f) f.v[k] = lerp(f.v[k], tone + fall * u - 0.5f * across, cover);
    });
  }
  return f;
}

// Angular pieces with a shadow on one side: wood chips, gravel, leaves on the ground, mosaic
// shards.
Field texture_chips(Rng& rng, int w, int h) {
  Field f(w, h, 0.0f);
  const float size = rng.log_uniform(2.0f, 12.0f), aspect = rng.uniform(0.3f, 0.9f);
  const float edge = rng.uniform(0.0f, 1.5f), tone = rng.uniform(0.5f, 1.2f),
              grade = rng.uniform(0.0f, 1.0f);
  const bool aligned = rng.chance(0.15f);
  const int n = count_for(f, rng.uniform(1.0f, 2.2f), 4.0f * size * size * aspect * 0.6f);
  for (int i = 0; i < n; ++i) {
    const float r = size * rng.uniform(0.4f, 1.0f);
    const Piece p{rng.uniform() * static_cast<float>(w), rng.uniform() * static_cast<float>(h),
                  aligned ? 0.25f * static_cast<float>(rng.below(4)) : rng.uniform(), r,
                  std::max(0.7f, r * rng.uniform(aspect * 0.6f, aspect))};
    const float base = tone * rng.normal(), slant = rng.uniform(-0.8f, 0.8f),
                cut = rng.uniform(0.5f, 1.4f);
    const float gu = grade * rng.normal(), gv = grade * rng.normal();
    for_each_pixel(f, p, [&](size_t k, float u, float v) {
      const float inside = std::min({1.0f - std::fabs(u + slant * v * 0.4f), 1.0f - std::fabs(v),
                                     cut - std::fabs(u * 0.7f + v * 0.7f)});
      const float cover = std::clamp(inside * p.short_radius + 0.5f, 0.0f, 1.0f);
      if (cover <= 0.0f) return;
      const float value =
          base + gu * u + gv * v - edge * (inside < 0.25f && u + v > 0.0f ? 1.0f : 0.0f);
      f.v[k] = lerp(f.v[k], value, cover);
    });
  }
  return f;
}

// Long thin marks on an almost even surface: scratched metal, paper fibers, hairs.
Field texture_scratches(Rng& rng, int w, int h) {
  Field f = fractal_noise(rng, w, h,
                          {.finest = 1.0f, .coarsest = 16.0f, .slope = rng.uniform(-0.5f, 0.3f)});
  for (float& x : f.v) x *= 0.6f;
  const float length = rng.log_uniform(6.0f, 60.0f), base = rng.uniform();
  const float spread = rng.chance(0.5f) ? 1.0f : rng.uniform(0.02f, 0.3f),
              bias = rng.uniform(-1.0f, 1.0f);
  const int n = count_for(f, rng.uniform(0.2f, 1.2f), length * 2.0f);
  for (int i = 0; i < n; ++i) {
    const Piece p{rng.uniform() * static_cast<float>(w), rng.uniform() * static_cast<float>(h),
                  base + spread * (rng.uniform() - 0.5f), length * rng.uniform(0.3f, 1.0f),
                  rng.uniform(0.5f, 1.1f)};
    const float tone = 1.2f * rng.normal() + bias;
    const float bow = rng.uniform(-0.25f, 0.25f) * p.long_radius / p.short_radius;
    // A bent mark leaves its own box, so it is followed along u rather than searched across it.
    const float c = cos_turns(p.turns), s = sin_turns(p.turns);
    const int steps = static_cast<int>(p.long_radius * 2.0f) + 1;
    for (int j = 0; j <= steps; ++j) {
      const float u = 2.0f * static_cast<float>(j) / static_cast<float>(steps) - 1.0f;
      const float along = u * p.long_radius, across = bow * u * u * p.short_radius;
      const float px = p.x + along * c - across * s, py = p.y + along * s + across * c;
      const float fx = std::floor(px), fy = std::floor(py), tx = px - fx, ty = py - fy;
      const int x0 = wrap(static_cast<int>(fx), w), y0 = wrap(static_cast<int>(fy), h);
      const int x1 = x0 + 1 == w ? 0 : x0 + 1, y1 = y0 + 1 == h ? 0 : y0 + 1;
      f.at(x0, y0) += tone * (1 - tx) * (1 - ty);
      f.at(x1, y0) += tone * tx * (1 - ty);
      f.at(x0, y1) += tone * (1 - tx) * ty;
      f.at(x1, y1) += tone * tx * ty;
    }
  }
  return f;
}

}  // namespace mgpnet::synth
