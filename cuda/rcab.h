// What rcab and its gradient share: the shapes, pictures and kernels as operands of products, and
// the attention of an image.  Letters: N images of P pixels, C channels, R of the attention.
//
// Images are the batch of every product, so that no tile holds pixels of two images and the sums of
// a tile belong to one image.
#pragma once

#include "cuda/column_sums.h"
#include "cuda/convolution.h"
#include "cuda/normalize.h"
#include "tensor/layer_norm.h"
#include "tensor/rcab.h"
#include "tensor/scalar.h"

namespace satin::cuda {

struct RcabProblem {
  explicit RcabProblem(const Call& call)
      : images(call.in[0].shape[0]),
        pixels(call.in[0].shape[1] * call.in[0].shape[2]),
        c(call.in[0].shape[3]),
        r(call.in[7].shape[1]),
        tiles((pixels + product_rows(call.precision) - 1) / product_rows(call.precision)),
        slope(static_cast<float>(call.as<RcabAttrs>().slope)),
        geometry(geometry_of({.pad = 1, .input = call.in[0].shape, .kernel = call.in[3].shape},
                             call.in[0].shape)) {}

  int64_t images, pixels, c, r;
  int64_t tiles;  ///< of an image, down its pixels
  float slope;
  Geometry geometry;  ///< of both convolutions

  int64_t picture() const { return images * pixels * c; }
  Rows rows() const {
    return {images * pixels, static_cast<int>(c), static_cast<float>(LayerNormAttrs{}.eps)};
  }
  Product convolution(const float* bias) const { return {images, pixels, c, 9 * c, 1, bias}; }
};

/// Hands out scratch, each piece aligned for quads.
class Scratch {
 public:
  explicit Scratch(void* memory) : memory_(static_cast<float*>(memory)) {}
  float* take(int64_t floats) {
    const int64_t at = used_;
    used_ += (floats + 15) / 16 * 16;
    return memory_ ? memory_ + at : nullptr;
  }
  int64_t bytes() const { return used_ * static_cast<int64_t>(sizeof(float)); }

 private:
  float* memory_;
  int64_t used_ = 0;
};

// --- operands ------------------------------------------------------------------------------------

/// Pixel p of image g where it meets tap t = (kh, kw, ci).
struct ImageAtTap : Input {
  static constexpr Along kAlong = Along::depth;
  ImageAtTap(const RcabProblem& p, const float* picture) : Input(p.geometry, picture) {}
  __device__ Pixel outer(int64_t g, int64_t p) const {
    const DividedSmall at = by_ow.small(p);
    const int at_h = static_cast<int>(at.quotient) - 1, at_w = static_cast<int>(at.remainder) - 1;
    return {x + g * image + at_h * row + at_w * cin, at_h, at_w};
  }
  __device__ Tap depth(int64_t t) const { return tap(t); }
};

/// Column co of a kernel: the same for every image.
struct Kernel : Columns {
  Kernel(const RcabProblem& p, const float* w) : Columns(p.geometry, w) { group_out = 0; }
};

// --- results -------------------------------------------------------------------------------------

/// Row i of image g.
struct ImageRows {
  int64_t pixels, channels;

  explicit ImageRows(const RcabProblem& p) : pixels(p.pixels), channels(p.c) {}
  __device__ int64_t operator()(int64_t g, int64_t i, int64_t j) const {
    return (g * pixels + i) * channels + j;
  }
  __device__ int64_t column(int64_t, int64_t j) const { return j; }
};

SATIN_DEVICE float leaky(float x, float slope) { return x > 0 ? x : slope * x; }

// --- attention -----------------------------------------------------------------------------------

/// What the attention of all images reads: weights, and the sums of z over pixels.
struct RcabAttention {
  const float *k1, *kb1, *k2, *kb2;
  const float* sums;  ///< of image n from n * stride on
  int64_t stride, pixels;
  int c, r;

  RcabAttention(const Call& call, const RcabProblem& p, const float* sums_of_z, int64_t per_image)
      : k1(call.in[7].as<float>()),
        kb1(call.in[8].as<float>()),
        k2(call.in[9].as<float>()),
        kb2(call.in[10].as<float>()),
        sums(sums_of_z),
        stride(per_image * p.c),
        pixels(p.pixels),
        c(static_cast<int>(p.c)),
        r(static_cast<int>(p.r)) {}

  // Sums in f64: one value for a whole picture should not carry the rounding errors of many.
  SATIN_DEVICE double mean(int64_t image, int i) const {
    return static_cast<double>(sums[image * stride + i]) / static_cast<double>(pixels);
  }
  SATIN_DEVICE float hidden(int64_t image, int j) const {
    double sum = kb1[j];
    for (int i = 0; i < c; ++i) sum += mean(image, i) * k1[i * r + j];
    return static_cast<float>(scalar::relu(sum, UnaryAttrs{}));
  }
  SATIN_DEVICE float gate(const float* hidden, int i) const {
    double sum = kb2[i];
    for (int j = 0; j < r; ++j) sum += static_cast<double>(hidden[j]) * k2[j * c + i];
    return static_cast<float>(scalar::sigmoid(sum, UnaryAttrs{}));
  }
};

/// f(i) for i < n, shared among the block's threads; then a barrier.
template <class F>
SATIN_DEVICE void each_of(int n, F f) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) f(i);
  __syncthreads();
}

/// y = z attention + plus, kAtOnce elements a thread; blockIdx.y is the image, `size` its elements.
/// plus: a picture, or [N, C].
template <int kAtOnce>
__global__ void scale_kernel(float* y,
                             const float* z,
                             const float* attention,
                             const float* plus,
                             bool plus_by_channel,
                             int64_t size,
                             int c) {
  const int64_t image = blockIdx.y;
  y += image * size, z += image * size, attention += image * c;
  plus += image * (plus_by_channel ? c : size);
  for (int64_t i = thread_index() * kAtOnce; i < size; i += thread_count() * kAtOnce) {
    const int64_t channel = i % c;
    const float* const add = plus + (plus_by_channel ? channel : i);
    if constexpr (kAtOnce == 4) {
      const Quad of_z = load_quad(z + i), a = load_quad(attention + channel), b = load_quad(add);
      *reinterpret_cast<float4*>(y + i) =
          float4{b.v[0] + of_z.v[0] * a.v[0], b.v[1] + of_z.v[1] * a.v[1],
                 b.v[2] + of_z.v[2] * a.v[2], b.v[3] + of_z.v[3] * a.v[3]};
    } else {
      y[i] = *add + z[i] * attention[channel];
    }
  }
}

inline void scale(const Call& call,
                  const char* name,
                  const RcabProblem& p,
                  float* y,
                  const float* z,
                  const float* attention,
                  const float* plus,
                  bool plus_by_channel) {
  const int64_t size = p.pixels * p.c;
  const bool quads = in_quads(y, p.c) && in_quads(z, p.c) && in_quads(plus, p.c);
  Launch shape = over(size, kBlockThreads, 4 * kBlockThreads);
  shape.grid.y = static_cast<unsigned>(p.images);
  launch(call, name, shape, quads ? scale_kernel<4> : scale_kernel<1>, y, z, attention, plus,
         plus_by_channel, size, static_cast<int>(p.c));
}

}  // namespace satin::cuda
