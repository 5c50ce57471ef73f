// What the gradient of rcab consists of beside its passes over a picture: signs of h, the flat
// output, the attention's derivative, LN' of some rows; and the layout of the fast way in f32.
#pragma once

#include "cpu/rcab.h"

namespace satin::cpu::SATIN_ISA {

/// Which lanes are above 0, a bit each; and a choice by them.
template <class T>
SATIN_INLINE uint16_t positive(Vec<T> x) {
#if defined(__AVX512F__) && !defined(__clang__)
  if constexpr (sizeof(T) == 4)
    return static_cast<uint16_t>(__builtin_ia32_cmpps512_mask(x, Vec<T>{}, 14, -1, 4));  // >
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return static_cast<uint16_t>(__builtin_ia32_movmskps256(reinterpret_cast<Vec<T>>(x > 0)));
#endif
  uint16_t bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits |= static_cast<uint16_t>(x[i] > 0 ? 1 << i : 0);
  return bits;
}
template <class T>
SATIN_INLINE Vec<T> choose(uint16_t bits, Vec<T> yes, Vec<T> no) {
  using I = typename VecTypes<T>::Index;
  I lanes;
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = 1 << i;
  return ((I{} + bits) & lanes) != 0 ? yes : no;
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

/// The sums of z and of z dy, which are linear in h, from G and the sums of h: row(k) and sum(k)
/// for k = (tap, channel).
template <class T, class Row, class Sum>
void sum_z(const Call& call, const Attention<T>& t, Row row, Sum sum) {
  const RcabProblem<T> p(call);
  const int64_t c = p.c;
  const T *w2 = call.in[5].as<T>(), *b2 = call.in[6].as<T>();
  for (int64_t i = 0; i < c; ++i) {
    t.z[i] = static_cast<T>(p.h * p.w) * b2[i];
    t.z_dy[i] = b2[i] * t.dy[i];
  }
  for (int64_t k = 0; k < 9 * c; ++k) {
    const T of_h = sum(k), *w = w2 + k * c, *g = row(k);
    int64_t i = 0;
    for (; i + kLanes<T> <= c; i += kLanes<T>) {
      store(t.z + i, load(t.z + i) + load(w + i) * of_h);
      store(t.z_dy + i, load(t.z_dy + i) + load(w + i) * load(g + i));
    }
    for (; i < c; ++i) {
      t.z[i] += w[i] * of_h;
      t.z_dy[i] += w[i] * g[i];
    }
  }
}

/// What an image adds to a row of dw2.
template <class T>
void add_w2_row(const Attention<T>& t, const T* g, T of_h, T* dw, int64_t c) {
  int64_t i = 0;
  for (; i + kLanes<T> <= c; i += kLanes<T>)
    store(dw + i, load(dw + i) + (load(t.a + i) * load(g + i) + load(t.mean_grad + i) * of_h));
  for (; i < c; ++i) dw[i] += t.a[i] * g[i] + t.mean_grad[i] * of_h;
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

/// Sums of h over an image or a part of it.  First over all pixels, over the first and the last
/// row, the first and the last column, and the four corners; then of what each tap of conv2 meets.
template <class T>
struct HiddenSums {
  enum { kAll, kFirstRow, kLastRow, kFirstCol, kLastCol, kCorners };
  const RcabProblem<T>& p;
  T* at;  ///< nine vectors
  int64_t vector;

  /// A tile of h at pixel (i, j): 4x4, `pixel` apart, zeros outside the image; and its signs.
  void add(const T* tile, int64_t pixel, int64_t i, int64_t j, uint16_t* signs) const {
    const int64_t last_row = p.h - 1 - i, last_col = p.w - 1 - j;
    for (int64_t k = 0; k < p.c; k += kLanes<T>, signs += 16) {
      Vec<T> all{};
      SATIN_UNROLL
      for (int r = 0; r < 16; ++r) {
        const Vec<T> h = load(tile + r * pixel + k);
        signs[r] = positive<T>(h);
        all += h;
      }
      const auto to = [&](int64_t which, Vec<T> x) {
        T* sum = at + which * vector + k;
        store(sum, load(sum) + x);
      };
      const auto h = [&](int64_t r, int64_t c) { return load(tile + (r * 4 + c) * pixel + k); };
      const auto row = [&](int64_t r) { return (h(r, 0) + h(r, 1)) + (h(r, 2) + h(r, 3)); };
      const auto col = [&](int64_t c) { return (h(0, c) + h(1, c)) + (h(2, c) + h(3, c)); };
      to(kAll, all);
      if (i == 0) to(kFirstRow, row(0));
      if (last_row < 4) to(kLastRow, row(last_row));
      if (j == 0) to(kFirstCol, col(0));
      if (last_col < 4) to(kLastCol, col(last_col));
      if (i == 0 && j == 0) to(kCorners, h(0, 0));
      if (i == 0 && last_col < 4) to(kCorners + 1, h(0, last_col));
      if (last_row < 4 && j == 0) to(kCorners + 2, h(last_row, 0));
      if (last_row < 4 && last_col < 4) to(kCorners + 3, h(last_row, last_col));
    }
  }

  /// Pixels whose neighbor lies outside do not count.
  void to_taps() const {
    for (int64_t i = 0; i < p.c; ++i) {
      T v[9];
      for (int64_t k = 0; k < 9; ++k) v[k] = at[k * vector + i];
      for (int64_t tap = 0; tap < 9; ++tap) {
        const int64_t r = tap / 3, c = tap % 3;  // 0: without the last one, 2: without the first
        T sum = v[kAll];
        if (r != 1) sum -= v[r == 0 ? kLastRow : kFirstRow];
        if (c != 1) sum -= v[c == 0 ? kLastCol : kFirstCol];
        if (r != 1 && c != 1) sum += v[kCorners + (r == 0) * 2 + (c == 0)];
        at[tap * vector + i] = sum;
      }
    }
  }
};

/// G from the products of dy's neighborhoods with h, which turn taps around and exchange channels:
/// of one tap, c x c.
template <class T>
void turn_products(const T* from, T* to, int64_t tap, int64_t c) {
  from += (8 - tap) * c * c, to += tap * c * c;
  for (int64_t i0 = 0; i0 < c; i0 += kLanes<T>)
    for (int64_t j0 = 0; j0 < c; j0 += kLanes<T>) {
      if (i0 + kLanes<T> <= c && j0 + kLanes<T> <= c) {
        Vec<T> v[kLanes<T>];
        SATIN_UNROLL
        for (int i = 0; i < kLanes<T>; ++i) v[i] = load(from + (i0 + i) * c + j0);
        transpose<T>(v);
        SATIN_UNROLL
        for (int i = 0; i < kLanes<T>; ++i) store(to + (j0 + i) * c + i0, v[i]);
        continue;
      }
      for (int64_t i = i0; i < min_of(c, i0 + kLanes<T>); ++i)
        for (int64_t j = j0; j < min_of(c, j0 + kLanes<T>); ++j) to[j * c + i] = from[i * c + j];
    }
}

/// What the shapes decide about the gradient's fast way: how an image is cut, and how its memory
/// is.
template <class T>
struct RcabGradLayout : RcabStrips<T> {
  using RcabStrips<T>::kWorkers, RcabStrips<T>::size, RcabStrips<T>::tile_rows,
      RcabStrips<T>::tile_cols, RcabStrips<T>::strips, RcabStrips<T>::depth, RcabStrips<T>::workers;

  explicit RcabGradLayout(const Call& call) : RcabStrips<T>(call) {}

  static constexpr int64_t kSumsBytes = 24 << 20, kRowSums = 9, kStripSums = 10;

  /// Sums of products side by side.
  const int64_t sets =
      max_of(1,
             min_of(min_of(kWorkers, this->n* strips),
                    kSumsBytes / (size.sums_size() * static_cast<int64_t>(sizeof(T)))));
  /// For G: pieces of an image, and images.
  const int64_t pieces = min_of(strips, sets), round = max_of(1, min_of(this->n, sets / pieces));

  // Rings of rows of pixels in whole vectors, one of zeros before and at least one behind.
  int64_t pixel() const { return whole_vectors<T>(this->c); }
  int64_t row() const {
    return Winograd<T>::odd_lines((tile_cols * 4 + 2) * pixel() + kLanes<T>, 1);
  }
  int64_t ring_rows() const { return 4 * depth + 8; }
  int64_t ring() const { return ring_rows() * row(); }
  int64_t step() const { return Winograd<T>::odd_lines(4 * depth * this->w * pixel(), 1); }
  int64_t more() const {
    return Winograd<T>::odd_lines(
        2 * pixel() + normalize_back_scratch<T>(*this, 4 * depth * this->w), 1);
  }
  int64_t slot() const { return 3 * ring() + 2 * size.block_size() + step() + more(); }
  /// Of a tile, 16 bits for every vector; of all, in elements.
  int64_t tile_signs() const { return 16 * pixel() / kLanes<T>; }
  int64_t signs() const {
    return Winograd<T>::odd_lines(
        ceil_div(this->n * tile_rows * tile_cols * tile_signs() * 2, sizeof(T)), 1);
  }
  int64_t vector() const { return Winograd<T>::odd_lines(max_of(this->c, this->r), 1); }
  int64_t vectors() const { return 2 + this->n * (5 + kStripSums * strips); }
  int64_t products() const { return Winograd<T>::odd_lines(9 * this->c * this->c, 1); }
  int64_t scratch() const {
    return signs() + 2 * size.weights_size() + sets * size.sums_size() + 2 * round * products() +
           vectors() * vector() + workers() * slot();
  }
};

/// The gradient's fast way (rcab_grad.cpp); scratch in elements.
template <class T>
void fast_rcab_grad(const Call& call);
template <class T>
int64_t fast_rcab_grad_scratch(const Call& call);

}  // namespace satin::cpu::SATIN_ISA
