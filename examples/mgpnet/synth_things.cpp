// Things that scenes are made of: shapes with shading and lines, and compounds of them.
#include "mgpnet/synth_structure.h"

namespace mgpnet::synth {

namespace {

float luma(Color c) { return 0.299f * c.r + 0.587f * c.g + 0.114f * c.b; }
const Color kWhite{255.0f, 255.0f, 255.0f}, kBlack{0.0f, 0.0f, 0.0f};

// Towards white or black, `t` of the way.
Color tint(Color c, float t) { return t > 0.0f ? mix(c, kWhite, t) : mix(c, kBlack, -t); }

}  // namespace

Color Palette::draw(Rng& rng) const {
  Color c = colors[rng.below(static_cast<int>(colors.size()))];
  const float light = jitter * rng.normal();
  c.r = std::clamp(c.r + light + 0.5f * jitter * rng.normal(), 0.0f, 255.0f);
  c.g = std::clamp(c.g + light + 0.5f * jitter * rng.normal(), 0.0f, 255.0f);
  c.b = std::clamp(c.b + light + 0.5f * jitter * rng.normal(), 0.0f, 255.0f);
  return c;
}

Palette draw_palette(Rng& rng) {
  Palette p;
  p.jitter = rng.log_uniform(2.0f, 20.0f);
  const int n = rng.between(4, 9);
  const float hue = rng.uniform(), spread = rng.uniform(0.02f, 0.25f), kind = rng.uniform();
  for (int i = 0; i < n; ++i) {
    const float near = hue + spread * rng.normal();
    if (kind < 0.3f) {  // crayons
      p.colors.push_back(hsv(rng.uniform(), rng.uniform(0.5f, 1.0f), rng.uniform(0.6f, 1.0f)));
    } else if (kind < 0.56f) {  // nature: browns, greens, sky, stone
      const float natural[6] = {0.07f, 0.11f, 0.26f, 0.33f, 0.57f, 0.09f};
      p.colors.push_back(hsv(natural[rng.below(6)] + 0.02f * rng.normal(),
                             rng.uniform(0.15f, 0.85f), rng.uniform(0.15f, 1.0f)));
    } else if (kind < 0.7f) {  // neighbors on the color wheel
      p.colors.push_back(hsv(near, rng.uniform(0.2f, 0.95f), rng.uniform(0.25f, 1.0f)));
    } else if (kind < 0.76f) {  // night
      p.colors.push_back(hsv(near, rng.uniform(0.2f, 1.0f), rng.uniform(0.0f, 0.4f)));
    } else if (kind < 0.87f) {  // pastel
      p.colors.push_back(hsv(rng.uniform(), rng.uniform(0.02f, 0.4f), rng.uniform(0.75f, 1.0f)));
    } else if (kind < 0.92f) {  // greys
      p.colors.push_back(hsv(near, rng.uniform(0.0f, 0.08f), rng.uniform(0.0f, 1.0f)));
    } else {  // two colors against each other
      p.colors.push_back(hsv(hue + (i % 2 ? 0.5f : 0.0f) + 0.03f * rng.normal(),
                             rng.uniform(0.4f, 1.0f), rng.uniform(0.2f, 1.0f)));
    }
  }
  if (rng.chance(0.35f)) p.colors.push_back({250.0f, 250.0f, 248.0f});
  if (rng.chance(0.35f)) p.colors.push_back({10.0f, 10.0f, 12.0f});
  return p;
}

Vec Scene::place_visible(float radius) {
  return {rng.uniform(-0.7f * radius, static_cast<float>(canvas.width()) + 0.7f * radius),
          rng.uniform(-0.7f * radius, static_cast<float>(canvas.height()) + 0.7f * radius)};
}

bool Scene::visible(Vec c, float r) const {
  return c.x + r > 0.0f && c.y + r > 0.0f && c.x - r < static_cast<float>(canvas.width()) &&
         c.y - r < static_cast<float>(canvas.height());
}

Paint Scene::shade(Color c, Vec center, float radius) {
  if (!rng.chance(gradients)) return Paint::flat(c);
  Color other = rng.chance(0.3f) ? palette.draw(rng) : tint(c, rng.uniform(-0.55f, 0.55f));
  if (rng.chance(0.3f)) other = mix(c, other, 0.4f);
  const float turns = rng.chance(0.5f) ? 0.25f : rng.uniform();
  const Vec direction{cos_turns(turns), sin_turns(turns)};
  Paint p{Paint::kLinear,
          c,
          other,
          center - radius * direction,
          2.0f * radius * direction,
          1.0f,
          rng.chance(0.5f) ? 1.0f : rng.uniform(0.5f, 2.0f)};
  if (rng.chance(0.35f)) {
    p.kind = Paint::kRadial;
    p.origin = center + 0.4f * radius * direction;
    p.axis = {rng.uniform(0.9f, 1.5f) * radius, 0.0f};
  }
  return p;
}

Paint Scene::paint(Vec center, float radius) { return shade(palette.draw(rng), center, radius); }

void Scene::draw(const Shape& shape, const Paint& p) {
  canvas.fill(shape, p);
  if (!outlined) return;
  Shape lines;
  for (const Path& path : shape)
    for (Path& quad : outline(path, line_width)) lines.push_back(std::move(quad));
  canvas.fill(lines, Paint::flat(line_color));
}

Path random_path(Rng& rng, Vec c, float r) {
  switch (rng.below(9)) {
    case 0:
      return ellipse(c, r, r, 0.0f);
    case 1:
      return ellipse(c, r, r * rng.uniform(0.2f, 0.9f), rng.uniform());
    case 2:
      return rectangle(c, r * rng.uniform(0.4f, 1.0f), r * rng.uniform(0.15f, 0.8f),
                       rng.chance(0.5f) ? 0.0f : rng.uniform(), rng.chance(0.4f) ? r * 0.3f : 0.0f);
    case 3:
      return polygon(c, r, rng.between(3, 7), rng.uniform(),
                     rng.chance(0.4f) ? rng.uniform(0.3f, 0.8f) : 1.0f);
    case 4:
      return jagged(rng, c, r, rng.between(3, 14));
    default:
      return blob(rng, c, r, rng.uniform(0.05f, 0.4f));
  }
}

void draw_thing(Scene& s, Vec c, float r, int depth) {
  if (r < 1.0f || !s.visible(c, 1.6f * r)) return;
  Rng& rng = s.rng;
  const Path body = random_path(rng, c, r);
  if (r > 12.0f && rng.chance(0.15f)) {  // a soft-edged shadow in steps
    for (int i = 3; i > 0; --i) {
      Path shadow = body;
      for (Vec& p : shadow)
        p = p + Vec{0.1f * r + static_cast<float>(i), 0.12f * r + static_cast<float>(i)};
      s.canvas.fill(shadow, Paint::flat(kBlack, 0.12f));
    }
  }
  s.draw(body, s.paint(c, r));
  if (rng.chance(0.08f)) {  // a ring
    s.draw({ellipse(c, 0.7f * r, 0.7f * r, 0.0f), reversed(ellipse(c, 0.5f * r, 0.5f * r, 0.0f))},
           s.paint(c, r));
  }
  if (depth <= 0 || r < 4.0f) return;
  const int parts = rng.between(0, 5);
  const float choice = rng.uniform();
  for (int i = 0; i < parts; ++i) {
    const float t = rng.uniform(), d = r * rng.uniform(0.1f, 0.9f);
    const Vec at = c + Vec{d * cos_turns(t), d * sin_turns(t)};
    if (choice < 0.55f) {
      draw_thing(s, at, r * rng.uniform(0.12f, 0.5f), depth - 1);
    } else if (choice < 0.75f) {
      draw_curve(s, at, r * rng.uniform(0.3f, 1.0f), std::max(0.8f, r * rng.uniform(0.02f, 0.1f)),
                 s.palette.draw(rng));
    } else {
      s.canvas.fill(ellipse(at, 0.08f * r + 0.7f, 0.08f * r + 0.7f, 0.0f),
                    Paint::flat(s.palette.draw(rng)));
    }
  }
  if (rng.chance(0.25f)) {  // a highlight
    const Vec at = c + Vec{-0.35f * r, -0.35f * r};
    s.canvas.fill(ellipse(at, 0.25f * r, 0.15f * r, 0.9f),
                  Paint::flat(kWhite, rng.uniform(0.3f, 0.95f)));
  }
}

void draw_cloud(Scene& s, Vec c, float r) {
  if (!s.visible(c, 2.0f * r)) return;
  Rng& rng = s.rng;
  Shape puffs;
  const int n = rng.between(4, 9);
  for (int i = 0; i < n; ++i) {
    const float u = rng.uniform(-1.0f, 1.0f),
                size = r * rng.uniform(0.25f, 0.5f) * (1.2f - std::fabs(u));
    puffs.push_back(
        ellipse(c + Vec{u * r, rng.uniform(-0.15f, 0.1f) * r}, size * 1.2f, size, 0.0f));
  }
  const float grey = rng.chance(0.7f) ? rng.uniform(225.0f, 255.0f) : rng.uniform(60.0f, 200.0f);
  Paint p = s.shade({grey, grey, std::min(255.0f, grey * 1.03f)}, c, r);
  if (rng.chance(0.5f)) p.alpha = rng.uniform(0.4f, 0.95f);
  s.canvas.fill(puffs, p);
}

namespace {

void draw_branch(Scene& s,
                 Vec foot,
                 float turns,
                 float reach,
                 float width,
                 const Paint& p,
                 int depth,
                 std::vector<Vec>* tips) {
  if (depth == 0 || reach < 2.0f) {
    tips->push_back(foot);
    return;
  }
  Rng& rng = s.rng;
  const Vec tip = foot + reach * Vec{cos_turns(turns), sin_turns(turns)};
  s.canvas.fill(stroke({foot, tip}, {width, width * 0.65f}), p);
  const int forks = rng.between(2, 3);
  for (int i = 0; i < forks; ++i)
    draw_branch(s, tip, turns + rng.uniform(-0.13f, 0.13f), reach * rng.uniform(0.55f, 0.85f),
                std::max(0.7f, width * 0.6f), p, depth - 1, tips);
}

}  // namespace

void draw_tree(Scene& s, Vec foot, float height) {
  if (!s.visible(foot - Vec{0.0f, 0.5f * height}, height)) return;
  Rng& rng = s.rng;
  const Paint bark =
      Paint::flat(hsv(rng.uniform(0.04f, 0.12f), rng.uniform(0.2f, 0.7f), rng.uniform(0.1f, 0.6f)));
  const Color leaf = rng.chance(0.7f) ? hsv(rng.uniform(0.18f, 0.4f), rng.uniform(0.4f, 1.0f),
                                            rng.uniform(0.2f, 0.8f))
                                      : s.palette.draw(rng);
  const int kind = rng.below(3);
  if (kind == 0) {  // fir: stacked triangles
    s.canvas.fill(rectangle(foot - Vec{0.0f, 0.1f * height}, 0.05f * height, 0.12f * height, 0.0f),
                  bark);
    const int tiers = rng.between(2, 5);
    for (int i = 0; i < tiers; ++i) {
      const float top =
          height * (0.4f + 0.6f * static_cast<float>(i + 1) / static_cast<float>(tiers));
      const float low = height * (0.15f + 0.6f * static_cast<float>(i) / static_cast<float>(tiers));
      const float half =
          0.32f * height * (1.0f - 0.6f * static_cast<float>(i) / static_cast<float>(tiers));
      s.draw(Path{foot + Vec{-half, -low}, foot + Vec{0.0f, -top}, foot + Vec{half, -low}},
             s.shade(tint(leaf, rng.uniform(-0.2f, 0.2f)), foot - Vec{0.0f, low}, half));
    }
    return;
  }
  std::vector<Vec> tips;
  draw_branch(s, foot, -0.25f + 0.01f * rng.normal(), 0.33f * height,
              std::max(1.0f, 0.07f * height), bark, kind == 1 ? 3 : rng.between(4, 6), &tips);
  const float size = kind == 1 ? 0.2f * height : rng.uniform(0.01f, 0.05f) * height;
  if (kind == 2 && rng.chance(0.4f)) return;  // bare in winter
  for (Vec tip : tips)
    s.canvas.fill(
        kind == 1 ? blob(rng, tip, size, 0.2f) : ellipse(tip, size, 0.6f * size, rng.uniform()),
        s.shade(tint(leaf, rng.uniform(-0.25f, 0.25f)), tip, size));
}

void draw_house(Scene& s, Vec c, float r) {
  if (!s.visible(c, 2.0f * r)) return;
  Rng& rng = s.rng;
  const float half_w = r * rng.uniform(0.5f, 1.0f), half_h = r * rng.uniform(0.4f, 0.8f);
  s.draw(rectangle(c, half_w, half_h, 0.0f), s.paint(c, r));
  if (rng.chance(0.8f)) {
    const float over = half_w * rng.uniform(1.0f, 1.25f), rise = r * rng.uniform(0.3f, 0.8f);
    s.draw(Path{c + Vec{-over, -half_h}, c + Vec{rng.uniform(-0.3f, 0.3f) * half_w, -half_h - rise},
                c + Vec{over, -half_h}},
           s.paint(c, r));
  }
  const int nx = rng.between(1, 5), ny = rng.between(1, 4);
  const Paint window = s.paint(c, r), frame = Paint::flat(s.palette.draw(rng));
  const float ww = half_w / static_cast<float>(nx) * rng.uniform(0.3f, 0.7f),
              wh = half_h / static_cast<float>(ny) * rng.uniform(0.3f, 0.7f);
  const bool framed = rng.chance(0.5f);
  for (int j = 0; j < ny; ++j)
    for (int i = 0; i < nx; ++i) {
      const Vec at =
          c + Vec{half_w * ((2.0f * static_cast<float>(i) + 1.0f) / static_cast<float>(nx) - 1.0f),
                  half_h * ((2.0f * static_cast<float>(j) + 1.0f) / static_cast<float>(ny) - 1.0f)};
      if (framed) s.canvas.fill(rectangle(at, ww + 1.2f, wh + 1.2f, 0.0f), frame);
      s.draw(rectangle(at, ww, wh, 0.0f), window);
    }
}

void draw_flower(Scene& s, Vec c, float r) {
  if (!s.visible(c, 2.0f * r)) return;
  Rng& rng = s.rng;
  const int n = rng.between(5, 14);
  const Color petal = s.palette.draw(rng);
  const float turn = rng.uniform(), slim = rng.uniform(0.15f, 0.4f);
  for (int i = 0; i < n; ++i) {
    const float t = turn + static_cast<float>(i) / static_cast<float>(n);
    const Vec at = c + 0.6f * r * Vec{cos_turns(t), sin_turns(t)};
    s.draw(ellipse(at, 0.5f * r, slim * r, t),
           s.shade(tint(petal, rng.uniform(-0.15f, 0.15f)), at, 0.5f * r));
  }
  s.draw(ellipse(c, 0.28f * r, 0.28f * r, 0.0f), s.paint(c, 0.3f * r));
}

void draw_face(Scene& s, Vec c, float r) {
  if (!s.visible(c, 1.6f * r)) return;
  Rng& rng = s.rng;
  const Color skin = rng.chance(0.5f) ? hsv(rng.uniform(0.03f, 0.12f), rng.uniform(0.2f, 0.7f),
                                            rng.uniform(0.3f, 1.0f))
                                      : s.palette.draw(rng);
  const float ear = rng.uniform(0.15f, 0.45f) * r, out = rng.uniform(0.6f, 0.95f) * r;
  for (float side : {-1.0f, 1.0f})
    s.draw(ellipse(c + Vec{side * out, -0.6f * r}, ear, ear * 1.2f, 0.0f),
           s.shade(tint(skin, -0.1f), c, r));
  s.draw(ellipse(c, r, r * rng.uniform(0.75f, 1.1f), 0.0f), s.shade(skin, c, r));
  const float eye = rng.uniform(0.08f, 0.24f) * r, apart = rng.uniform(0.28f, 0.5f) * r;
  for (float side : {-1.0f, 1.0f}) {
    const Vec at = c + Vec{side * apart, -0.2f * r};
    s.draw(ellipse(at, eye, eye * 1.2f, 0.0f), Paint::flat({250.0f, 250.0f, 250.0f}));
    s.canvas.fill(ellipse(at, 0.55f * eye, 0.6f * eye, 0.0f), Paint::flat({15.0f, 15.0f, 20.0f}));
    s.canvas.fill(ellipse(at - Vec{0.2f * eye, 0.2f * eye}, 0.2f * eye, 0.2f * eye, 0.0f),
                  Paint::flat(kWhite));
  }
  s.draw(ellipse(c + Vec{0.0f, 0.2f * r}, 0.15f * r, 0.11f * r, 0.0f), s.paint(c, 0.2f * r));
  const Path mouth =
      smooth_open({c + Vec{-0.4f * r, 0.45f * r}, c + Vec{0.0f, rng.uniform(0.4f, 0.75f) * r},
                   c + Vec{0.4f * r, 0.45f * r}});
  s.canvas.fill(stroke(mouth, {std::max(0.9f, 0.06f * r)}),
                Paint::flat(tint(skin, luma(skin) > 70.0f ? -0.7f : 0.7f)));
}

void draw_text(Scene& s, Vec start, float size, int letters, Color color) {
  Rng& rng = s.rng;
  const float weight = std::max(0.7f, size * rng.uniform(0.06f, 0.2f)),
              slant = rng.chance(0.2f) ? 0.2f : 0.0f;
  const bool round = rng.chance(0.5f);
  Vec pen = start;
  for (int i = 0; i < letters; ++i) {
    if (rng.chance(0.15f)) {  // a space
      pen.x += 0.5f * size;
      continue;
    }
    // A letter is two or three strokes between the places of a 3 x 3 grid.
    const float width = size * rng.uniform(0.35f, 0.65f),
                top = rng.chance(0.6f) ? 0.68f * size : size;
    const int strokes = rng.between(1, 3);
    Shape letter;
    for (int k = 0; k < strokes; ++k) {
      Path points;
      const int n = rng.between(2, 4);
      for (int q = 0; q < n; ++q) {
        const float v = 0.5f * static_cast<float>(rng.below(3));
        points.push_back(
            pen + Vec{0.5f * width * static_cast<float>(rng.below(3)) + slant * v * top, -v * top});
      }
      for (Path& piece : stroke(round && n > 2 ? smooth_open(points) : points, {weight}))
        letter.push_back(std::move(piece));
    }
    s.canvas.fill(letter, Paint::flat(color));
    pen.x += width + 0.25f * size;
  }
}

void draw_curve(Scene& s, Vec start, float reach, float width, Color color) {
  if (!s.visible(start, 1.5f * reach)) return;
  Rng& rng = s.rng;
  Path control{start};
  const int n = rng.between(1, 5);
  float turns = rng.uniform();
  for (int i = 0; i < n; ++i) {
    turns += 0.15f * rng.normal();
    control.push_back(control.back() +
                      reach / static_cast<float>(n) * Vec{cos_turns(turns), sin_turns(turns)});
  }
  const Path line = n > 1 ? smooth_open(control) : control;
  std::vector<float> widths{width};
  if (rng.chance(0.4f)) {  // a brush stroke, thinner at its ends
    widths.resize(line.size());
    for (size_t i = 0; i < line.size(); ++i) {
      const float t = static_cast<float>(i) / static_cast<float>(line.size() - 1);
      widths[i] = width * (0.25f + 3.0f * t * (1.0f - t));
    }
  }
  s.canvas.fill(stroke(line, widths), Paint::flat(color));
}

void draw_tufts(Scene& s, Vec c, float r, Color color) {
  if (!s.visible(c, 1.5f * r)) return;
  Rng& rng = s.rng;
  const int n = rng.between(5, 16);
  for (int i = 0; i < n; ++i) {
    const float lean = rng.uniform(-0.6f, 0.6f), tall = r * rng.uniform(0.5f, 1.0f),
                half = std::max(0.5f, 0.06f * r);
    const Vec foot = c + Vec{lean * 0.5f * r, 0.0f};
    s.canvas.fill(
        Path{foot + Vec{-half, 0.0f}, foot + Vec{lean * tall, -tall}, foot + Vec{half, 0.0f}},
        Paint::flat(tint(color, rng.uniform(-0.3f, 0.3f))));
  }
}

}  // namespace mgpnet::synth
