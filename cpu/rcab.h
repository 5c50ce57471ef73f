// What rcab and its gradient share: the shapes, LN of some rows and the attention, and their
// derivatives.
#pragma once

#include "cpu/winograd.h"
#include "tensor/layer_norm.h"
#include "tensor/rcab.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA {

template <class T>
struct RcabProblem {
  explicit RcabProblem(const Call& call)
      : n(call.in[0].shape[0]),
        h(call.in[0].shape[1]),
        w(call.in[0].shape[2]),
        c(call.in[0].shape[3]),
        r(call.in[7].shape[1]),
        slope(static_cast<T>(call.as<RcabAttrs>().slope)) {}
  int64_t n, h, w, c, r;
  T slope;
};

/// y rows [0, rows) = LN of x rows.
template <class T>
void normalize(const Call& call, const T* x, T* y, int64_t rows) {
  const RcabProblem<T> p(call);
  const Attrs attrs{LayerNormAttrs{}};
  const Exec alone{.pool = nullptr, .profiler = nullptr, .plain = call.exec->plain};
  const Shape shape = {rows, p.c};
  const View in[] = {{const_cast<T*>(x), shape, call.in[0].dtype}, call.in[1], call.in[2]};
  const View out[] = {{y, shape, call.in[0].dtype}};
  layer_norm({Op::layer_norm, &attrs, in, out, nullptr, &alone});
}

/// attention = sigmoid(K2 hidden + b2), hidden = relu(K1 mean + b1) of one image, from the sums
/// over its pixels.  hidden: [R].  In f64, which costs nothing here: one value for a whole picture
/// should not carry the rounding errors of many.
template <class T, class Sum>
void attend(const Call& call, const Sum* sums, T* hidden, T* attention) {
  const RcabProblem<T> p(call);
  const T *k1 = call.in[7].as<T>(), *b1 = call.in[8].as<T>();
  const T *k2 = call.in[9].as<T>(), *b2 = call.in[10].as<T>();
  const auto wide = [](auto x) { return static_cast<double>(x); };
  const double pixels = wide(p.h * p.w);
  for (int64_t j = 0; j < p.r; ++j) {
    double sum = wide(b1[j]);
    for (int64_t i = 0; i < p.c; ++i) sum += wide(sums[i]) / pixels * wide(k1[i * p.r + j]);
    hidden[j] = static_cast<T>(scalar::relu(sum, {}));
  }
  for (int64_t i = 0; i < p.c; ++i) {
    double sum = wide(b2[i]);
    for (int64_t j = 0; j < p.r; ++j) sum += wide(hidden[j]) * wide(k2[j * p.c + i]);
    attention[i] = static_cast<T>(scalar::sigmoid(sum, {}));
  }
}

template <class T>
void zero(T* from, const T* to) {
  for (; from < to; ++from) *from = T{0};
}

/// Where the cotangents of the weights begin in the flat output.
template <class T>
struct Flat {
  T *gamma, *beta, *w1, *b1, *w2, *b2, *k1, *kb1, *k2, *kb2, *end;

  Flat(const RcabProblem<T>& p, T* dw)
      : gamma(dw),
        beta(gamma + p.c),
        w1(beta + p.c),
        b1(w1 + 9 * p.c * p.c),
        w2(b1 + p.c),
        b2(w2 + 9 * p.c * p.c),
        k1(b2 + p.c),
        kb1(k1 + p.c * p.r),
        k2(kb1 + p.r),
        kb2(k2 + p.r * p.c),
        end(kb2 + p.c) {}
};

/// What one image's attention needs: vectors of C (R: hidden).
template <class T>
struct Attention {
  T *z, *z_dy, *dy;           ///< sums over pixels
  T *hidden, *a, *mean_grad;  ///< mean_grad: dm / pixels
};

/// From the sums to a and dm / pixels; adds to the cotangents of the attention's weights and of b2.
template <class T>
void attend_back(const Call& call, const Attention<T>& t, const Flat<T>& d) {
  const RcabProblem<T> p(call);
  const T *k1 = call.in[7].as<T>(), *k2 = call.in[9].as<T>();
  const T pixels = static_cast<T>(p.h * p.w);
  attend(call, t.z, t.hidden, t.a);
  for (int64_t i = 0; i < p.c; ++i) t.mean_grad[i] = T{0};
  for (int64_t j = 0; j < p.r; ++j) {
    T sum = 0;
    for (int64_t i = 0; i < p.c; ++i) {
      const T dv = t.z_dy[i] * t.a[i] * (1 - t.a[i]);
      d.k2[j * p.c + i] += t.hidden[j] * dv;
      sum += k2[j * p.c + i] * dv;
    }
    if (!(t.hidden[j] > 0)) continue;
    d.kb1[j] += sum;
    for (int64_t i = 0; i < p.c; ++i) {
      d.k1[i * p.r + j] += t.z[i] / pixels * sum;
      t.mean_grad[i] += k1[i * p.r + j] * sum / pixels;
    }
  }
  for (int64_t i = 0; i < p.c; ++i) {
    d.kb2[i] += t.z_dy[i] * t.a[i] * (1 - t.a[i]);
    d.b2[i] += t.a[i] * t.dy[i] + t.mean_grad[i] * pixels;
  }
}

/// dx = LN'(dn) for some pixels; adds to dgamma and dbeta.  scratch: normalize_back_scratch.
template <class T>
void normalize_back(
    const Call& call, const T* x, const T* dn, T* dx, int64_t pixels, T* dgamma_beta, T* scratch) {
  const RcabProblem<T> p(call);
  const Attrs attrs{LayerNormAttrs{}};
  const Exec alone{.pool = nullptr, .profiler = nullptr, .plain = call.exec->plain};
  const Shape shape = {pixels, p.c}, vector = {p.c};
  const DType t = call.in[0].dtype;
  const View in[] = {{const_cast<T*>(x), shape, t}, call.in[1], {const_cast<T*>(dn), shape, t}};
  const View out[] = {{dx, shape, t}, {scratch, vector, t}, {scratch + p.c, vector, t}};
  layer_norm_grad({Op::layer_norm_grad, &attrs, in, out, scratch + 2 * p.c, &alone});
  for (int64_t i = 0; i < 2 * p.c; ++i) dgamma_beta[i] += scratch[i];
}

template <class T>
int64_t normalize_back_scratch(const RcabProblem<T>& p, int64_t pixels) {
  return 2 * p.c * (1 + ceil_div(pixels, 1024));  // layer_norm_grad_scratch, and its sums
}

/// What the shapes decide about the gradient's fast way: how an image is cut, and how its memory
/// is.
template <class T>
struct RcabGradLayout : RcabProblem<T> {
  explicit RcabGradLayout(const Call& call)
      : RcabProblem<T>(call),
        size(Winograd<T>::of(this->c, this->c)),
        sums(Winograd<T>::for_sums(this->c, this->c)) {}

  static constexpr int64_t kWorkers = 8, kLeastRows = 4, kSumsBytes = 24 << 20;
  static constexpr int64_t kRowSums = 9, kStripSums = 10;

  const Winograd<T> size, sums;
  const int64_t tile_rows = ceil_div(this->h, 4), tile_cols = ceil_div(this->w, 4);
  const int64_t strips =
      max_of(1,
             min_of(ceil_div(kWorkers, max_of(1, this->n)),
                    min_of(tile_rows / kLeastRows, 2 * tile_rows * tile_cols / size.tiles)));
  /// Rows of tiles in one step of a convolution, and of sums of products.
  const int64_t depth = depth_of(size), sums_depth = depth_of(sums);
  /// Sums of products side by side.
  const int64_t sets =
      max_of(1,
             min_of(min_of(kWorkers, this->n* strips),
                    kSumsBytes / (sums.sums_size() * static_cast<int64_t>(sizeof(T)))));
  /// For G: pieces of an image, and images.
  const int64_t pieces = min_of(strips, sets), round = max_of(1, min_of(this->n, sets / pieces));

  int64_t workers() const { return min_of(kWorkers, this->n * strips); }

  // Rows of pixels in whole vectors, one of zeros before and at least one behind; images of such
  // rows have one of zeros above and below.
  int64_t pixel() const { return whole_vectors<T>(this->c); }
  int64_t row() const {
    return Winograd<T>::odd_lines((tile_cols * 4 + 2) * pixel() + kLanes<T>, 1);
  }
  int64_t image() const { return (4 * tile_rows + 2) * row(); }
  int64_t ring_rows() const { return 4 * max_of(depth, sums_depth) + 4; }
  int64_t step_pixels() const { return 4 * depth * this->w; }

  int64_t slot() const {
    return ring_rows() * row() + step_pixels() * pixel() + size.block_size() +
           2 * sums.block_size() +
           Winograd<T>::odd_lines(normalize_back_scratch<T>(*this, step_pixels()), 1);
  }
  int64_t vector() const { return Winograd<T>::odd_lines(max_of(this->c, this->r), 1); }
  int64_t vectors() const { return 2 + this->n * (5 + kStripSums * strips); }
  int64_t products() const { return Winograd<T>::odd_lines(9 * this->c * this->c, 1); }
  int64_t scratch() const {
    return this->n * image() + 2 * size.weights_size() + sets * sums.sums_size() +
           round * products() + vectors() * vector() + workers() * slot();
  }

 private:
  int64_t depth_of(const Winograd<T>& block) const {
    return max_of(1, min_of(block.tiles / max_of(1, tile_cols), ceil_div(tile_rows, strips)));
  }
};

/// The gradient's fast way (rcab_grad.cpp); scratch in elements.
template <class T>
void fast_rcab_grad(const Call& call);
template <class T>
int64_t fast_rcab_grad_scratch(const Call& call);

}  // namespace satin::cpu::SATIN_ISA
