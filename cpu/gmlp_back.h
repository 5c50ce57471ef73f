// The way back through a group of a gMLP branch: weights turned, a group's rows, what is summed
// over groups, and the steps; start reading at BackGroup::run().  The formulas stand at the top of
// multi_axis_gmlp_grad.cpp.
#pragma once

#include "cpu/gmlp_weight_grad.h"

namespace satin::cpu::SATIN_ISA {

/// Weights turned for the way back.  The biases are zeros.
template <class T>
struct TurnedWeights {
  Panels<T> w2, out, wi, w1;  ///< to b, b, b and c columns; out: Wo W2, or Wo
  T* p;                       ///< P', in blocks of a tile's rows, each along k

  TurnedWeights(const Branch<T>& w, Carve<T>& from)
      : w2(w.outer ? Panels<T>::take(from, w.c, w.b) : Panels<T>{}),
        out(Panels<T>::take(from, w.c, w.b)),
        wi(Panels<T>::take(from, 2 * w.b, w.b)),
        w1(w.outer ? Panels<T>::take(from, w.b, w.c) : Panels<T>{}),
        p(from.take(w.pixels * w.pixels)) {}

  int64_t p_blocks(const Branch<T>& w) const { return ceil_div(w.pixels, kTileRows); }
  int64_t tasks(const Branch<T>& w) const {
    return w2.count() + (w.outer ? 0 : out.count()) + wi.count() + w1.count() + p_blocks(w);
  }

  /// A panel of Wo W2, turned, when packed.out's is there.
  void pack_out(const Branch<T>& w, const Packed<T>& packed, int64_t panel) const {
    const int64_t j = panel * kTileCols<T>;
    const int width = packed.out.width(j), n = static_cast<int>(min_of(width, w.c - j));
    const T* product = packed.out.panel(j) + w.b * width;
    for (int64_t i = 0; i < out.cols; i += kTileCols<T>)
      pack_panel(out.at(j, i), product + i * width, 1, width, n,
                 static_cast<int>(min_of(out.width(i), w.b - i)), out.width(i));
    for (int64_t i = 0; j == 0 && i < out.cols; ++i) out.bias[i] = 0;
  }

  /// The other parts.
  void pack(const Branch<T>& w, int64_t task) const {
    if (task < w2.count()) return pack_turned(w2, task, w.w2 + w.b0 * w.c, w.c, w.b, nullptr);
    task -= w2.count();
    if (!w.outer) {
      if (task < out.count()) return pack_turned(out, task, w.wo, w.b, w.b, nullptr);
      task -= out.count();
    }
    if (task < wi.count()) return pack_turned(wi, task, w.wi, 2 * w.b, w.b, w.gmlp_gamma);
    task -= wi.count();
    if (task < w1.count()) return pack_turned(w1, task, w.w1 + w.b0, 2 * w.c, w.c, w.norm_gamma);
    task -= w1.count();
    const int64_t begin = w.pixels * task / p_blocks(w);
    const int64_t rows = w.pixels * (task + 1) / p_blocks(w) - begin;
    T* to = p + begin * w.pixels;
    for (int64_t k = 0; k < w.pixels; ++k)
      for (int64_t i = 0; i < rows; ++i) *to++ = w.p[k * w.pixels + begin + i];
  }

 private:
  /// Column j of `to` is row j of b, times scale[j] if given.
  void pack_turned(const Panels<T>& to,
                   int64_t panel,
                   const T* b,
                   int64_t b_row,
                   int64_t cols,
                   const T* scale) const {
    const int64_t j = panel * kTileCols<T>;
    const int width = to.width(j), n = static_cast<int>(min_of(width, cols - j));
    for (int i = 0; i < width; ++i) to.bias[j + i] = 0;
    pack_panel(to.panel(j), b + j * b_row, 1, b_row, to.k, n, width);
    if (scale)
      for (int64_t k = 0; k < to.k; ++k)
        for (int i = 0; i < n; ++i) to.panel(j)[k * width + i] *= scale[j + i];
  }
};

/// Groups whose part of dP is added up together: its sums are larger than the L1 cache, and with
/// few channels reading and writing them would cost as much as the products.
template <class T>
int64_t batch_of(const Branch<T>& w) {
  return max_of(1, 128 / whole_vectors<T>(w.b));
}

/// Rows of a group (b columns unless said otherwise), and one block of rows of any width.
template <class T>
struct BackSlot {
  int64_t c_row, b_row, s_row, dm_row;
  T *x{}, *dy[2]{};  ///< c columns; dy of the group at work and of the next
  T* xh{};           ///< c columns
  T *dt1{}, *dt2{};  ///< GELU's slopes until then; dt2: the rows of a, then those of b
  T *u{}, *uh{}, *bh{}, *bn{}, *gate{};
  T* dm;                  ///< of a batch of groups side by side
  Panels<T> bn_turned{};  ///< LN(b)' of a batch, b rows of S columns each
  T *raw, *sums, *more;
  T *r1{}, *r2{}, *r3{};  ///< factors of the layer norms

  BackSlot(const Branch<T>& w, Carve<T>& from)
      : c_row(whole_vectors<T>(w.c)),
        b_row(whole_vectors<T>(w.b)),
        s_row(whole_vectors<T>(w.pixels)),
        dm_row(batch_of(w) * b_row) {
    const int64_t s = w.pixels, longest = max_of(b_row, c_row);
    for (T** rows : {&x, &dy[0], &dy[1], &xh}) *rows = from.take(s * c_row);
    for (T** rows : {&dt1, &u, &uh, &bh, &bn, &gate}) *rows = from.take(s * b_row);
    dt2 = from.take(2 * s * b_row);
    dm = from.take(s * dm_row);
    bn_turned = {batch_of(w) * w.b, s_row, from.take(batch_of(w) * w.b * s_row), nullptr};
    raw = from.take(kChunkRows * longest);
    sums = from.take(kTileRows * longest);
    more = from.take(kTileRows * longest);
    for (T** factors : {&r1, &r2, &r3}) *factors = from.take(s);
  }
};

/// What is summed over all pixels; rows padded like those of a BackSlot.  gmlp needs none of u_dy,
/// xh_dt1 and dt1.
template <class T>
struct BackSums {
  T* p;                       ///< [S, S]
  T *u_dy{}, *gate_dy, *dy;   ///< [b, c], [b, c], [c]
  T* pb;                      ///< [S, a vector]
  T *gate_gamma, *gate_beta;  ///< [b]
  T *uh_dt2[2], *dt2[2];      ///< [b, b], [b]: of a, of b
  T *xh_dt1{}, *dt1{};        ///< [c, b], [b]

  BackSums(const Branch<T>& w, Carve<T>& from) {
    const int64_t c_row = whole_vectors<T>(w.c), b_row = whole_vectors<T>(w.b),
                  s_row = whole_vectors<T>(w.pixels);
    of_p_ = w.pixels * s_row;
    p = from.take(of_p_);
    if (w.outer) {
      u_dy = from.take(w.b * c_row);
      xh_dt1 = from.take(w.c * b_row), dt1 = from.take(b_row);
    }
    gate_dy = from.take(w.b * c_row), dy = from.take(c_row);
    pb = from.take(w.pixels * kLanes<T>);
    gate_gamma = from.take(b_row), gate_beta = from.take(b_row);
    for (int i : {0, 1}) uh_dt2[i] = from.take(w.b * b_row), dt2[i] = from.take(b_row);
    all_ = from.taken();
  }

  /// Zeros, but for p, which the first product of a piece writes.
  void clear() const {
    for (T* at = p + of_p_; at < p + all_; ++at) *at = T{0};
  }

 private:
  int64_t of_p_, all_;
};

/// c (+)= a' b for rows of S pixels each: c is [rows, cols], a and b have rows a_row and b_row
/// long.
template <class T>
void add_product_over_pixels(
    const T* a, int64_t a_row, int64_t rows, const T* b, int64_t b_row, int64_t pixels, T* c) {
  for (int64_t j = 0; j < b_row; j += kTileCols<T>)
    for_even(0, rows, kTileRows, [&](int64_t i, int64_t count) {
      Tile<T> t{};
      t.a = a + i;
      t.a_row = 1;
      t.a_k = a_row;
      t.b = b + j;
      t.b_k = b_row;
      t.len = pixels;
      t.c = c + i * b_row + j;
      t.c_row = b_row;
      t.rows = static_cast<int>(count);
      t.cols = static_cast<int>(min_of(kTileCols<T>, b_row - j));
      t.add = true;
      tile(t);
    });
}

/// c = a block of P' times rows of all pixels.
template <class T>
void mix(
    const T* block, int64_t rows, int64_t pixels, const T* b, int64_t b_row, int64_t cols, T* c) {
  for (int64_t j = 0; j < cols; j += kTileCols<T>) {
    Tile<T> t{};
    t.a = block;
    t.a_row = 1;
    t.a_k = rows;
    t.b = b + j;
    t.b_k = b_row;
    t.len = pixels;
    t.c = c + j;
    t.c_row = cols;
    t.rows = static_cast<int>(rows);
    t.cols = static_cast<int>(min_of(kTileCols<T>, cols - j));
    tile(t);
  }
}

template <class T>
SATIN_INLINE void product_rows(const T* a,
                               int64_t a_row,
                               const Panels<T>& b,
                               T* c,
                               int64_t rows,
                               int64_t runs = 1,
                               int64_t a_run = 0) {
  for (int64_t j = 0; j < b.cols; j += kTileCols<T>)
    product_tile(a, a_row, b, j, c + j, b.cols, rows, runs, a_run);
}

template <class T>
SATIN_INLINE void add_to(T* sum, Vec<T> x) {
  store(sum, load(sum) + x);
}

/// body(j, V): V = 4, 2 or 1 vectors of columns from j on, until all of a row are done.
template <class T, class Body>
SATIN_INLINE void for_columns(int64_t row, Body body) {
  constexpr int kL = kLanes<T>;
  int64_t j = 0;
  for (; j + 4 * kL <= row; j += 4 * kL) body(j, std::integral_constant<int, 4>{});
  for (; j + 2 * kL <= row; j += 2 * kL) body(j, std::integral_constant<int, 2>{});
  for (; j < row; j += kL) body(j, std::integral_constant<int, 1>{});
}

/// Sums of V vectors of columns, in registers while rows are added to them.
template <class T, int V>
struct ColumnSums {
  T* to;
  Vec<T> sum[V];

  SATIN_INLINE explicit ColumnSums(T* sums) : to(sums) {
    SATIN_UNROLL
    for (int v = 0; v < V; ++v) sum[v] = load(to + v * kLanes<T>);
  }
  SATIN_INLINE ~ColumnSums() {
    SATIN_UNROLL
    for (int v = 0; v < V; ++v) store(to + v * kLanes<T>, sum[v]);
  }
  ColumnSums(const ColumnSums&) = delete;
  ColumnSums& operator=(const ColumnSums&) = delete;
};

template <class T>
struct BackGroup {
  const Branch<T>& w;
  const Packed<T>& packed;
  const TurnedWeights<T>& turned;
  const BackSlot<T>& s;
  const BackSums<T>& sums;

  /// Rows [begin, begin + rows) up to LN(b), everything kept.
  void forward(const T* x, int64_t begin, int64_t rows) const {
    const int64_t c_row = s.c_row, b_row = s.b_row, at = begin * b_row;
    const auto rows_of = [](T* to, int64_t row) {
      return [=](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
        store(to + r * row + j, h);
      };
    };
    const auto products = [&](const T* a, int64_t a_row, const Panels<T>& weights, T* to, T* gelu) {
      for_even(0, rows, kTileRows, [&](int64_t i, int64_t count) {
        product_rows(a + i * a_row, a_row, weights, to + i * b_row, count);
        gelu_tile_with_slopes(to + i * b_row, gelu + i * b_row, b_row, count, b_row);
      });
    };
    T *xh = s.xh + begin * c_row, *uh = s.uh + at;
    const T* u = x + begin * c_row;
    if (w.outer) {
      normalize_rows(u, c_row, rows, w.c, w.eps, rows_of(xh, c_row), s.r1 + begin);
      products(xh, c_row, packed.w1, s.dt1 + at, s.u + at);
      u = s.u + at;
    }
    normalize_rows(u, b_row, rows, w.b, w.eps, rows_of(uh, b_row), s.r2 + begin);
    products(uh, b_row, packed.wa, s.dt2 + at, s.gate + at);
    products(uh, b_row, packed.wb, s.dt2 + w.pixels * b_row + at, s.raw);
    normalize_rows(
        s.raw, b_row, rows, w.b, w.eps,
        [&](int64_t r, int64_t j, Vec<T> h) __attribute__((always_inline)) {
          store(s.bh + at + r * b_row + j, h);
          store(s.bn + at + r * b_row + j,
                load(packed.gate_gamma + j) * h + load(packed.gate_beta + j));
        },
        s.r3 + begin);
  }

  /// a, dy and P LN(b) of group g to the gate, dm and dt2 of a; at most a tile's rows; k: which
  /// group of the batch.
  void gate(const T* dy, int64_t g, int64_t begin, int64_t rows, int64_t k) const {
    const int64_t b_row = s.b_row, at = begin * b_row, dm_row = s.dm_row;
    const T* mixed = mixed_rows(w, g) + begin * w.b;
    if (w.b != b_row) {
      for (int64_t i = 0; i < rows; ++i) copy_padded(s.sums + i * b_row, mixed + i * w.b, w.b);
      mixed = s.sums;
    }
    product_rows(dy + begin * s.c_row, s.c_row, turned.out, s.more, rows);
    T *a = s.gate + at, *dt2 = s.dt2 + at, *dm = s.dm + begin * dm_row + k * b_row;
    const T *slope = dt2, *pb = packed.pb + begin;
    T* dpb = sums.pb + begin * kLanes<T>;
    for_columns<T>(b_row, [&]<int V>(int64_t j, std::integral_constant<int, V>) {
      ColumnSums<T, V> of_dt2(sums.dt2[0] + j);
      for (int64_t i = 0; i < rows; ++i) {
        Vec<T> of_row{};
        SATIN_UNROLL
        for (int v = 0; v < V; ++v) {
          const int64_t to = i * b_row + j + v * kLanes<T>;
          const Vec<T> m = load(mixed + to) + pb[i], dgate = load(s.more + to), av = load(a + to);
          const Vec<T> dmv = dgate * av, d = dgate * m * load(slope + to);
          store(dm + i * dm_row + j + v * kLanes<T>, dmv);
          store(a + to, av * m);
          store(dt2 + to, d);
          of_row += dmv;
          of_dt2.sum[v] += d;
        }
        add_to(dpb + i * kLanes<T>, of_row);
      }
    });
  }

  /// dLN(b) to dt2 of b; k: which group of the batch.
  void mixed(int64_t begin, int64_t rows, int64_t k) const {
    const int64_t b_row = s.b_row, at = begin * b_row;
    mix(turned.p + begin * w.pixels, rows, w.pixels, s.dm + k * b_row, s.dm_row, b_row, s.sums);
    T* dt2 = s.dt2 + w.pixels * b_row + at;
    for_columns<T>(b_row, [&]<int V>(int64_t j, std::integral_constant<int, V>) {
      ColumnSums<T, V> gamma(sums.gate_gamma + j), beta(sums.gate_beta + j);
      for (int64_t i = 0; i < rows; ++i) {
        SATIN_UNROLL
        for (int v = 0; v < V; ++v) {
          const int64_t from = i * b_row + j + v * kLanes<T>;
          const Vec<T> d = load(s.sums + from);
          gamma.sum[v] += d * load(s.bh + at + from);
          beta.sum[v] += d;
        }
      }
    });
    normalize_back(
        s.sums, b_row, rows_at(s.bh + at, b_row), s.r3 + begin, packed.gate_gamma, rows,
        w.b, [&](int64_t r, int64_t j, Vec<T> d) __attribute__((always_inline)) {
          T* to = dt2 + r * b_row + j;
          const Vec<T> dt = d * load(to);
          store(to, dt);
          add_to(sums.dt2[1] + j, dt);
        });
  }

  /// dy to du; with dt2 to dt1.
  void middle(const T* dy, int64_t begin, int64_t rows) const {
    const int64_t b_row = s.b_row, at = begin * b_row;
    product_rows(dy + begin * s.c_row, s.c_row, turned.w2, s.more, rows);
    product_rows(s.dt2 + at, b_row, turned.wi, s.sums, rows, 2, w.pixels * b_row);
    normalize_back(
        s.sums, b_row, rows_at(s.uh + at, b_row), s.r2 + begin, static_cast<const T*>(nullptr),
        rows, w.b, [&](int64_t r, int64_t j, Vec<T> d) __attribute__((always_inline)) {
          T* to = s.dt1 + at + r * b_row + j;
          const Vec<T> dt = (load(s.more + r * b_row + j) + d) * load(to);
          store(to, dt);
          add_to(sums.dt1 + j, dt);
        });
  }

  /// dt1 (in gmlp dt2) to dx; the first branch adds dy.
  void out(const T* dy, int64_t begin, int64_t rows, Walk& places) const {
    const int64_t c_row = s.c_row;
    const bool outer = w.outer;
    product_rows((outer ? s.dt1 : s.dt2) + begin * s.b_row, s.b_row, outer ? turned.w1 : turned.wi,
                 s.sums, rows, outer ? 1 : 2, w.pixels * s.b_row);
    normalize_back(
        s.sums, c_row, rows_at((outer ? s.xh : s.uh) + begin * c_row, c_row),
        (outer ? s.r1 : s.r2) + begin, static_cast<const T*>(nullptr), rows,
        w.c, [&](int64_t r, int64_t j, Vec<T> d) __attribute__((always_inline)) {
          store(s.more + r * c_row + j, d);
        });
    for (int64_t i = 0; i < rows; ++i) {
      T* dx = w.y + places.take() * w.c;
      sum_row(dx, w.first ? dy + (begin + i) * c_row : dx, s.more + i * c_row, w.c);
    }
  }

  /// Group g, k in its batch, whose x and dy are gathered; those of the next one come meanwhile.
  void run(const T* dy, int64_t g, int64_t k, Gather<T>& next_x, Gather<T>& next_dy) const {
    const int64_t pixels = w.pixels, b_row = s.b_row;
    const auto blocks = [&](auto f) {
      for_even(0, pixels, kTileRows, [&](int64_t begin, int64_t rows) {
        f(begin, rows);
        next_x.some();
        next_dy.some();
      });
    };
    for_even(0, pixels, kChunkRows,
             [&](int64_t begin, int64_t rows) { forward(s.x, begin, rows); });
    blocks([&](int64_t begin, int64_t rows) { gate(dy, g, begin, rows, k); });
    for (int64_t j = 0; j < s.c_row; j += kLanes<T>) {
      Vec<T> sum{};
      for (int64_t i = 0; i < pixels; ++i) sum += load(dy + i * s.c_row + j);
      add_to(sums.dy + j, sum);
    }
    if (w.outer) add_product_over_pixels(s.u, b_row, w.b, dy, s.c_row, pixels, sums.u_dy);
    add_product_over_pixels(s.gate, b_row, w.b, dy, s.c_row, pixels, sums.gate_dy);
    for (int64_t j = 0; j < s.s_row; j += kTileCols<T>) {
      const int width = s.bn_turned.width(j);
      pack_panel(s.bn_turned.at(k * w.b, j), s.bn + j * b_row, 1, b_row, w.b,
                 static_cast<int>(min_of(width, pixels - j)), width);
    }
    blocks([&](int64_t begin, int64_t rows) { mixed(begin, rows, k); });
    for (int half : {0, 1})
      add_product_over_pixels(s.uh, b_row, w.b, s.dt2 + half * pixels * b_row, b_row, pixels,
                              sums.uh_dt2[half]);
    if (w.outer) {
      blocks([&](int64_t begin, int64_t rows) { middle(dy, begin, rows); });
      add_product_over_pixels(s.xh, s.c_row, w.c, s.dt1, b_row, pixels, sums.xh_dt1);
    }
    Walk soon(w.places, g), now(w.places, g);
    fetch_for_writing(soon, kTileRows, w.y, w.c);
    blocks([&](int64_t begin, int64_t rows) {
      fetch_for_writing(soon, min_of(rows, pixels - begin - kTileRows), w.y, w.c);
      out(dy, begin, rows, now);
    });
    next_x.rest();
    next_dy.rest();
  }

  /// dP (+)= dm LN(b)' of the `count` groups of a batch.
  void add_to_p(int64_t count, bool add) const {
    for_even(0, w.pixels, kTileRows, [&](int64_t begin, int64_t rows) {
      for (int64_t j = 0; j < s.s_row; j += kTileCols<T>) {
        Tile<T> t{};
        t.a = s.dm + begin * s.dm_row;
        t.a_row = s.dm_row;
        t.a_k = 1;
        t.b = s.bn_turned.panel(j);
        t.b_k = s.bn_turned.width(j);
        t.outer = count;
        t.len = w.b;
        t.a_outer = s.b_row;
        t.b_outer = w.b * t.b_k;
        t.c = sums.p + begin * s.s_row + j;
        t.c_row = s.s_row;
        t.rows = static_cast<int>(rows);
        t.cols = s.bn_turned.width(j);
        t.add = add;
        tile(t);
      }
    });
  }
};

}  // namespace satin::cpu::SATIN_ISA
