// A float RGB canvas and exact-coverage filling of closed paths: the pen of the structure
// generator.
//
// Every shape, curve, stroke and letter becomes closed polygons; one filler turns them into
// coverage (area of the pixel inside, so edges are antialiased exactly) and blends a paint through
// it.
#pragma once

#include <vector>

#include "mgpnet/image.h"
#include "mgpnet/synth_math.h"

namespace mgpnet::synth {

struct Vec {
  float x = 0.0f, y = 0.0f;
};
inline Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y}; }
inline Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y}; }
inline Vec operator*(float k, Vec a) { return {k * a.x, k * a.y}; }
inline float length(Vec a) { return std::sqrt(a.x * a.x + a.y * a.y); }

/// Grey levels, 0..255.
struct Color {
  float r = 0.0f, g = 0.0f, b = 0.0f;
};
inline Color mix(Color a, Color b, float t) {
  return {lerp(a.r, b.r, t), lerp(a.g, b.g, t), lerp(a.b, b.b, t)};
}
/// Hue in turns, saturation and value in [0, 1].
Color hsv(float hue, float saturation, float value);

using Path = std::vector<Vec>;  ///< a closed polygon
using Shape =
    std::vector<Path>;  ///< polygons united; one that runs the other way round cuts a hole

struct Paint {
  enum Kind { kFlat, kLinear, kRadial };
  Kind kind = kFlat;
  Color from, to;
  Vec origin;  ///< where `from` is
  Vec axis;    ///< linear: origin + axis is where `to` is; radial: its length is the radius
  float alpha = 1.0f;
  float bend = 1.0f;  ///< exponent of the gradient's course

  static Paint flat(Color c, float alpha = 1.0f) {
    return {kFlat, c, c, {}, {1.0f, 0.0f}, alpha, 1.0f};
  }
};

class Canvas {
 public:
  Canvas(int width, int height);
  int width() const { return w_; }
  int height() const { return h_; }
  float* pixel(int x, int y) { return &rgb_[(static_cast<size_t>(y) * w_ + x) * 3]; }
  const float* pixel(int x, int y) const { return &rgb_[(static_cast<size_t>(y) * w_ + x) * 3]; }
  std::vector<float>& values() { return rgb_; }

  void fill_all(const Paint& paint);
  void fill(const Shape& shape, const Paint& paint);
  void fill(const Path& path, const Paint& paint) { fill(Shape{path}, paint); }

  void blur(int radius);                               ///< two box passes, edges repeated
  void posterize(float luma_step, float chroma_step);  ///< flat regions with antialiased borders
  Image image() const;                                 ///< rounded to 8 bits

 private:
  void add_edge(Vec a, Vec b);
  int w_, h_;
  int top_ = 0, bottom_ = 0;  // rows of the fill under way
  std::vector<float> rgb_, cover_;
};

// Paths.
Path ellipse(Vec center, float rx, float ry, float turns);
Path polygon(Vec center, float radius, int corners, float turns, float inner = 1.0f);
Path rectangle(Vec center, float half_w, float half_h, float turns, float corner = 0.0f);
Path blob(Rng& rng, Vec center, float radius, float roughness);  ///< a smooth closed curve
Path jagged(Rng& rng, Vec center, float radius, int corners);    ///< an irregular polygon
Path smooth_closed(const Path& control);                         ///< Catmull-Rom through the points
Path smooth_open(const Path& control);
Path reversed(Path path);
/// A line along `points`; widths (one or one per point) are full widths.
Shape stroke(const Path& points, const std::vector<float>& widths);
Shape outline(const Path& closed, float width);

}  // namespace mgpnet::synth
