// From what is summed over all pixels to the cotangents of W1 and Wi, and of the layer norms before
// them, once per branch: what the gradients of a gMLP in f32 and in bf16 share.
#pragma once

#include "cpu/multi_axis_gmlp.h"

namespace satin::cpu::SATIN_ISA {

/// The sum of a b over n values.
template <class T>
SATIN_INLINE T dot(const T* a, const T* b, int64_t n) {
  Vec<T> sum{};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) sum += load(a + i) * load(b + i);
  if (i < n) sum += load_part(a + i, n - i) * load_part(b + i, n - i);
  return sum_lanes<T>(sum);
}

/// Backward through y = (gamma h + beta) weight + bias, weight [k, parts * b]: from the sums over
/// pixels of h'dy and dy, each part of which lies for itself, to the cotangents of weight, bias,
/// gamma and beta.
template <class T>
struct NormedProductGrad {
  int64_t k, b;
  int parts;
  const T* h_dy[2];
  int64_t h_row;
  const T* dy[2];
  const T *weight, *gamma, *beta;
  int64_t row;  ///< of weight
  T *dweight, *dbias, *dgamma, *dbeta;
  bool add;  ///< to dgamma and dbeta

  void run() const {
    for (int64_t i = 0; i < k; ++i) {
      T sum_gamma = 0, sum_beta = 0;
      for (int part = 0; part < parts; ++part) {
        const T *h = h_dy[part] + i * h_row, *sum = dy[part], *of = weight + i * row + part * b;
        T* to = dweight + i * row + part * b;
        for (int64_t j = 0; j < b; ++j) to[j] = gamma[i] * h[j] + beta[i] * sum[j];
        sum_gamma += dot(of, h, b);
        sum_beta += dot(of, sum, b);
      }
      dgamma[i] = add ? dgamma[i] + sum_gamma : sum_gamma;
      dbeta[i] = add ? dbeta[i] + sum_beta : sum_beta;
    }
    for (int part = 0; part < parts; ++part)
      for (int64_t j = 0; j < b; ++j) dbias[part * b + j] = dy[part][j];
  }
};

/// Of W1.
template <class T>
NormedProductGrad<T> w1_grad(
    const Branch<T>& w, const BranchWeights<T*>& d, const T* xh_dt1, int64_t h_row, const T* dt1) {
  return {.k = w.c,
          .b = w.b,
          .parts = 1,
          .h_dy = {xh_dt1},
          .h_row = h_row,
          .dy = {dt1},
          .weight = w.w1 + w.b0,
          .gamma = w.norm_gamma,
          .beta = w.norm_beta,
          .row = 2 * w.c,
          .dweight = d.w1 + w.b0,
          .dbias = d.b1 + w.b0,
          .dgamma = d.norm_gamma,
          .dbeta = d.norm_beta,
          .add = !w.first};
}

/// Of Wi, whose parts are a's and b's halves.
template <class T>
NormedProductGrad<T> wi_grad(const Branch<T>& w,
                             const BranchWeights<T*>& d,
                             const T* const (&uh_dt2)[2],
                             int64_t h_row,
                             const T* const (&dt2)[2]) {
  return {.k = w.b,
          .b = w.b,
          .parts = 2,
          .h_dy = {uh_dt2[0], uh_dt2[1]},
          .h_row = h_row,
          .dy = {dt2[0], dt2[1]},
          .weight = w.wi,
          .gamma = w.gmlp_gamma,
          .beta = w.gmlp_beta,
          .row = 2 * w.b,
          .dweight = d.wi,
          .dbias = d.bi,
          .dgamma = d.gmlp_gamma,
          .dbeta = d.gmlp_beta,
          .add = false};
}

}  // namespace satin::cpu::SATIN_ISA
