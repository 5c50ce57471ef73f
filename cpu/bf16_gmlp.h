// What the multi-axis gMLP in bf16 and its gradient share: GELU, and the weights of a branch as the
// way forward wants them.
#pragma once

#include "cpu/bf16.h"
#include "cpu/multi_axis_gmlp.h"

namespace satin::cpu::SATIN_ISA::bf16 {

inline constexpr int64_t kGroupRows = 2 * kSide;

/// Rows that go from one product to the next together: few enough to stay in the L1 cache, enough
/// for vectors to work on some while the matrix unit is at the others.
inline int64_t chunk_rows(int64_t b) { return b <= 64 ? 2 * kGroupRows : kGroupRows; }

/// How far apart rows of n halves lie that tiles read, n whole steps: an odd number of steps.  The
/// rows of a tile would share few sets of the L1 cache otherwise.
inline int64_t apart(int64_t n) { return n / kDepth % 2 == 0 ? n + kDepth : n; }

/// The square root of Phi(-z) for z = |x| up to 4.5, as coarse as what is about to be rounded to
/// bf16 may be: max(p(z), 0) with p of degree 4.
SATIN_INLINE F coarse_root_of_phi(F z) {
  return vmath::at_least(vmath::polynomial(z, 0.7069773f, -0.278420269f, -0.0721621066f,
                                           0.0478378646f, -0.00586659461f),
                         0.0f);
}

/// gelu like vmath::gelu.  Error <= 1.9e-4 |x|, a tenth of what rounding may add.
SATIN_INLINE F coarse_gelu(F x) {
  const F z = vmath::at_most(vmath::absolute(x), 4.5f), p = coarse_root_of_phi(z);
  return vmath::at_least(x, 0.0f) - z * (p * p);
}

/// The same, and its derivative as in vmath::gelu_slope: g = p r with r of degree 5.  Error of the
/// slope <= 7.1e-4, under half of what rounding may add to it.
SATIN_INLINE F coarse_gelu_and_slope(F x, F& slope) {
  const F z = vmath::at_most(vmath::absolute(x), 4.5f), p = coarse_root_of_phi(z);
  const F g = p * vmath::polynomial(z, 0.706233144f, -0.8179515f, -0.42033112f, 0.401591241f,
                                    -0.0814723074f, 0.00407966319f);
  slope = x > 0 ? 1.0f - g : g;
  return vmath::at_least(x, 0.0f) - z * (p * p);
}

/// Rows [n, whole vectors of c] = n rows of b values times the branch's part of W2, summed in f64.
inline void times_w2(const Branch<float>& w, const float* a, int64_t n, float* to) {
  constexpr int64_t kCols = 32;
  const float* w2 = w.w2 + w.b0 * w.c;
  const int64_t row = whole_vectors<float>(w.c);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < row; j += kCols) {
      const int64_t cols = min_of(kCols, w.c - j);
      double sums[kCols] = {};
      for (int64_t k = 0; k < w.b; ++k) {
        const auto left = static_cast<double>(a[i * w.b + k]);
        const float* right = w2 + k * w.c + j;
        if (cols == kCols)
          for (int64_t l = 0; l < kCols; ++l) sums[l] += left * static_cast<double>(right[l]);
        else
          for (int64_t l = 0; l < cols; ++l) sums[l] += left * static_cast<double>(right[l]);
      }
      for (int64_t l = 0; l < min_of(kCols, row - j); ++l)
        to[i * row + j + l] = static_cast<float>(sums[l]);
    }
}

/// The right side of a product and its bias, if it has one.
struct Right {
  int64_t depth, cols;  ///< padded
  Half* elements;
  float* bias = nullptr;

  Right() = default;
  Right(Memory& from, int64_t k, int64_t n)
      : depth(up_to(k, kDepth)), cols(up_to(n, kSide)), elements(from.take<Half>(depth * cols)) {}
  static Right with_bias(Memory& from, int64_t k, int64_t n) {
    Right right(from, k, n);
    right.bias = from.take<float>(right.cols);
    return right;
  }
};

/// The weights of a branch as its products want them; layer norms' affine parts are folded in.
struct Weights {
  Right w1, ab, out;                   ///< ab: the halves of Wi side by side, padded
  float *gate_gamma, *gate_beta, *pb;  ///< pb + 1
  float* wow2;                         ///< Wo W2, rows of whole vectors
  Half* p;                             ///< rows of whole steps, whole tiles of them

  Weights() = default;
  /// with_p: not on the way back.
  Weights(const Branch<float>& w, Memory& from, bool with_p = true)
      : w1(Right::with_bias(from, w.c, w.b)),
        ab(Right::with_bias(from, w.b, 2 * up_to(w.b, kSide))),
        out(Right::with_bias(from, 2 * up_to(w.b, kDepth), w.c)),
        gate_gamma(from.take<float>(w1.cols)),
        gate_beta(from.take<float>(w1.cols)),
        pb(from.take<float>(w.pixels)),
        wow2(from.take<float>(w.b * whole_vectors<float>(w.c))),
        p(with_p ? from.take<Half>(up_to(w.pixels, kGroupRows) * apart(up_to(w.pixels, kDepth)))
                 : nullptr) {}

  static constexpr int64_t kOut = 0, kTasks = 5;  ///< kOut: out and wow2

  /// Packs one part.
  void pack(const Branch<float>& w, int64_t task) const {
    switch (task) {
      case kOut:
        return pack_out(w);
      case 1:
      case 2:
        return pack_half(w, task - 1);
      case 3:
        return fold(w1, w.w1 + w.b0, 2 * w.c, w.c, w.b, w.b1 + w.b0, w.norm_gamma, w.norm_beta);
      default:
        return pack_gate(w);
    }
  }

 private:
  void pack_half(const Branch<float>& w, int64_t half) const {
    Right to = ab;
    to.cols = w1.cols;
    to.elements += half * ab.depth * w1.cols;
    to.bias += half * w1.cols;
    fold(to, w.wi + half * w.b, 2 * w.b, w.b, w.b, w.bi + half * w.b, w.gmlp_gamma, w.gmlp_beta);
  }

  void pack_gate(const Branch<float>& w) const {
    pad_bias(gate_gamma, w.gate_gamma, w.b);
    pad_bias(gate_beta, w.gate_beta, w.b);
    for (int64_t i = 0; i < w.pixels; ++i) pb[i] = w.pb[i] + 1;
    const int64_t rows = up_to(w.pixels, kGroupRows), row = apart(up_to(w.pixels, kDepth));
    for (int64_t i = 0; p && i < rows; ++i)
      convert(p + i * row, w.p + i * w.pixels, i < w.pixels ? w.pixels : 0, row);
  }

  static void fold(const Right& to,
                   const float* w,
                   int64_t row,
                   int64_t depth,
                   int64_t cols,
                   const float* bias,
                   const float* scale,
                   const float* shift) {
    pack_right(to.elements, depth, cols,
               [&](int64_t k, int64_t j) { return w[k * row + j] * scale[k]; });
    for (int64_t j = 0; j < to.cols; ++j) {
      double sum = j < cols ? static_cast<double>(bias[j]) : 0;
      for (int64_t k = 0; k < depth && j < cols; ++k)
        sum += static_cast<double>(shift[k]) * static_cast<double>(w[k * row + j]);
      to.bias[j] = static_cast<float>(sum);
    }
  }

  /// W2 over Wo W2; bias b2 (once) + bo W2.
  void pack_out(const Branch<float>& w) const {
    const float* w2 = w.w2 + w.b0 * w.c;
    const int64_t half = up_to(w.b, kDepth);
    times_w2(w, w.wo, w.b, wow2);
    times_w2(w, w.bo, 1, out.bias);
    pack_right(out.elements, 2 * half, w.c, [&](int64_t k, int64_t j) {
      const int64_t i = k % half;
      return i >= w.b ? 0.0f : k < half ? w2[i * w.c + j] : wow2[i * whole_vectors<float>(w.c) + j];
    });
    for (int64_t j = 0; j < out.cols; ++j)
      out.bias[j] = j < w.c ? out.bias[j] + (w.first ? w.b2[j] : 0.0f) : 0.0f;
  }
};

}  // namespace satin::cpu::SATIN_ISA::bf16
