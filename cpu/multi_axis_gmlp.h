// A branch of the multi-axis gMLP, its weights as given and as packed for products, and the rows of
// the plain loops: what the kernels of multi_axis_gmlp and of its gradient share.  gmlp is a branch
// with nothing around it: x takes the place of u, and what it adds to that is y.
#pragma once

#include <cmath>

#include "cpu/gmlp_group.h"
#include "tensor/layer_norm.h"
#include "tensor/multi_axis_gmlp.h"

namespace satin::cpu::SATIN_ISA {

/// Groups are shared out in this many pieces at most, whatever the number of threads, and worked at
/// by this many at a time at most.
inline int64_t pieces_of(int64_t groups) { return min_of(groups, 32); }
inline int64_t workers_of(int64_t groups) { return min_of(groups, 16); }
/// In the gradient every piece has sums of its own, which cost as much as a group or two.
inline int64_t summed_pieces_of(int64_t groups) {
  return min_of(groups, max_of(16, min_of(24, groups / 8)));
}

inline constexpr size_t kOuterWeights = 6, kOwnWeights = 10;

/// Whether a list, behind which two more may stand, holds more weights than gmlp's.
inline bool has_outer(std::span<const View> list) {
  return list.size() >= kOuterWeights + kOwnWeights;
}
/// Where the weights of branch k begin.
inline size_t own_weights(std::span<const View> list, int k) {
  return has_outer(list) ? kOuterWeights + kOwnWeights * static_cast<size_t>(k) : 0;
}

/// What belongs to one branch of a list of weights (or of their cotangents).
template <class Pointer>
struct BranchWeights {
  Pointer norm_gamma{}, norm_beta{}, w1{}, b1{}, w2{}, b2{};  ///< around the branches; null in gmlp
  Pointer gmlp_gamma, gmlp_beta, wi, bi, gate_gamma, gate_beta, p, pb, wo, bo;

  BranchWeights() = default;
  BranchWeights(std::span<const View> list, int k) {
    Pointer* const outer[] = {&norm_gamma, &norm_beta, &w1, &b1, &w2, &b2};
    Pointer* const own[] = {&gmlp_gamma, &gmlp_beta, &wi, &bi, &gate_gamma,
                            &gate_beta,  &p,         &pb, &wo, &bo};
    const size_t first = own_weights(list, k);
    for (size_t i = 0; has_outer(list) && i < kOuterWeights; ++i)
      *outer[i] = static_cast<Pointer>(list[i].data);
    for (size_t i = 0; i < kOwnWeights; ++i) *own[i] = static_cast<Pointer>(list[first + i].data);
  }
};

/// One branch: b channels, those from b0 on of W1's columns and W2's rows; in gmlp, all of x's.
template <class T>
struct Branch : BranchWeights<const T*> {
  int64_t c, b, b0, pixels;
  bool outer;  ///< LN, W1, GELU and W2 are around it: not in gmlp
  bool first;  ///< writes y; otherwise adds to it
  T eps;
  GroupPlaces places;
  const T* x;
  T* y;
  T* mixed = nullptr;  ///< P LN(b), [groups, S, b]; forward: null where nobody wants it

  Branch() = default;
  /// From the inputs behind x alone.
  Branch(std::span<const View> weights, int k) : BranchWeights<const T*>(weights, k) {
    const size_t i = own_weights(weights, k);
    c = weights[0].shape[0];
    b = weights[i].shape[0];
    b0 = k * c;
    pixels = weights[i + 7].shape[0];
    outer = has_outer(weights);
    first = k == 0;
    eps = static_cast<T>(LayerNormAttrs{}.eps);
  }
  Branch(const Call& call, int k) : Branch(call.in.subspan(1), k) {
    const Shape& image = call.in[0].shape;
    places = {image[0], image[1], image[2], 0, false};
    if (outer) {
      const auto attrs = call.as<MultiAxisGmlpAttrs>();
      places.size = attrs.size;
      places.grid =
          attrs.branches == Branches::grid_and_block ? k == 0 : attrs.branches == Branches::grid;
    } else {
      const auto attrs = call.as<GmlpAttrs>();
      places.size = attrs.size;
      places.grid = attrs.axis == GroupAxis::grid;
    }
    x = call.in[0].as<T>();
    y = call.out[0].as<T>();
    const bool back = call.op == Op::gmlp_grad || call.op == Op::multi_axis_gmlp_grad;
    T* all = back ? call.in[call.in.size() - 2].as<T>() : call.out[1].as<T>();
    if (all) mixed = all + k * places.count() * pixels * b;
  }
};

/// Rows of group g in `mixed`; null if nobody wants them.
template <class T>
T* mixed_rows(const Branch<T>& w, int64_t g) {
  return w.mixed ? w.mixed + g * w.pixels * w.b : nullptr;
}

inline int branches_of(std::span<const View> weights) {
  return weights.size() > kOuterWeights + kOwnWeights ? 2 : 1;
}

/// The weights among the gradient's inputs: what is between x and the last two.
inline std::span<const View> weights_in(const Call& call) {
  return call.in.subspan(1, call.in.size() - 3);
}

/// The cotangents of branch k's weights in the flat output.
template <class T>
BranchWeights<T*> cotangents(const Call& call, int k) {
  constexpr size_t kMost = 26;
  View parts[kMost];
  T* at = call.out[1].as<T>();
  const std::span<const View> weights = weights_in(call);
  for (size_t i = 0; i < weights.size(); ++i) {
    parts[i] = {at, weights[i].shape, weights[i].dtype};
    at += weights[i].shape.size();
  }
  return {std::span<const View>(parts, weights.size()), k};
}

/// The weights of a branch as its products want them.  The affine parts of the layer norms are
/// folded into the products behind them; what is folded is rounded once.
template <class T>
struct Packed {
  Panels<T> w1, wa, wb, out;  ///< wa, wb: the halves of Wi; out: W2 over Wo W2, or Wo
  T *gate_gamma, *gate_beta;
  T *pb, *p;  ///< pb + 1; P in blocks of a tile's rows, each along k

  Packed() = default;
  /// with_p: not on the way back.
  Packed(const Branch<T>& w, Carve<T>& from, bool with_p = true)
      : w1(w.outer ? Panels<T>::take(from, w.c, w.b) : Panels<T>{}),
        wa(Panels<T>::take(from, w.b, w.b)),
        wb(Panels<T>::take(from, w.b, w.b)),
        out(Panels<T>::take(from, w.outer ? 2 * w.b : w.b, w.c)),
        gate_gamma(from.take(wb.cols)),
        gate_beta(from.take(wb.cols)),
        pb(from.take(w.pixels)),
        p(with_p ? from.take(w.pixels * w.pixels) : nullptr),
        p_blocks_(with_p ? ceil_div(w.pixels, kTileRows) : 0) {}

  /// The first of the tasks that pack `out`, out.count() of them.
  int64_t out_task() const { return w1.count() + wa.count() + wb.count(); }
  int64_t tasks() const { return out_task() + out.count() + p_blocks_ + 1; }

  /// Packs one part.
  void pack(const Branch<T>& w, int64_t task) const {
    if (task < w1.count())
      return pack_folded(w1, task * kTileCols<T>, w.w1 + w.b0, 2 * w.c, w.b, w.b1 + w.b0,
                         w.norm_gamma, w.norm_beta);
    task -= w1.count();
    for (const Panels<T>* half : {&wa, &wb}) {
      if (task < half->count())
        return pack_folded(*half, task * kTileCols<T>, w.wi + (half == &wb ? w.b : 0), 2 * w.b, w.b,
                           w.bi + (half == &wb ? w.b : 0), w.gmlp_gamma, w.gmlp_beta);
      task -= half->count();
    }
    if (task < out.count()) return pack_out(w, task * kTileCols<T>);
    task -= out.count();
    if (task < p_blocks_) return pack_p(w, task);
    copy_padded(gate_gamma, w.gate_gamma, w.b);
    copy_padded(gate_beta, w.gate_beta, w.b);
    for (int64_t i = 0; i < w.pixels; ++i) pb[i] = w.pb[i] + T(1);
  }

 private:
  int64_t p_blocks_ = 0;

  void pack_p(const Branch<T>& w, int64_t block) const {
    const int64_t pixels = w.pixels, begin = pixels * block / p_blocks_;
    const int64_t rows = pixels * (block + 1) / p_blocks_ - begin;
    T* to = p + begin * pixels;
    for (int64_t k = 0; k < pixels; ++k)
      for (int64_t i = 0; i < rows; ++i) *to++ = w.p[(begin + i) * pixels + k];
  }
  void pack_out(const Branch<T>& w, int64_t j) const {
    const int width = out.width(j), n = static_cast<int>(min_of(width, w.c - j));
    T* bias = out.bias + j;
    if (!w.outer) {
      pack_panel(out.panel(j), w.wo + j, w.b, 1, w.b, n, width);
      return pack_panel(bias, w.bo + j, 0, 1, 1, n, width);
    }
    for (int i = 0; i < width; ++i) bias[i] = w.first && i < n ? w.b2[j + i] : T(0);
    const Panels<T> w2{w.b, width, out.panel(j), bias};
    pack_panel(w2.elements, w.w2 + w.b0 * w.c + j, w.c, 1, w.b, n, width);
    T* product = w2.elements + w.b * width;
    for_even(0, w.b, kProductRows, [&](int64_t i, int64_t rows) {
      double sums[kProductRows][kTileCols<T>];
      multiply(w.wo + i * w.b, rows, w2, sums);
      for (int64_t r = 0; r < rows; ++r)
        for (int l = 0; l < width; ++l) product[(i + r) * width + l] = static_cast<T>(sums[r][l]);
    });
    double sums[kProductRows][kTileCols<T>];
    multiply(w.bo, 1, w2, sums);
    for (int l = 0; l < width; ++l)
      bias[l] = static_cast<T>(static_cast<double>(bias[l]) + sums[0][l]);
  }

  static constexpr int kProductRows = 4;
  /// sums = `rows` rows of a, b.k values each, times the single panel b, in f64.
  static void multiply(const T* a,
                       int64_t rows,
                       const Panels<T>& b,
                       double (&sums)[kProductRows][kTileCols<T>]) {
    constexpr int kL = kLanes<double>;
    for (int64_t l = 0; l < b.cols; l += kL) {
      Vec<double> sum[kProductRows] = {};
      for (int64_t k = 0; k < b.k; ++k) {
        Vec<double> row{};
        SATIN_UNROLL
        for (int i = 0; i < kL; ++i) row[i] = static_cast<double>(b.elements[k * b.cols + l + i]);
        SATIN_UNROLL
        for (int64_t r = 0; r < kProductRows; ++r)
          sum[r] += static_cast<double>(a[min_of(r, rows - 1) * b.k + k]) * row;
      }
      for (int64_t r = 0; r < rows; ++r) store(sums[r] + l, sum[r]);
    }
  }
};

// --- rows of the plain loops ---------------------------------------------------------------

template <class T>
void plain_layer_norm(T* y, const T* x, int64_t c, T eps, const T* gamma, const T* beta) {
  T mean = 0, variance = 0;
  for (int64_t i = 0; i < c; ++i) mean += x[i];
  mean /= T(c);
  for (int64_t i = 0; i < c; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const T rstd = T(1) / std::sqrt(variance / T(c) + eps);
  for (int64_t i = 0; i < c; ++i) y[i] = gamma[i] * ((x[i] - mean) * rstd) + beta[i];
}

/// y = x w + bias for one row x of k values; w's rows lie `w_row` apart.
template <class T>
void plain_linear(
    T* y, const T* x, int64_t k, const T* w, int64_t w_row, int64_t cols, const T* bias) {
  for (int64_t j = 0; j < cols; ++j) {
    y[j] = bias ? bias[j] : T(0);
    for (int64_t i = 0; i < k; ++i) y[j] += x[i] * w[i * w_row + j];
  }
}

template <class T>
void plain_gelu(T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = scalar::gelu(x[i], UnaryAttrs{});
}

}  // namespace satin::cpu::SATIN_ISA
