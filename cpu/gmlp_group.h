// What the fused kernels around a gMLP share: where the pixels of a group lie, weights packed as
// panels, and the three things done to rows between products (gather, layer norm, GELU).
//
// A group of S pixels stays in the cache from its first read to its last write.  Inside, rows are
// padded to whole vectors with zeros, and no product has an edge: every matrix is packed with its
// columns padded likewise.  Start reading at multi_axis_gmlp.cpp.
#pragma once

#include "cpu/gemm.h"
#include "cpu/vmath.h"
#include "tensor/gmlp.h"

namespace satin::cpu::SATIN_ISA {

/// Rows of a group that go from one product to the next together: they stay in the L1 cache.
inline constexpr int64_t kChunkRows = 64;

/// The groups of an image [N, H, W, C], cut by blocks or by a grid.
struct GroupPlaces {
  int64_t images, h, w, size;
  bool grid;

  int64_t count() const { return images * (h / size) * (w / size); }
  int64_t pixels() const { return size * size; }
};

/// Goes through the pixels of a group in order.
class Walk {
 public:
  Walk(const GroupPlaces& p, int64_t g)
      : size_(p.size),
        step_(p.grid ? p.w / p.size : 1),
        next_row_((p.grid ? p.h / p.size : 1) * p.w - p.size * step_) {
    const int64_t down = p.h / p.size, across = p.w / p.size;
    const int64_t col = g % across, row = g / across % down, image = g / (across * down);
    at_ = image * p.h * p.w + (row * p.w + col) * (p.grid ? 1 : p.size);
  }
  /// The next pixel, counted over all images.
  SATIN_INLINE int64_t take() {
    const int64_t at = at_;
    at_ += step_;
    if (++col_ == size_) {
      col_ = 0;
      at_ += next_row_;
    }
    return at;
  }

 private:
  int64_t size_, step_, next_row_, at_, col_ = 0;
};

/// Hands out pieces of scratch; without any it measures what is needed, and hands out null.
template <class T>
class Carve {
 public:
  Carve() = default;
  explicit Carve(T* from) : from_(from), measures_(false) {}
  T* take(int64_t elements) {
    T* piece = measures_ ? nullptr : from_ + at_;
    at_ += ceil_div(elements, kAlign) * kAlign;
    return piece;
  }
  int64_t taken() const { return at_; }

 private:
  static constexpr int64_t kAlign = 64 / static_cast<int64_t>(sizeof(T));
  T* from_ = nullptr;
  bool measures_ = true;
  int64_t at_ = 0;
};

/// The right side of products: k rows, columns padded to whole vectors, in panels of a tile's
/// width one after the other; and a bias for every column.
template <class T>
struct Panels {
  int64_t k = 0, cols = 0;
  T* elements = nullptr;
  T* bias = nullptr;

  static Panels take(Carve<T>& from, int64_t k, int64_t cols) {
    Panels p{k, whole_vectors<T>(cols)};
    p.elements = from.take(p.k * p.cols);
    p.bias = from.take(p.cols);
    return p;
  }
  int64_t count() const { return ceil_div(cols, kTileCols<T>); }
  int width(int64_t j) const { return static_cast<int>(min_of(kTileCols<T>, cols - j)); }
  T* panel(int64_t j) const { return elements + k * j; }
  T* at(int64_t row, int64_t col) const {
    const int64_t j = col / kTileCols<T> * kTileCols<T>;
    return panel(j) + row * width(j) + (col - j);
  }
};

/// c = a * panel j + its bias: `rows` (at most kTileRows) rows of a, `runs` runs of k / runs
/// values, a_run apart.
template <class T>
SATIN_INLINE void product_tile(const T* a,
                               int64_t a_row,
                               const Panels<T>& b,
                               int64_t j,
                               T* c,
                               int64_t c_row,
                               int64_t rows,
                               int64_t runs = 1,
                               int64_t a_run = 0) {
  Tile<T> t{};
  t.a = a;
  t.a_row = a_row;
  t.a_k = 1;
  t.b = b.panel(j);
  t.b_k = b.width(j);
  t.outer = runs;
  t.inner = 1;
  t.len = b.k / runs;
  t.a_outer = a_run;
  t.b_outer = t.len * t.b_k;
  t.c = c;
  t.c_row = c_row;
  t.rows = static_cast<int>(rows);
  t.cols = b.width(j);
  t.bias = b.bias + j;
  tile(t);
}

/// Panel j of `to` = columns [j, ...) of b [k, ...] (b_row apart, `cols` of them in all), row by
/// row times scale if given; its bias = bias + shift b: a layer norm's affine part moved into the
/// product behind it.
template <class T>
void pack_folded(const Panels<T>& to,
                 int64_t j,
                 const T* b,
                 int64_t b_row,
                 int64_t cols,
                 const T* bias,
                 const T* scale,
                 const T* shift) {
  const int width = to.width(j), n = static_cast<int>(min_of(width, cols - j));
  T* panel = to.panel(j);
  pack_panel(panel, b + j, b_row, 1, to.k, n, width);
  pack_panel(to.bias + j, bias + j, 0, 1, 1, n, width);
  double sums[kTileCols<T>] = {};
  for (int64_t k = 0; k < to.k; ++k, panel += width)
    for (int i = 0; i < width; ++i) {
      sums[i] += static_cast<double>(shift[k]) * static_cast<double>(panel[i]);
      panel[i] *= scale[k];
    }
  for (int i = 0; i < width; ++i)
    to.bias[j + i] = static_cast<T>(static_cast<double>(to.bias[j + i]) + sums[i]);
}

/// Copies n values and fills up the last vector with zeros.
template <class T>
SATIN_INLINE void copy_padded(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(to + i, load(from + i));
  if (i < n) store(to + i, load_part(from + i, n - i));
}

/// Copies n values to where nobody reads them soon; settle() follows.
template <class T>
SATIN_INLINE void copy_row_far(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store_far(to + i, load(from + i));
  for (; i < n; ++i) to[i] = from[i];
}

/// y = a + b, n values; y may be a.
template <class T>
SATIN_INLINE void sum_row(T* y, const T* a, const T* b, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(y + i, load(a + i) + load(b + i));
  for (; i < n; ++i) y[i] = a[i] + b[i];
}

template <class T>
SATIN_INLINE Vec<T> gelu_vector(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    return vmath::gelu(x);
  } else {
    for (int i = 0; i < kLanes<T>; ++i) x[i] = scalar::gelu(x[i], UnaryAttrs{});
    return x;
  }
}

template <class T>
SATIN_INLINE Vec<T> gelu_and_slope_vector(Vec<T> x, Vec<T>& slope) {
  if constexpr (sizeof(T) == 4) {
    return vmath::gelu_and_slope(x, slope);
  } else {
    for (int i = 0; i < kLanes<T>; ++i) {
      slope[i] = scalar::gelu_grad(x[i], T(1), BinaryAttrs{});
      x[i] = scalar::gelu(x[i], UnaryAttrs{});
    }
    return x;
  }
}

/// GELU over what a tile has just written, in place.
template <class T>
SATIN_INLINE void gelu_tile(T* c, int64_t row, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; j += kLanes<T>)
      store(c + i * row + j, gelu_vector<T>(load(c + i * row + j)));
}

/// The same to rows of `to` just as far apart; its derivative stays in place.
template <class T>
SATIN_INLINE void gelu_tile_with_slopes(T* c, T* to, int64_t row, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; j += kLanes<T>) {
      Vec<T> slope;
      store(to + i * row + j, gelu_and_slope_vector<T>(load(c + i * row + j), slope));
      store(c + i * row + j, slope);
    }
}

/// (x - mean) / standard deviation of padded rows of c values; V: vectors of a row, 0 if any
/// number.  to(r, j, h) gets the vectors h of row r, padded with zeros, from column j on; rstds the
/// factors if given.
template <class T, int V, class To>
SATIN_INLINE void normalize_rows_of(
    const T* x, int64_t x_row, int64_t rows, int64_t c, T eps, To to, T* rstds) {
  constexpr int kL = kLanes<T>;
  const int64_t padded = V > 0 ? V * kL : whole_vectors<T>(c);
  const T extent = static_cast<T>(c);
  Vec<T> last = splat<T>(1);  // 0 in the padding
  if constexpr (V == 0)
    for (int64_t i = c; i < padded; ++i) last[i - (padded - kL)] = 0;
  const auto centered = [&](const T* row, int64_t j, Vec<T> mean) __attribute__((always_inline)) {
    const Vec<T> d = load(row + j) - mean;
    return V == 0 && j + kL == padded ? d * last : d;
  };
  T mean[kL], rstd[kL];
  for (int64_t first = 0; first < rows; first += kL) {
    const int64_t count = min_of(kL, rows - first);
    Vec<T> sums[kL];
    for (int64_t r = 0; r < kL; ++r) {  // a last group that is not full reads its last row again
      const T* row = x + (first + min_of(r, count - 1)) * x_row;
      Vec<T> sum{};
      for (int64_t j = 0; j < padded; j += kL) sum += load(row + j);
      sums[r] = sum;
    }
    store(mean, sum_across<T>(sums) / extent);
    for (int64_t r = 0; r < kL; ++r) {
      const T* row = x + (first + min_of(r, count - 1)) * x_row;
      const Vec<T> m = splat<T>(mean[r]);
      Vec<T> sum{};
      for (int64_t j = 0; j < padded; j += kL) {
        const Vec<T> d = centered(row, j, m);
        sum += d * d;
      }
      sums[r] = sum;
    }
    store(rstd, static_cast<T>(1) / square_root<T>(sum_across<T>(sums) / extent + eps));
    for (int64_t r = 0; r < count; ++r) {
      const T* row = x + (first + r) * x_row;
      const Vec<T> m = splat<T>(mean[r]), s = splat<T>(rstd[r]);
      if (rstds) rstds[first + r] = rstd[r];
      for (int64_t j = 0; j < padded; j += kL) to(first + r, j, centered(row, j, m) * s);
    }
  }
}

template <class T, class To>
SATIN_INLINE void normalize_rows(
    const T* x, int64_t x_row, int64_t rows, int64_t c, T eps, To to, T* rstds = nullptr) {
  switch (c) {
    case 32:
      return normalize_rows_of<T, 32 / kLanes<T>>(x, x_row, rows, c, eps, to, rstds);
    case 64:
      return normalize_rows_of<T, 64 / kLanes<T>>(x, x_row, rows, c, eps, to, rstds);
    case 128:
      return normalize_rows_of<T, 128 / kLanes<T>>(x, x_row, rows, c, eps, to, rstds);
    default:
      return normalize_rows_of<T, 0>(x, x_row, rows, c, eps, to, rstds);
  }
}

/// Reads vectors of rows that lie `row` apart, for normalize_back.
template <class T>
SATIN_INLINE auto rows_at(const T* h, int64_t row) {
  return [=](int64_t r, int64_t j) __attribute__((always_inline)) { return load(h + r * row + j); };
}

/// The derivative: from g (the cotangent of h, times gamma if given), padded, and h(r, j), a vector
/// of row r from column j on, to(r, j, d) gets rstd (g - mean(g) - h mean(g h)).
template <class T, class Normalized, class To>
SATIN_INLINE void normalize_back(const T* g,
                                 int64_t g_row,
                                 Normalized h,
                                 const T* rstds,
                                 const T* gamma,
                                 int64_t rows,
                                 int64_t c,
                                 To to) {
  constexpr int kL = kLanes<T>;
  const int64_t padded = whole_vectors<T>(c);
  const auto scaled = [&](int64_t r, int64_t j) __attribute__((always_inline)) {
    const Vec<T> d = load(g + r * g_row + j);
    return gamma ? load(gamma + j) * d : d;
  };
  T mean_g[kL], mean_gh[kL];
  for (int64_t first = 0; first < rows; first += kL) {
    const int64_t count = min_of(kL, rows - first);
    Vec<T> sums_g[kL], sums_gh[kL];
    for (int64_t r = count; r < kL; ++r) sums_g[r] = sums_gh[r] = Vec<T>{};
    for (int64_t r = 0; r < count; ++r) {
      const int64_t row = first + r;
      Vec<T> sum_g{}, sum_gh{};
      for (int64_t j = 0; j < padded; j += kL) {
        const Vec<T> d = scaled(row, j);
        sum_g += d;
        sum_gh += d * h(row, j);
      }
      sums_g[r] = sum_g;
      sums_gh[r] = sum_gh;
    }
    store(mean_g, sum_across<T>(sums_g) / static_cast<T>(c));
    store(mean_gh, sum_across<T>(sums_gh) / static_cast<T>(c));
    for (int64_t r = 0; r < count; ++r) {
      const int64_t row = first + r;
      const Vec<T> s = splat<T>(rstds[row]), a = splat<T>(mean_g[r]), b = splat<T>(mean_gh[r]);
      for (int64_t j = 0; j < padded; j += kL) to(row, j, s * (scaled(row, j) - a - h(row, j) * b));
    }
  }
}

/// Copies the pixels of a group side by side, a few at a time between the products of the group
/// before it.  A pixel is fetched one turn before it is copied; fetched any earlier, pixels of a
/// grid would drive each other out of the cache, lying multiples of 4 KiB apart.
template <class T>
class Gather {
 public:
  /// Pixels of c elements from x to rows of `to`, to_row apart, in at most `turns` turns; nothing
  /// if there is no such group.
  Gather(const GroupPlaces& places,
         int64_t g,
         const T* x,
         int64_t c,
         T* to,
         int64_t to_row,
         int64_t turns,
         bool exists)
      : x_(x),
        c_(c),
        to_(to),
        to_row_(to_row),
        left_(exists ? places.pixels() : 0),
        few_(ceil_div(left_, max_of(1, turns - 1))),
        fetch_(places, g),
        copy_(places, g) {}

  SATIN_INLINE void some() {
    for (; fetched_ > 0; --fetched_, to_ += to_row_) copy_padded(to_, x_ + copy_.take() * c_, c_);
    for (; fetched_ < few_ && left_ > 0; ++fetched_, --left_) {
      const T* pixel = x_ + fetch_.take() * c_;
      for (int64_t i = 0; i < c_; i += 64 / static_cast<int64_t>(sizeof(T)))
        prefetch_near(pixel + i);
    }
  }
  void rest() {
    while (fetched_ > 0 || left_ > 0) some();
  }

 private:
  const T* x_;
  int64_t c_;
  T* to_;
  int64_t to_row_;
  int64_t left_, few_, fetched_ = 0;  ///< pixels not fetched yet; fetched in a turn; and not copied
  Walk fetch_, copy_;
};

/// The next pixels of a group, of c elements each, that are soon written or added to.
template <class T>
SATIN_INLINE void fetch_for_writing(Walk& places, int64_t pixels, T* x, int64_t c) {
  for (; pixels > 0; --pixels) {
    T* pixel = x + places.take() * c;
    for (int64_t i = 0; i < c; i += 64 / static_cast<int64_t>(sizeof(T)))
      prefetch_for_writing(pixel + i);
  }
}

}  // namespace satin::cpu::SATIN_ISA
