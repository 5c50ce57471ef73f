// What rcab and its gradient share: the shapes, LN of some rows and the attention.
#pragma once

#include "cpu/gmlp_group.h"
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

/// How the fast ways in f32 cut images.
template <class T>
struct RcabStrips : RcabProblem<T> {
  explicit RcabStrips(const Call& call)
      : RcabProblem<T>(call), size(Winograd<T>::of(this->c, this->c)) {}

  static constexpr int64_t kWorkers = 8, kLeastRows = 4;

  const Winograd<T> size;
  const int64_t tile_rows = ceil_div(this->h, 4), tile_cols = ceil_div(this->w, 4);
  /// Strips of an image: work for all, but some rows and half a block of tiles at least.
  const int64_t strips =
      max_of(1,
             min_of(ceil_div(kWorkers, max_of(1, this->n)),
                    min_of(tile_rows / kLeastRows, 2 * tile_rows * tile_cols / size.tiles)));
  /// Rows of tiles in one step: several if they are short.
  const int64_t depth =
      max_of(1, min_of(size.tiles / max_of(1, tile_cols), ceil_div(tile_rows, strips)));

  int64_t workers() const { return min_of(kWorkers, this->n * strips); }
};

/// y rows [0, rows) = LN of x rows.
template <class T>
void normalize(const Call& call, const T* x, T* y, int64_t rows) {
  const RcabProblem<T> p(call);
  if (!wants_plain(call) && p.c % kLanes<T> == 0) {
    const T *gamma = call.in[1].as<T>(), *beta = call.in[2].as<T>();
    const int64_t c = p.c;
    return normalize_rows(
        x, c, rows, c, static_cast<T>(LayerNormAttrs{}.eps),
        [&](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
          store(y + r * c + j, load(gamma + j) * h + load(beta + j));
        });
  }
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

/// y = x + y * attention for some pixels, of far memory all of it: fetched four pages ahead it
/// comes nearly twice as fast.
template <class T>
void add_scaled(T* y, const T* x, int64_t pixels, int64_t c, const T* attention) {
  constexpr int64_t kAhead = 16384 / sizeof(T);
  for (int64_t p = 0; p < pixels; ++p, x += c, y += c) {
    int64_t i = 0;
    for (; i + kLanes<T> <= c; i += kLanes<T>) {
      prefetch(x + i + kAhead);
      prefetch(y + i + kAhead);
      store(y + i, load(x + i) + load(y + i) * load(attention + i));
    }
    for (; i < c; ++i) y[i] = x[i] + y[i] * attention[i];
  }
}

}  // namespace satin::cpu::SATIN_ISA
