// One branch of a multi-axis gMLP as its kernels see it: where its weights lie, which pixels a
// group holds.  Letters: C channels of x, B of the branch (C, or 2C where it is the only one), S
// pixels of a group.
#pragma once

#include "cuda/block.h"
#include "tensor/layer_norm.h"
#include "tensor/multi_axis_gmlp.h"
#include "tensor/scalar.h"

namespace satin::cuda {

struct GmlpBranch {
  const float* x;                       // [N, H, W, C]
  const float *gamma, *beta;            // [C]
  const float *w1, *b1;                 // [C, B] in rows of 2C;  [B]
  const float *w2, *b2;                 // [B, C];  [C]
  const float *norm_gamma, *norm_beta;  // [B]
  const float *wi, *bi;                 // [B, 2B];  [2B]
  const float *gate_gamma, *gate_beta;  // [B]
  const float *p, *pb;                  // [S, S];  [S]
  const float *wo, *bo;                 // [B, B];  [B]
  float* mixed;                         // P LN(b), [groups, S, B]; forward: null if not wanted
  int channels, width, size;            // C, B, sqrt(S)
  int rows, cols;                       // of groups in an image: H / size, W / size
  int64_t groups;
  bool block;  ///< a group is a window; otherwise the pixels at one place of every cell
  bool first;  ///< of the branches: y = x + b2 + its part; the second adds to that

  __host__ __device__ int pixels() const { return size * size; }
  __host__ __device__ int64_t image_pixels() const { return int64_t{rows} * cols * size * size; }
  /// Pixel s of group g of an image.
  SATIN_DEVICE int pixel(int g, int s) const {
    const int gy = g / cols, gx = g % cols, py = s / size, px = s % size;
    return block ? ((gy * size + py) * cols + gx) * size + px
                 : ((py * rows + gy) * size + px) * cols + gx;
  }
};

/// Branch `index` of a call; of its gradient too, whose inputs begin alike.
inline GmlpBranch branch_of(const Call& call, int index) {
  const auto [branches, size] = call.as<MultiAxisGmlpAttrs>();
  const bool both = branches == Branches::grid_and_block;
  const Shape& x = call.in[0].shape;
  const auto c = static_cast<int>(x[3]);
  const int width = both ? c : 2 * c, part = index * width;
  const auto in = [&](size_t i) { return static_cast<const float*>(call.in[i].as<float>()); };
  const auto of = [&](size_t i) { return in(7 + 10 * static_cast<size_t>(index) + i); };
  GmlpBranch b{};
  b.x = in(0), b.gamma = in(1), b.beta = in(2);
  b.w1 = in(3) + part, b.b1 = in(4) + part;
  b.w2 = in(5) + int64_t{part} * c, b.b2 = in(6);
  b.norm_gamma = of(0), b.norm_beta = of(1), b.wi = of(2), b.bi = of(3);
  b.gate_gamma = of(4), b.gate_beta = of(5), b.p = of(6), b.pb = of(7), b.wo = of(8), b.bo = of(9);
  b.channels = c, b.width = width, b.size = size;
  b.rows = static_cast<int>(x[1] / size), b.cols = static_cast<int>(x[2] / size);
  b.groups = x[0] * b.rows * b.cols;
  b.block = both ? index == 1 : branches == Branches::block;
  b.first = index == 0;
  const bool back = call.op == Op::multi_axis_gmlp_grad;
  float* const mixed = back ? call.in[call.in.size() - 2].as<float>() : call.out[1].as<float>();
  b.mixed = mixed ? mixed + index * b.groups * b.pixels() * width : nullptr;
  return b;
}

inline int branches_of(const Call& call) {
  return call.as<MultiAxisGmlpAttrs>().branches == Branches::grid_and_block ? 2 : 1;
}

inline constexpr float kGmlpEps = 1e-5f;  // LayerNormAttrs' own, which the composition takes
static_assert(LayerNormAttrs{}.eps == 1e-5);

SATIN_DEVICE float gelu_of(float x) { return scalar::gelu(x, UnaryAttrs{}); }
SATIN_DEVICE float gelu_grad_of(float x, float dy) {
  return scalar::gelu_grad(x, dy, BinaryAttrs{});
}

}  // namespace satin::cuda
