// Scenes: how ground truths are composed, from cartoons to traced photographs.
#include "mgpnet/synth_structure.h"

#include "mgpnet/synth_field.h"

namespace mgpnet::synth {

namespace {

void add_color_noise(
    Canvas& canvas, Rng& rng, float finest, float coarsest, float slope, float luma, float chroma) {
  const int w = canvas.width(), h = canvas.height();
  const FractalOptions o{.finest = finest, .coarsest = coarsest, .slope = slope};
  const Field l = fractal_noise(rng, w, h, o), a = fractal_noise(rng, w, h, o),
              b = fractal_noise(rng, w, h, o);
  for (size_t i = 0; i < l.v.size(); ++i) {
    float* p = &canvas.values()[3 * i];
    p[0] += luma * l.v[i] + chroma * a.v[i];
    p[1] += luma * l.v[i] - 0.5f * chroma * (a.v[i] + b.v[i]);
    p[2] += luma * l.v[i] + chroma * b.v[i];
  }
}

void clamp_values(Canvas& canvas) {
  for (float& x : canvas.values()) x = std::clamp(x, 0.0f, 255.0f);
}

Paint sky(Scene& s) {
  Color from, to;
  if (s.rng.chance(0.6f)) {
    const float hue = s.rng.chance(0.75f) ? s.rng.uniform(0.5f, 0.68f) : s.rng.uniform();
    from = hsv(hue, s.rng.uniform(0.2f, 0.95f), s.rng.uniform(0.3f, 1.0f));
    to = s.rng.chance(0.7f) ? hsv(hue + 0.05f * s.rng.normal(), s.rng.uniform(0.0f, 0.5f),
                                  s.rng.uniform(0.7f, 1.0f))
                            : hsv(s.rng.uniform(0.0f, 0.15f), s.rng.uniform(0.2f, 0.9f),
                                  s.rng.uniform(0.5f, 1.0f));
  } else {
    from = s.palette.draw(s.rng);
    to = s.rng.chance(0.3f) ? from : s.palette.draw(s.rng);
  }
  return {
      Paint::kLinear,           from, to, s.origin, {0.0f, s.h * s.rng.uniform(0.4f, 1.0f)}, 1.0f,
      s.rng.uniform(0.6f, 1.6f)};
}

void background(Scene& s) {
  const float kind = s.rng.uniform();
  const Vec middle = s.origin + Vec{0.5f * s.w, 0.5f * s.h};
  if (kind < 0.3f) {
    s.canvas.fill_all(Paint::flat(s.palette.draw(s.rng)));
  } else if (kind < 0.45f) {
    s.canvas.fill_all(
        Paint::flat(hsv(s.rng.uniform(), s.rng.uniform(0.0f, 0.12f), s.rng.uniform(0.9f, 1.0f))));
  } else if (kind < 0.65f) {
    s.canvas.fill_all(sky(s));
  } else {
    const bool gradients = s.gradients > 0.0f;
    Paint p = Paint::flat(s.palette.draw(s.rng));
    if (gradients) {
      p.to = s.palette.draw(s.rng);
      const float t = s.rng.uniform(), reach = s.rng.uniform(0.5f, 1.0f) * s.w;
      p.kind = s.rng.chance(0.5f) ? Paint::kLinear : Paint::kRadial;
      p.origin = p.kind == Paint::kLinear ? middle - 0.5f * reach * Vec{cos_turns(t), sin_turns(t)}
                                          : s.place();
      p.axis = reach * Vec{cos_turns(t), sin_turns(t)};
    }
    s.canvas.fill_all(p);
  }
}

// One rolling or jagged edge across the world, filled below.
void hill(Scene& s, float level, float height) {
  Rng& rng = s.rng;
  const bool rocky = rng.chance(0.25f);
  const int n = rocky ? rng.between(10, 40) : rng.between(4, 9);
  Path edge;
  for (int i = -1; i <= n + 1; ++i)
    edge.push_back(s.origin + Vec{s.w * static_cast<float>(i) / static_cast<float>(n),
                                  level + height * rng.normal() * (rocky ? 0.5f : 1.0f)});
  if (!rocky) edge = smooth_open(edge);
  edge.push_back({edge.back().x, s.origin.y + s.h * 1.5f});
  edge.push_back({edge.front().x, s.origin.y + s.h * 1.5f});
  Color c = rng.chance(0.45f)
                ? hsv(rng.uniform(0.2f, 0.38f), rng.uniform(0.3f, 1.0f), rng.uniform(0.2f, 0.85f))
                : s.palette.draw(rng);
  Paint p = s.shade(c, s.origin + Vec{0.5f * s.w, level + 0.25f * s.h}, 0.3f * s.h);
  s.draw(edge, p);
}

void landscape(Scene& s) {
  Rng& rng = s.rng;
  s.canvas.fill_all(sky(s));
  if (rng.chance(0.5f)) {
    const Vec at = s.place();
    const float r = s.w * rng.uniform(0.03f, 0.12f);
    const Color sun = hsv(rng.uniform(0.08f, 0.17f), rng.uniform(0.0f, 0.8f), 1.0f);
    float glow = 2.0f;
    while (glow > 1.1f) {
      s.canvas.fill(ellipse(at, glow * r, glow * r, 0.0f), Paint::flat(sun, 0.12f));
      glow -= 0.3f;
    }
    s.draw(ellipse(at, r, r, 0.0f), s.shade(sun, at, r));
  }
  for (int i = rng.below(6); i > 0; --i) draw_cloud(s, s.place(), s.w * rng.uniform(0.05f, 0.15f));
  const int hills = rng.between(1, 5);
  const float horizon = rng.uniform(0.25f, 0.7f);
  for (int i = 0; i < hills; ++i) {
    const float level =
        s.h * (horizon + (1.0f - horizon) * static_cast<float>(i) / static_cast<float>(hills));
    hill(s, level, s.h * rng.uniform(0.01f, 0.07f));
    for (int k = rng.below(7); k > 0; --k) {
      const Vec at{s.origin.x + rng.uniform() * s.w,
                   s.origin.y + level + s.h * rng.uniform(0.0f, 0.15f)};
      const float kind = rng.uniform(), size = s.h * rng.log_uniform(0.03f, 0.35f);
      if (kind < 0.4f)
        draw_tree(s, at, size);
      else if (kind < 0.55f)
        draw_house(s, at, 0.5f * size);
      else if (kind < 0.7f)
        draw_tufts(s, at, 0.3f * size,
                   hsv(rng.uniform(0.2f, 0.35f), 0.7f, rng.uniform(0.2f, 0.7f)));
      else if (kind < 0.8f)
        draw_flower(s, at, 0.25f * size);
      else if (kind < 0.88f)
        draw_face(s, at, 0.4f * size);
      else
        draw_thing(s, at, 0.5f * size, 2);
    }
  }
}

void dead_leaves(Scene& s, float smallest, float largest, float layers, int depth) {
  Rng& rng = s.rng;
  const float area =
      static_cast<float>(s.canvas.width() + 40) * static_cast<float>(s.canvas.height() + 40);
  // Density ~ r^-2.5: every scale covers about as much as the next.
  float covered = 0.0f;
  for (int i = 0; i < 4000 && covered < layers * area; ++i) {
    const float r =
        smallest *
        power(1.0f - rng.uniform() * (1.0f - power(smallest / largest, 1.5f)), -1.0f / 1.5f);
    covered += 2.0f * r * r;
    draw_thing(s, s.place_visible(r), r, rng.chance(0.3f) ? depth : 0);
  }
}

void leaves(Scene& s) {
  background(s);
  dead_leaves(s, s.rng.log_uniform(1.5f, 8.0f), s.rng.uniform(60.0f, 160.0f),
              s.rng.uniform(0.5f, 2.5f), 1);
}

void cartoon(Scene& s) {
  Rng& rng = s.rng;
  s.outlined = rng.chance(0.65f);
  background(s);
  const float area = s.w * s.h;
  const int n = static_cast<int>(area / 16000.0f * rng.uniform(0.7f, 2.0f)) + 2;
  for (int i = 0; i < n; ++i) {
    const float r = 0.5f * std::min(s.w, s.h) * rng.log_uniform(0.05f, 0.6f), kind = rng.uniform();
    const Vec at = i < 3 ? s.place_visible(r) : s.place();
    if (kind < 0.45f)
      draw_thing(s, at, r, 3);
    else if (kind < 0.65f)
      draw_face(s, at, r);
    else if (kind < 0.75f)
      draw_flower(s, at, r);
    else if (kind < 0.85f)
      draw_house(s, at, r);
    else if (kind < 0.93f)
      draw_tree(s, at, 2.0f * r);
    else
      draw_text(s, at, 0.5f * r + 4.0f, rng.between(1, 5), s.palette.draw(rng));
  }
}

// Towards grey: photographs are less colorful than crayons.
void fade(Canvas& canvas, float amount) {
  for (size_t i = 0; i < canvas.values().size(); i += 3) {
    float* p = &canvas.values()[i];
    const float grey = 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
    for (int c = 0; c < 3; ++c) p[c] = lerp(p[c], grey, amount);
  }
}

// Something like a photograph, too smooth to hold texture: shaded leaves, lighting, focus.
void soft_photo(Scene& s, int focus) {
  Rng& rng = s.rng;
  s.gradients = 0.9f;
  const bool outdoors = rng.chance(0.55f);
  if (outdoors) {
    landscape(s);
  } else {
    background(s);
  }
  dead_leaves(s, rng.log_uniform(3.0f, 10.0f), rng.uniform(60.0f, 150.0f),
              outdoors ? rng.uniform(0.0f, 0.5f) : rng.uniform(0.3f, 1.6f), 1);
  if (rng.chance(0.7f)) fade(s.canvas, rng.uniform(0.2f, 0.75f));
  s.canvas.blur(focus);
  add_color_noise(s.canvas, rng, rng.uniform(12.0f, 30.0f), 96.0f, 0.8f, rng.uniform(5.0f, 30.0f),
                  rng.uniform(0.0f, 12.0f));
  clamp_values(s.canvas);
}

// A photograph after a tracing program: flat regions of many colors, ragged borders.
void traced(Scene& s) {
  Rng& rng = s.rng;
  soft_photo(s, rng.below(2));
  add_color_noise(s.canvas, rng, rng.log_uniform(2.5f, 8.0f), rng.uniform(16.0f, 64.0f),
                  rng.uniform(0.2f, 1.0f), rng.uniform(4.0f, 18.0f), rng.uniform(0.0f, 6.0f));
  clamp_values(s.canvas);
  const float step = rng.log_uniform(12.0f, 45.0f);
  s.canvas.posterize(step, step * rng.uniform(0.6f, 1.5f));
  clamp_values(s.canvas);
}

// A photograph painted over: patches that take their color from below, coarse ones first.
void painted(Scene& s) {
  Rng& rng = s.rng;
  soft_photo(s, 1);
  add_color_noise(s.canvas, rng, 4.0f, 48.0f, 0.6f, rng.uniform(4.0f, 16.0f),
                  rng.uniform(0.0f, 8.0f));
  clamp_values(s.canvas);
  const Canvas source = s.canvas;
  const float w = static_cast<float>(source.width()), h = static_cast<float>(source.height());
  const float finest = rng.log_uniform(2.0f, 6.0f), angle = rng.uniform();
  const int kind = rng.below(3);
  const float strength = rng.uniform(0.0f, 10.0f);
  float r = 16.0f;
  while (r >= finest) {
    const int n = static_cast<int>(w * h / (r * r) * rng.uniform(0.5f, 1.0f)) + 1;
    for (int i = 0; i < n; ++i) {
      const Vec at{rng.uniform() * w, rng.uniform() * h};
      const float* p = source.pixel(std::min(static_cast<int>(at.x), source.width() - 1),
                                    std::min(static_cast<int>(at.y), source.height() - 1));
      const float* q = s.canvas.pixel(std::min(static_cast<int>(at.x), source.width() - 1),
                                      std::min(static_cast<int>(at.y), source.height() - 1));
      // A fine patch is only laid where the coarse ones are wrong, as painters and tracers do.
      if (r < 14.0f &&
          std::fabs(p[0] - q[0]) + std::fabs(p[1] - q[1]) + std::fabs(p[2] - q[2]) < 18.0f)
        continue;
      const float light = strength * rng.normal();
      const Paint paint = Paint::flat({p[0] + light, p[1] + light, p[2] + light});
      if (kind == 0)
        s.canvas.fill(jagged(rng, at, 1.3f * r, rng.between(4, 8)), paint);
      else if (kind == 1)
        s.canvas.fill(ellipse(at, 1.4f * r, 0.5f * r, angle + 0.06f * rng.normal()), paint);
      else
        s.canvas.fill(blob(rng, at, r, 0.3f), paint);
    }
    r *= 0.6f;
  }
  clamp_values(s.canvas);
}

// Wallpaper: translucent circles, facets and waves over a gradient.
void abstract_art(Scene& s) {
  Rng& rng = s.rng;
  background(s);
  const int n = rng.between(6, 40), kind = rng.below(4);
  for (int i = 0; i < n; ++i) {
    const float r = s.w * rng.log_uniform(0.06f, 0.5f);
    const Vec at = s.place_visible(r);
    Paint p = s.paint(at, r);
    p.alpha = rng.chance(0.3f) ? 1.0f : rng.uniform(0.1f, 0.7f);
    if (kind == 0) {
      s.canvas.fill(ellipse(at, r, r, 0.0f), p);
    } else if (kind == 1) {
      const Path facet = jagged(rng, at, r, 3);
      s.canvas.fill(facet, p);
      if (i % 3 == 0) s.canvas.fill(outline(facet, 1.0f), Paint::flat(p.to, 0.4f));
    } else if (kind == 2) {
      Path wave;
      for (int k = 0; k <= 6; ++k)
        wave.push_back(s.origin + Vec{s.w * (1.2f * static_cast<float>(k) / 6.0f - 0.1f),
                                      at.y - s.origin.y + 0.15f * s.h * rng.normal()});
      s.canvas.fill(stroke(smooth_open(wave), {r * rng.uniform(0.05f, 0.6f)}), p);
    } else {
      s.canvas.fill(rectangle(at, r, r * rng.uniform(0.05f, 1.0f),
                              rng.chance(0.5f) ? 0.1f : rng.uniform(), rng.chance(0.5f) ? r : 0.0f),
                    p);
    }
  }
}

// Pages, signs and diagrams.
void page(Scene& s) {
  Rng& rng = s.rng;
  background(s);
  for (int i = rng.between(1, 6); i > 0; --i) {
    const float r = s.w * rng.uniform(0.05f, 0.3f);
    const Vec at = s.place();
    s.draw(rectangle(at, r, r * rng.uniform(0.2f, 1.0f), 0.0f, rng.chance(0.5f) ? 6.0f : 0.0f),
           s.paint(at, r));
  }
  const int lines = rng.between(3, 14);
  for (int i = 0; i < lines; ++i) {
    const float size = rng.log_uniform(6.0f, 48.0f);
    draw_text(s, s.place_visible(size) - Vec{0.3f * s.w, 0.0f}, size, rng.between(4, 30),
              s.palette.draw(rng));
  }
  for (int i = rng.below(8); i > 0; --i)
    draw_curve(s, s.place(), s.w * rng.uniform(0.1f, 0.8f), rng.log_uniform(0.8f, 6.0f),
               s.palette.draw(rng));
}

struct SceneRow {
  const char* name;
  float weight;
  void (*draw)(Scene&);
};
constexpr SceneRow kScenes[] = {
    {"landscape", 2.2f, landscape},
    {"leaves", 1.0f, leaves},
    {"cartoon", 2.4f, cartoon},
    {"traced", 2.0f, traced},
    {"painted", 1.2f, painted},
    {"abstract", 0.9f, abstract_art},
    {"page", 0.6f, page},
    {"photo", 0.35f, [](Scene& s) { soft_photo(s, s.rng.below(3)); }},
};

// Small things that have to survive smoothing.
void details(Scene& s) {
  Rng& rng = s.rng;
  if (rng.chance(0.4f)) {
    const int n = rng.between(1, 7);
    const float width = rng.log_uniform(0.7f, 4.0f);
    for (int i = 0; i < n; ++i)
      draw_curve(s, s.place_visible(20.0f), rng.log_uniform(15.0f, 200.0f), width,
                 s.palette.draw(rng));
  }
  if (rng.chance(0.3f)) {
    const int n = rng.between(2, 16);
    const float size = rng.log_uniform(1.0f, 6.0f);
    for (int i = 0; i < n; ++i)
      draw_thing(s, s.place_visible(size), size * rng.uniform(0.6f, 1.4f), 0);
  }
  if (rng.chance(0.12f))
    draw_text(s, s.place_visible(10.0f), rng.log_uniform(7.0f, 30.0f), rng.between(2, 12),
              s.palette.draw(rng));
  if (rng.chance(0.25f)) draw_thing(s, s.place_visible(20.0f), rng.log_uniform(8.0f, 50.0f), 3);
}

// Contrast, exposure, tint; now and then no color at all; the ringing of a reduced picture.
void grade(Canvas& canvas, Rng& rng) {
  if (rng.chance(0.3f)) {
    const float gain = rng.uniform(0.6f, 1.15f), lift = rng.uniform(-20.0f, 40.0f);
    const float r = rng.uniform(0.9f, 1.1f), b = rng.uniform(0.9f, 1.1f);
    for (size_t i = 0; i < canvas.values().size(); i += 3) {
      float* p = &canvas.values()[i];
      p[0] = p[0] * gain * r + lift;
      p[1] = p[1] * gain + lift;
      p[2] = p[2] * gain * b + lift;
    }
  }
  if (rng.chance(0.05f)) {
    fade(canvas, 1.0f);
  }
  clamp_values(canvas);
  if (rng.chance(0.2f)) {
    Canvas soft = canvas;
    soft.blur(1);
    const float k = rng.uniform(0.15f, 0.5f);
    for (size_t i = 0; i < canvas.values().size(); ++i)
      canvas.values()[i] += k * (canvas.values()[i] - soft.values()[i]);
    clamp_values(canvas);
  }
}

}  // namespace

Image draw_structure(Rng& rng, int w, int h, const char** name) {
  float total = 0.0f;
  for (const SceneRow& row : kScenes) total += row.weight;
  float u = rng.uniform() * total;
  const SceneRow* row = kScenes;
  while (u >= row->weight && row + 1 != std::end(kScenes)) u -= (row++)->weight;
  *name = row->name;

  Canvas canvas(w, h);
  const float unit = 384.0f * rng.log_uniform(0.6f, 1.5f);
  const float world_w = std::max(static_cast<float>(w), unit);
  const float world_h = std::max(static_cast<float>(h), 0.75f * unit);
  Scene s{rng,
          canvas,
          draw_palette(rng),
          {-rng.uniform() * (world_w - static_cast<float>(w)),
           -rng.uniform() * (world_h - static_cast<float>(h))},
          world_w,
          world_h};
  s.gradients = rng.chance(0.3f) ? 0.0f : rng.uniform(0.2f, 1.0f);
  s.outlined = rng.chance(0.2f);
  s.line_width = rng.log_uniform(0.8f, 4.0f);
  s.line_color = rng.chance(0.75f) ? hsv(rng.uniform(), rng.uniform(), rng.uniform(0.0f, 0.2f))
                                   : s.palette.draw(rng);
  row->draw(s);
  details(s);
  grade(canvas, rng);
  return canvas.image();
}

}  // namespace mgpnet::synth
