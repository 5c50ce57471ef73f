// Scalar fields on a torus: the material that texture layers are made of.
//
// Everything wraps around, so a field can be repeated as a tile without a seam; a layer that is not
// tiled is simply one period as large as the picture.
#pragma once

#include <vector>

#include "mgpnet/image.h"
#include "mgpnet/synth_math.h"

namespace mgpnet::synth {

/// width x height values, row by row.
struct Field {
  int w = 0, h = 0;
  std::vector<float> v;

  Field() = default;
  Field(int width, int height, float value = 0.0f)
      : w(width), h(height), v(static_cast<size_t>(width) * height, value) {}
  float& at(int x, int y) { return v[static_cast<size_t>(y) * w + x]; }
  float at(int x, int y) const { return v[static_cast<size_t>(y) * w + x]; }
  float wrapped(int x, int y) const { return at(wrap(x, w), wrap(y, h)); }
  float sample(float x, float y) const;  ///< bilinear, periodic
};

struct Moments {
  float mean, std;
};
Moments moments(const Field& f);
void normalize(Field& f);  ///< to mean 0 and standard deviation 1; a constant becomes 0

Field white_noise(Rng& rng, int w, int h);
/// Noise whose features are about cx x cy pixels: a random lattice under cubic B-splines.
Field lattice_noise(Rng& rng, int w, int h, float cx, float cy);

struct FractalOptions {
  float finest = 1.0f;  ///< feature sizes in pixels
  float coarsest = 32.0f;
  float slope = 0.0f;    ///< amplitude of an octave is size^slope
  float stretch = 1.0f;  ///< features are stretch times as wide as high
  bool ridged = false;   ///< octaves folded at zero: creases and billows
};
Field fractal_noise(Rng& rng, int w, int h, const FractalOptions& options);

void add_scaled(Field& f, const Field& g, float k);
void multiply_gain(Field& f, const Field& g, float k);  ///< f *= max(0, 1 + k g)
Field blurred(const Field& f, int radius);              ///< two box passes
Field warped(const Field& f, const Field& dx, const Field& dy, float amount);
/// Slope of a height field towards a light at `turns`: relief as photographs of rough ground show
/// it.
Field embossed(const Field& height, float turns, float step);
/// Mean along the direction angle(x, y), in turns, over `length` pixels: hair, grass, grain.
Field streaked(const Field& f, const Field& angle, float length);

}  // namespace mgpnet::synth
