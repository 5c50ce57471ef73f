// Contact sheet and example pictures.  Unlike training layers, the materials here are part of the
// thing: stones take their color from the design, threads from the pattern, paint lies on bricks.
#include "mgpnet/synth_pictures.h"

#include <stdexcept>

#include "mgpnet/synth_structure.h"
#include "mgpnet/synth_texture.h"

namespace mgpnet {

namespace {

using namespace synth;

constexpr int kWidth = 512, kHeight = 384;

// Brightness of every pixel times 1 + k f.
void modulate(Canvas& canvas, const Field& f, float k) {
  for (int y = 0; y < canvas.height(); ++y)
    for (int x = 0; x < canvas.width(); ++x) {
      float* p = canvas.pixel(x, y);
      const float gain = std::max(0.0f, 1.0f + k * f.at(x, y));
      for (int c = 0; c < 3; ++c) p[c] = std::clamp(p[c] * gain, 0.0f, 255.0f);
    }
}

Color color_at(const Canvas& canvas, float x, float y) {
  const float* p = canvas.pixel(std::clamp(static_cast<int>(x), 0, canvas.width() - 1),
                                std::clamp(static_cast<int>(y), 0, canvas.height() - 1));
  return {p[0], p[1], p[2]};
}

Color shifted(Color c, float by) { return {c.r + by, c.g + by, c.b + by}; }

// A fish in the sea inside a border of waves.
Canvas mosaic_design() {
  Canvas c(kWidth, kHeight);
  const Color sea{58, 118, 138}, deep{28, 70, 98}, foam{150, 190, 186}, bone{232, 220, 192};
  const Color red{176, 66, 44}, ochre{214, 158, 72}, ink{38, 34, 40};
  c.fill_all(Paint::flat(bone));
  c.fill(rectangle({256, 192}, 238, 174, 0), Paint::flat(red));
  c.fill(rectangle({256, 192}, 226, 162, 0), Paint::flat(bone));
  c.fill(rectangle({256, 192}, 206, 142, 0), {Paint::kLinear, sea, deep, {0, 60}, {0, 280}});
  for (int i = 0; i < 20; ++i) {
    const float x = 60.0f + 20.6f * static_cast<float>(i);
    for (float y : {40.0f, 344.0f})
      c.fill(polygon({x, y}, 9, 4, 0), Paint::flat(i % 2 ? ochre : deep));
  }
  for (int i = 0; i < 14; ++i) {
    const float y = 58.0f + 20.6f * static_cast<float>(i);
    for (float x : {40.0f, 472.0f})
      c.fill(polygon({x, y}, 9, 4, 0), Paint::flat(i % 2 ? ochre : deep));
  }
  for (int row = 0; row < 4; ++row)
    for (int i = 0; i < 5; ++i) {
      const float x = 76.0f + 92.0f * static_cast<float>(i) - 30.0f * static_cast<float>(row % 2);
      const float y = 78.0f + 76.0f * static_cast<float>(row);
      if (x < 60.0f || x > 420.0f) continue;
      c.fill(stroke(smooth_open({{x, y}, {x + 12, y - 9}, {x + 26, y}, {x + 40, y + 7}}), {6.0f}),
             Paint::flat(foam));
    }
  const Path body = smooth_closed({{122, 196},
                                   {170, 140},
                                   {250, 118},
                                   {322, 150},
                                   {356, 192},
                                   {318, 236},
                                   {246, 264},
                                   {168, 246}});
  c.fill({smooth_closed({{344, 190}, {418, 126}, {404, 192}, {424, 258}})}, Paint::flat(red));
  c.fill({smooth_closed({{206, 130}, {262, 74}, {304, 106}, {300, 146}})}, Paint::flat(red));
  c.fill({smooth_closed({{226, 256}, {262, 300}, {286, 284}, {280, 244}})}, Paint::flat(red));
  c.fill(outline(body, 9.0f), Paint::flat(ink));
  c.fill(body, {Paint::kLinear, ochre, bone, {240, 130}, {0, 130}});
  for (int column = 0; column < 5; ++column)
    for (int i = -2; i <= 2; ++i) {
      const float x = 222.0f + 26.0f * static_cast<float>(column),
                  y = 192.0f + 21.0f * static_cast<float>(i) + (column % 2 ? 10.0f : 0.0f);
      if (std::fabs(y - 192.0f) > 54.0f - 8.0f * static_cast<float>(column)) continue;
      c.fill(stroke(smooth_open({{x, y - 10}, {x + 9, y}, {x, y + 10}}), {4.5f}), Paint::flat(red));
    }
  c.fill(stroke(smooth_open({{196, 150}, {210, 192}, {194, 236}}), {6.0f}), Paint::flat(ink));
  c.fill(ellipse({164, 182}, 15, 15, 0), Paint::flat(bone));
  c.fill(ellipse({164, 182}, 8, 8, 0), Paint::flat(ink));
  return c;
}

// The middles of cells of `step` pixels, from the first one to past the end.
std::vector<float> middles(int extent, float step) {
  std::vector<float> all;
  float at = 0.5f * step;
  while (at < static_cast<float>(extent) + step) {
    all.push_back(at);
    at += step;
  }
  return all;
}

// Small stones on a jittered grid, each of one color, in dark mortar.
Image mosaic() {
  Rng rng(11);
  const Canvas design = mosaic_design();
  Canvas out(kWidth, kHeight);
  out.fill_all(Paint::flat({84, 78, 72}));
  constexpr float kStone = 8.0f;
  for (const float y : middles(kHeight, kStone))
    for (const float x : middles(kWidth, kStone)) {
      const Vec at{x + rng.uniform(-0.9f, 0.9f), y + rng.uniform(-0.9f, 0.9f)};
      const Color c = shifted(color_at(design, at.x, at.y), 13.0f * rng.normal());
      Path stone = rectangle(at, 0.44f * kStone, 0.44f * kStone, 0.02f * rng.normal());
      for (Vec& corner : stone)
        corner = corner + Vec{rng.uniform(-0.8f, 0.8f), rng.uniform(-0.8f, 0.8f)};
      out.fill(stone,
               {Paint::kLinear, shifted(c, 14.0f), shifted(c, -14.0f), at - Vec{3, 3}, {6, 6}});
    }
  modulate(out,
           fractal_noise(rng, kWidth, kHeight, {.finest = 1.0f, .coarsest = 6.0f, .slope = -0.2f}),
           0.05f);
  return out.image();
}

// A bulging letter with an outline and a highlight, from a stroke through `points`.
void draw_bubble(Canvas& c, const Path& points, float width, Color from, Color to) {
  const Path line = smooth_open(points);
  c.fill(stroke(line, {width + 16.0f}), Paint::flat({244, 240, 232}));
  c.fill(stroke(line, {width + 8.0f}), Paint::flat({20, 16, 30}));
  c.fill(stroke(line, {width}), {Paint::kLinear, from, to, {0, 110}, {0, 170}});
  Path shine;
  for (size_t i = line.size() / 8; i < line.size() / 3; ++i)
    shine.push_back(line[i] - Vec{0.2f * width, 0.2f * width});
  if (shine.size() > 1) c.fill(stroke(shine, {0.14f * width}), Paint::flat({255, 255, 255}, 0.85f));
}

// Spray paint on a brick wall: the bricks' relief shows through.
Image graffiti() {
  Rng brick_rng(2), rng(5);
  Field bricks = texture_bricks(brick_rng, kWidth, kHeight);
  normalize(bricks);
  Canvas wall(kWidth, kHeight);
  wall.fill_all({Paint::kLinear, {176, 110, 84}, {140, 84, 66}, {0, 0}, {0, kHeight}});
  Canvas paint = wall;
  paint.fill(rectangle({256, 196}, 232, 112, 0.0f, 70.0f),
             {Paint::kLinear, {64, 176, 190}, {46, 70, 150}, {0, 90}, {0, 220}});
  paint.fill(polygon({70, 84}, 40, 5, 0.7f, 0.45f), Paint::flat({250, 214, 70}));
  paint.fill(polygon({448, 316}, 36, 5, 0.72f, 0.45f), Paint::flat({250, 214, 70}));
  const Color pink{248, 96, 140}, orange{252, 176, 60};
  const std::vector<Path> letters = {
      {{142, 140}, {108, 126}, {78, 152}, {106, 186}, {136, 214}, {112, 252}, {68, 242}},  // S
      {{162, 256}, {178, 190}, {194, 130}, {214, 190}, {230, 256}},                        // A
      {{180, 218}, {212, 218}},
      {{250, 138}, {284, 132}, {318, 138}},  // T
      {{284, 144}, {282, 200}, {284, 256}},
      {{346, 142}, {344, 200}, {346, 256}},  // I
      {{384, 256}, {382, 200}, {384, 142}},  // N
      {{384, 142}, {410, 200}, {438, 256}},
      {{438, 256}, {440, 200}, {438, 142}}};
  for (const Path& letter : letters)
    draw_bubble(paint, letter, letter.size() == 2 ? 20 : 26, pink, orange);
  for (float x : {96.0f, 224.0f, 284.0f, 346.0f, 432.0f}) {
    const float fall = rng.uniform(20.0f, 58.0f);
    paint.fill(stroke({{x, 268.0f}, {x, 268.0f + fall}}, {4.5f, 3.0f}), Paint::flat({20, 16, 30}));
  }
  // Where the joints are deep the paint is thin.
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x) {
      const float cover = 0.82f + 0.14f * smoothstep(-1.2f, 0.3f, bricks.at(x, y));
      float* p = wall.pixel(x, y);
      const float* q = paint.pixel(x, y);
      for (int c = 0; c < 3; ++c) p[c] = lerp(p[c], q[c], cover);
    }
  modulate(wall, bricks, 0.17f);
  modulate(wall,
           fractal_noise(rng, kWidth, kHeight, {.finest = 1.0f, .coarsest = 8.0f, .slope = -0.3f}),
           0.045f);
  return wall.image();
}

// A woven band with diamonds, birds' eyes and stripes; every thread has one color where it is on
// top.
Image cloth() {
  Rng rng(8);
  Canvas design(kWidth, kHeight);
  const Color cream{232, 220, 196}, crimson{158, 34, 48}, navy{34, 44, 92}, gold{222, 166, 56},
      green{52, 110, 84};
  design.fill_all(Paint::flat(cream));
  for (float y : {18.0f, 366.0f})
    design.fill(rectangle({256, y}, 300, 18, 0), Paint::flat(crimson));
  for (float y : {48.0f, 336.0f}) design.fill(rectangle({256, y}, 300, 6, 0), Paint::flat(navy));
  for (float y : {62.0f, 322.0f}) design.fill(rectangle({256, y}, 300, 3, 0), Paint::flat(gold));
  const auto centers = [&](auto draw) {
    for (int i = -1; i < 5; ++i) draw(Vec{64.0f + 128.0f * static_cast<float>(i), 192});
  };
  const std::pair<float, Color> rings[] = {{104, crimson}, {86, cream}, {72, navy}, {48, gold}};
  for (const auto& [radius, color] : rings)
    centers(
        [&, r = radius, c = color](Vec at) { design.fill(polygon(at, r, 4, 0), Paint::flat(c)); });
  centers([&](Vec at) {
    design.fill(polygon(at, 30, 8, 0, 0.5f), Paint::flat(crimson));
    design.fill(ellipse(at, 7, 7, 0), Paint::flat(cream));
    for (float y : {100.0f, 284.0f}) {
      const Vec mid = at + Vec{64, y - 192.0f};
      design.fill(polygon(mid, 34, 4, 0.125f, 0.4f), Paint::flat(green));
      design.fill(polygon(mid, 15, 4, 0), Paint::flat(gold));
    }
  });
  Canvas out(kWidth, kHeight);
  out.fill_all(Paint::flat({96, 84, 72}));
  constexpr float kThread = 6.0f;
  std::vector<float> weft(kHeight), warp_tone(kWidth);
  for (float& t : weft) t = 9.0f * rng.normal();
  for (float& t : warp_tone) t = 9.0f * rng.normal();
  const std::vector<float> rows = middles(kHeight, kThread), columns = middles(kWidth, kThread);
  for (size_t row = 0; row < rows.size(); ++row)
    for (size_t column = 0; column < columns.size(); ++column) {
      const float x = columns[column], y = rows[row];
      const bool over = (row + column) % 2 == 0;
      const Vec at{x + 0.35f * rng.normal(), y + 0.35f * rng.normal()};
      const Color c =
          shifted(color_at(design, x, y), (over ? weft[row] : warp_tone[column]) +
                                              5.0f * rng.normal() + (over ? 8.0f : -12.0f));
      const float along = 0.56f * kThread, across = 0.42f * kThread;
      const Vec axis = over ? Vec{0, across} : Vec{across, 0};
      out.fill(
          rectangle(at, over ? along : across, over ? across : along, 0.0f, 2.0f),
          {Paint::kLinear, shifted(c, 18.0f), shifted(c, -34.0f), at - 0.3f * axis, 1.3f * axis});
    }
  modulate(out,
           fractal_noise(rng, kWidth, kHeight, {.finest = 1.0f, .coarsest = 4.0f, .slope = -0.2f}),
           0.05f);
  return out.image();
}

// A hill, a house and trees in thick paint on canvas.
Image painting() {
  Rng rng(21);
  Canvas design(kWidth, kHeight);
  Scene s{rng,    design, {{{206, 92, 60}, {236, 196, 104}, {240, 232, 214}, {120, 74, 52}}, 6.0f},
          {0, 0}, kWidth, kHeight};
  design.fill_all({Paint::kLinear, {64, 124, 204}, {250, 220, 176}, {0, 0}, {0, 210}});
  design.fill(ellipse({390, 96}, 74, 74, 0), Paint::flat({255, 232, 160}, 0.35f));
  design.fill(ellipse({390, 96}, 40, 40, 0), Paint::flat({255, 240, 190}));
  const auto ridge = [&](Path edge, Color top, Color bottom, float y) {
    edge = smooth_open(edge);
    edge.push_back({540, 400});
    edge.push_back({-30, 400});
    design.fill(edge, {Paint::kLinear, top, bottom, {0, y}, {0, 140}});
  };
  ridge({{-30, 200}, {60, 150}, {130, 190}, {220, 132}, {320, 190}, {430, 160}, {540, 200}},
        {112, 118, 170}, {150, 150, 180}, 130);
  ridge({{-30, 236}, {100, 206}, {240, 240}, {380, 210}, {540, 232}}, {110, 152, 96}, {70, 112, 70},
        206);
  ridge({{-30, 290}, {120, 262}, {260, 282}, {400, 262}, {540, 300}}, {206, 184, 92},
        {126, 128, 58}, 262);
  design.fill(smooth_closed({{250, 384},
                             {300, 330},
                             {276, 296},
                             {310, 276},
                             {316, 278},
                             {300, 300},
                             {344, 334},
                             {350, 384}}),
              Paint::flat({226, 206, 164}));
  const Color plaster{240, 228, 204}, roof{184, 72, 50}, dark{70, 52, 48};
  design.fill(rectangle({140, 246}, 52, 32, 0),
              {Paint::kLinear, plaster, {206, 184, 160}, {88, 0}, {104, 0}});
  design.fill(Path{{78, 218}, {106, 178}, {174, 178}, {202, 218}}, Paint::flat(roof));
  design.fill(rectangle({160, 182}, 7, 16, 0), Paint::flat(dark));
  for (float x : {108.0f, 172.0f})
    design.fill(rectangle({x, 242}, 9, 11, 0), Paint::flat({84, 120, 150}));
  design.fill(rectangle({140, 258}, 10, 20, 0), Paint::flat(dark));
  const auto tree = [&](Vec foot, float size, Color leaf) {
    design.fill(stroke({foot, foot - Vec{0, 1.1f * size}}, {0.3f * size, 0.16f * size}),
                Paint::flat({92, 66, 50}));
    for (int i = 0; i < 22; ++i) {
      const float t = rng.uniform(), d = 0.75f * size * std::sqrt(rng.uniform());
      const Vec puff{d * cos_turns(t), 0.8f * d * sin_turns(t)};
      design.fill(
          ellipse(foot - Vec{0, 1.7f * size} + puff, 0.36f * size, 0.3f * size, 0),
          Paint::flat(shifted(leaf, -50.0f * (puff.x + puff.y) / size + 9.0f * rng.normal())));
    }
  };
  tree({236, 272}, 30, {96, 142, 66});
  tree({474, 292}, 46, {196, 120, 48});
  tree({412, 300}, 58, {78, 122, 58});
  tree({40, 316}, 60, {104, 134, 52});
  for (int i = 0; i < 26; ++i)
    draw_flower(s, {rng.uniform(10, 500), rng.uniform(318, 376)}, rng.uniform(5, 10));

  // Strokes follow a slow wind; fine ones go only where coarse ones missed.
  Canvas out = design;
  const Field wind = lattice_noise(rng, kWidth, kHeight, 90, 90);
  Field relief(kWidth, kHeight);
  for (float r : {13.0f, 8.0f, 5.0f, 3.2f}) {
    const int n = static_cast<int>(2.2f * kWidth * kHeight / (r * r));
    for (int i = 0; i < n; ++i) {
      const Vec at{rng.uniform() * kWidth, rng.uniform() * kHeight};
      const Color c = color_at(design, at.x, at.y), now = color_at(out, at.x, at.y);
      if (r < 10.0f &&
          std::fabs(c.r - now.r) + std::fabs(c.g - now.g) + std::fabs(c.b - now.b) < 26.0f)
        continue;
      const float turns =
          0.12f * wind.at(static_cast<int>(at.x), static_cast<int>(at.y)) + 0.02f * rng.normal();
      out.fill(ellipse(at, 1.7f * r, 0.55f * r, turns),
               Paint::flat(shifted(c, 7.0f * rng.normal()), 0.95f));
    }
  }
  Field angle = wind;
  for (float& a : angle.v) a *= 0.12f;
  relief = streaked(
      fractal_noise(rng, kWidth, kHeight, {.finest = 1.5f, .coarsest = 6.0f, .slope = 0.3f}), angle,
      16.0f);
  modulate(out, relief, 0.07f);
  Rng canvas_rng(3);
  Field weave = texture_canvas(canvas_rng, kWidth, kHeight);
  normalize(weave);
  modulate(out, weave, 0.055f);
  return out.image();
}

struct ExampleRow {
  const char* name;
  Image (*draw)();
};
constexpr ExampleRow kExamples[] = {
    {"mosaic", mosaic}, {"graffiti", graffiti}, {"cloth", cloth}, {"painting", painting}};

}  // namespace

Image contact_sheet(const SynthOptions& options, int columns, int rows, uint64_t first) {
  constexpr int kGap = 4;
  Image sheet;
  sheet.width = columns * (2 * options.width + kGap) + kGap;
  sheet.height = rows * (options.height + kGap) + kGap;
  sheet.pixels.assign(static_cast<size_t>(sheet.width) * sheet.height * 3, 255);
  for (int i = 0; i < columns * rows; ++i) {
    const Pair pair = synth_pair(options, first + static_cast<uint64_t>(i));
    const int x0 = kGap + i % columns * (2 * options.width + kGap),
              y0 = kGap + i / columns * (options.height + kGap);
    for (int y = 0; y < options.height; ++y) {
      std::copy_n(pair.gt.at(0, y), 3 * options.width, sheet.at(x0, y0 + y));
      std::copy_n(pair.input.at(0, y), 3 * options.width, sheet.at(x0 + options.width, y0 + y));
    }
  }
  return sheet;
}

std::vector<std::string> example_names() {
  std::vector<std::string> names;
  for (const ExampleRow& row : kExamples) names.push_back(row.name);
  return names;
}

Image example_picture(const std::string& name) {
  for (const ExampleRow& row : kExamples)
    if (name == row.name) return row.draw();
  throw std::invalid_argument("no example picture '" + name +
                              "'; there are mosaic, graffiti, cloth and painting");
}

}  // namespace mgpnet
