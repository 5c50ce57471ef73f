// Ground truths: scenes without texture, and the things that scenes are made of.
//
// A scene is laid out in a world about as large as a whole picture and the canvas is a window into
// it, so that a 128-pixel crop holds what crops of pictures hold: parts of hills, half a face,
// plain sky.
#pragma once

#include "mgpnet/synth_canvas.h"

namespace mgpnet::synth {

/// Colors that belong together.
struct Palette {
  std::vector<Color> colors;
  float jitter = 8.0f;  ///< how far a drawn color strays, in grey levels
  Color draw(Rng& rng) const;
};
Palette draw_palette(Rng& rng);

/// What the drawing functions share: where the world lies on the canvas and how things look.
struct Scene {
  Rng& rng;
  Canvas& canvas;
  Palette palette;
  Vec origin;             ///< the world's top left corner on the canvas
  float w, h;             ///< the world's extent
  bool outlined = false;  ///< cartoon: every shape gets a line around it
  Color line_color{};
  float line_width = 1.5f;
  float gradients = 0.5f;  ///< share of shapes that are shaded

  Vec place() { return {origin.x + rng.uniform() * w, origin.y + rng.uniform() * h}; }
  /// A place from which something of this radius can be seen.
  Vec place_visible(float radius);
  bool visible(Vec center, float radius) const;
  Paint paint(Vec center, float radius);           ///< flat or shaded, colors from the palette
  Paint shade(Color c, Vec center, float radius);  ///< the same from a given color
  void draw(const Shape& shape, const Paint& paint);
  void draw(const Path& path, const Paint& p) { draw(Shape{path}, p); }
};

// synth_things.cpp
Path random_path(Rng& rng, Vec center, float radius);
void draw_thing(Scene& s, Vec center, float radius, int depth);
void draw_cloud(Scene& s, Vec center, float radius);
void draw_tree(Scene& s, Vec foot, float height);
void draw_house(Scene& s, Vec center, float size);
void draw_flower(Scene& s, Vec center, float radius);
void draw_face(Scene& s, Vec center, float radius);
void draw_text(Scene& s, Vec start, float size, int letters, Color color);
void draw_curve(Scene& s, Vec start, float reach, float width, Color color);
void draw_tufts(Scene& s, Vec center, float radius, Color color);

/// Draws one ground truth; `name` says which kind of scene it is.
Image draw_structure(Rng& rng, int w, int h, const char** name);

}  // namespace mgpnet::synth
