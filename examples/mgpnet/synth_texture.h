// Texture layers: what lies over a picture and has to go.
#pragma once

#include "mgpnet/synth_field.h"

namespace mgpnet::synth {

/// A kind of texture draws one period of w x h pixels; the caller normalizes.
using TextureKind = Field (*)(Rng& rng, int w, int h);

struct TextureRow {
  const char* name;
  float weight;
  TextureKind draw;
};

/// A layer of w x h pixels with mean 0 and standard deviation 1; `name` says which kind it is.
Field draw_texture(Rng& rng, int w, int h, const char** name);

// synth_texture_ground.cpp: continuous material
Field texture_spectral(Rng& rng, int w, int h);
Field texture_ridged(Rng& rng, int w, int h);
Field texture_relief(Rng& rng, int w, int h);
Field texture_fur(Rng& rng, int w, int h);
Field texture_grain(Rng& rng, int w, int h);
Field texture_crumpled(Rng& rng, int w, int h);
Field texture_ripples(Rng& rng, int w, int h);
// synth_texture_pieces.cpp: loose pieces
Field texture_cells(Rng& rng, int w, int h);
Field texture_pebbles(Rng& rng, int w, int h);
Field texture_blades(Rng& rng, int w, int h);
Field texture_chips(Rng& rng, int w, int h);
Field texture_scratches(Rng& rng, int w, int h);
// synth_texture_regular.cpp: made by people
Field texture_bricks(Rng& rng, int w, int h);
Field texture_weave(Rng& rng, int w, int h);
Field texture_canvas(Rng& rng, int w, int h);
Field texture_stripes(Rng& rng, int w, int h);
Field texture_grate(Rng& rng, int w, int h);
Field texture_mesh(Rng& rng, int w, int h);
Field texture_scales(Rng& rng, int w, int h);

}  // namespace mgpnet::synth
