// Winograd's convolution, block by block: winograd.h says what and why.  First the transforms, each
// along one axis; then what they do to the tiles of a block.
#include "cpu/winograd.h"

namespace satin::cpu::SATIN_ISA {
namespace {

// --- the transforms along one axis -----------------------------------------------------------

/// The points and their powers.
template <class T>
struct Point {
  static constexpr T kA = static_cast<T>(0.70710678118654752440L);
  static constexpr T kB = static_cast<T>(1.41421356237309504880L);
  static constexpr T kA3 = static_cast<T>(0.35355339059327376220L);
  static constexpr T kB3 = static_cast<T>(2.82842712474619009760L);
};

/// t = B^T d
template <class T>
SATIN_INLINE void transform_in(const Vec<T> (&d)[6], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = d[4] - 2 * d[2], odd_a = P::kA * d[3] - P::kB * d[1];
  const Vec<T> even_b = d[4] - T(0.5) * d[2], odd_b = P::kB * d[3] - P::kA * d[1];
  t[0] = d[0] + (d[4] - T(2.5) * d[2]);
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = d[1] + (d[5] - T(2.5) * d[3]);
}

/// t = G g
template <class T>
SATIN_INLINE void transform_weights(const Vec<T> (&g)[3], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = g[0] + T(0.5) * g[2], even_b = g[0] + 2 * g[2];
  t[0] = g[0];
  t[1] = (even_a + P::kA * g[1]) * T(-1 / 1.5L);
  t[2] = (even_a - P::kA * g[1]) * T(-1 / 1.5L);
  t[3] = (even_b + P::kB * g[1]) * T(1 / 6.0L);
  t[4] = (even_b - P::kB * g[1]) * T(1 / 6.0L);
  t[5] = g[2];
}

/// y = A^T m
template <class T>
SATIN_INLINE void transform_out(const Vec<T> (&m)[6], Vec<T> (&y)[4]) {
  using P = Point<T>;
  const Vec<T> even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const Vec<T> even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = P::kA * odd_a + P::kB * odd_b;
  y[2] = T(0.5) * even_a + 2 * even_b;
  y[3] = m[5] + P::kA3 * odd_a + P::kB3 * odd_b;
}

/// t = A y
template <class T>
SATIN_INLINE void transform_grad(const Vec<T> (&y)[4], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = y[0] + T(0.5) * y[2], odd_a = P::kA * y[1] + P::kA3 * y[3];
  const Vec<T> even_b = y[0] + 2 * y[2], odd_b = P::kB * y[1] + P::kB3 * y[3];
  t[0] = y[0];
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = y[3];
}

/// g = G^T m
template <class T>
SATIN_INLINE void transform_weights_back(const Vec<T> (&m)[6], Vec<T> (&g)[3]) {
  using P = Point<T>;
  const Vec<T> even_a = T(-1 / 1.5L) * (m[1] + m[2]), odd_a = T(-1 / 1.5L) * (m[1] - m[2]);
  const Vec<T> even_b = T(1 / 6.0L) * (m[3] + m[4]), odd_b = T(1 / 6.0L) * (m[3] - m[4]);
  g[0] = m[0] + even_a + even_b;
  g[1] = P::kA * odd_a + P::kB * odd_b;
  g[2] = m[5] + T(0.5) * even_a + 2 * even_b;
}

}  // namespace

// --- blocks ------------------------------------------------------------------------------------

// More tiles for more channels, because every block reads all weights.
template <class T>
Winograd<T> Winograd<T>::of(int64_t cin, int64_t cout) {
  const int64_t bytes = max_of(cin, cout) * static_cast<int64_t>(sizeof(T));
  const int64_t groups = kTileRows >= 12 ? (bytes <= 256 ? 3 : 4) : (bytes <= 128 ? 4 : 6);
  return {cin, cout, groups * kTileRows};
}

// A block reads and writes all sums.
template <class T>
Winograd<T> Winograd<T>::for_sums(int64_t cin, int64_t cout) {
  return {cin, cout, 56};
}

template <class T>
void winograd_weights(
    const Call& call, const Winograd<T>& p, const T* w, const Weights& at, T* to) {
  constexpr int kL = kLanes<T>, kDepth = 16;  // rows of a panel in one task
  const int64_t panels = ceil_div(p.cout, kTileCols<T>), depths = ceil_div(p.cin, kDepth);
  parallel_for(call, panels * depths, [&](int64_t task) {
    const int64_t j = task / depths * kTileCols<T>, k0 = task % depths * kDepth;
    const int64_t depth = min_of(kDepth, p.cin - k0), tap_size = kDepth * kTileCols<T>;
    const int cols = static_cast<int>(min_of(kTileCols<T>, p.cout - j)),
              width = whole_vectors<T>(cols);
    alignas(64) T taps[9 * kDepth * kTileCols<T>];
    for (int64_t tap = 0; tap < 9; ++tap)
      pack_panel(taps + tap * tap_size,
                 w + at.base + tap / 3 * at.row + tap % 3 * at.col + k0 * at.in + j * at.out, at.in,
                 at.out, depth, cols, width);
    for (int64_t i = 0; i < depth * width; i += kL) {
      Vec<T> mid[3][6];
      SATIN_UNROLL
      for (int r = 0; r < 3; ++r) {
        Vec<T> g[3];
        SATIN_UNROLL
        for (int c = 0; c < 3; ++c) g[c] = load(taps + (r * 3 + c) * tap_size + i);
        transform_weights<T>(g, mid[r]);
      }
      T* panel = to + j * p.cin + k0 * width + i;
      SATIN_UNROLL
      for (int c = 0; c < 6; ++c) {
        const Vec<T> g[3] = {mid[0][c], mid[1][c], mid[2][c]};
        Vec<T> t[6];
        transform_weights<T>(g, t);
        SATIN_UNROLL
        for (int r = 0; r < 6; ++r) store(panel + (r * 6 + c) * p.point(), t[r]);
      }
    }
  });
}

template <class T>
void winograd_in(
    const Winograd<T>& p, T* block, int64_t t, const T* const (&rows)[6], int64_t pixel) {
  const int64_t slot = p.slot();
  T* to = block + slot + t * p.in_row();  // a product writes to the slot before its input's
  for (int64_t c = 0; c < p.cin; c += kLanes<T>) {
    Vec<T> mid[6][6];
    SATIN_UNROLL
    for (int r = 0; r < 6; ++r) {
      Vec<T> d[6];
      const T* from = rows[r] + c;
      SATIN_UNROLL
      for (int i = 0; i < 6; ++i) d[i] = load(from + i * pixel);
      transform_in<T>(d, mid[r]);
    }
    SATIN_UNROLL
    for (int i = 0; i < 6; ++i) {
      const Vec<T> d[6] = {mid[0][i], mid[1][i], mid[2][i], mid[3][i], mid[4][i], mid[5][i]};
      Vec<T> v[6];
      transform_in<T>(d, v);
      T* at = to + i * slot + c;
      SATIN_UNROLL
      for (int r = 0; r < 6; ++r) {
        store(at, v[r]);
        at += 6 * slot;
        asm("" : "+r"(at));
      }
    }
  }
}

template <class T>
void winograd_product(
    const Winograd<T>& p, T* block, const T* weights, int64_t k, int64_t count, Ahead& ahead) {
  T* to = block + k * p.slot();
  const T* from = to + p.slot();
  for (int64_t j = 0; j < p.cout; j += kTileCols<T>) {
    const int width = whole_vectors<T>(min_of(kTileCols<T>, p.cout - j));
    for_even(0, count, kTileRows, [&](int64_t i, int64_t rows) {
      Tile<T> t{};
      t.a = from + i * p.in_row();
      t.a_row = p.in_row();
      t.a_k = 1;
      t.b = weights + k * p.point() + j * p.cin;
      t.b_k = width;
      t.len = p.cin;
      t.c = to + i * p.out_row() + j;
      t.c_row = p.out_row();
      t.rows = static_cast<int>(rows);
      t.cols = width;
      t.ahead = ahead.take(p.cin);
      tile(t);
    });
  }
}

template <class T>
void winograd_out(const Winograd<T>& p,
                  const T* block,
                  int64_t t,
                  T* const (&rows)[4],
                  int64_t pixel,
                  const Epilogue<T>& e) {
  const int64_t slot = p.slot();
  const T* from = block + t * p.out_row();
  for (int64_t c = 0; c < p.cout; c += kLanes<T>) {
    Vec<T> mid[4][6];
    SATIN_UNROLL
    for (int i = 0; i < 6; ++i) {
      Vec<T> m[6], y[4];
      const T* at = from + i * slot + c;
      SATIN_UNROLL
      for (int r = 0; r < 6; ++r) {
        m[r] = load(at);
        at += 6 * slot;
        asm("" : "+r"(at));
      }
      transform_out<T>(m, y);
      SATIN_UNROLL
      for (int r = 0; r < 4; ++r) mid[r][i] = y[r];
    }
    const Vec<T> bias = e.bias ? load(e.bias + c) : Vec<T>{};
    Vec<T> sum{};
    SATIN_UNROLL
    for (int r = 0; r < 4; ++r) {
      Vec<T> y[4];
      transform_out<T>(mid[r], y);
      SATIN_UNROLL
      for (int i = 0; i < 4; ++i) {
        y[i] += bias;
        if (e.slope != 1) y[i] = y[i] < 0 ? e.slope * y[i] : y[i];
        store(rows[r] + i * pixel + c, y[i]);
      }
      sum += (y[0] + y[2]) + (y[1] + y[3]);
    }
    if (e.sums) store(e.sums + c, load(e.sums + c) + sum);
  }
}

template <class T>
void winograd_grad_in(
    const Winograd<T>& p, T* block, int64_t t, const T* const (&rows)[4], int64_t pixel) {
  const int64_t slot = p.slot();
  T* to = block + t * p.out_row();
  for (int64_t c = 0; c < p.cout; c += kLanes<T>) {
    Vec<T> mid[4][6];
    SATIN_UNROLL
    for (int r = 0; r < 4; ++r) {
      Vec<T> y[4];
      SATIN_UNROLL
      for (int i = 0; i < 4; ++i) y[i] = load(rows[r] + i * pixel + c);
      transform_grad<T>(y, mid[r]);
    }
    SATIN_UNROLL
    for (int i = 0; i < 6; ++i) {
      const Vec<T> y[4] = {mid[0][i], mid[1][i], mid[2][i], mid[3][i]};
      Vec<T> m[6];
      transform_grad<T>(y, m);
      T* at = to + i * slot + c;
      SATIN_UNROLL
      for (int r = 0; r < 6; ++r) {
        store(at, m[r]);
        at += 6 * slot;
        asm("" : "+r"(at));
      }
    }
  }
}

template <class T>
void winograd_add_products(const Winograd<T>& p,
                           T* sums,
                           const T* in,
                           const T* grads,
                           int64_t count,
                           bool add,
                           const Coming<T>& next) {
  for (int64_t k = 0; k < p.kPoints; ++k) {
    Ahead ahead;
    next.part(k, 1, p.kPoints).add(ahead);
    if (add && p.many() && k + 1 < p.kPoints) ahead.add(sums + (k + 1) * p.sums(), p.sums());
    for (int64_t j = 0; j < p.cout; j += kTileCols<T>)
      for_even(0, p.cin, kTileRows, [&](int64_t i, int64_t rows) {
        Tile<T> t{};
        t.a = in + (k + 1) * p.slot() + i;
        t.a_row = 1;
        t.a_k = p.in_row();
        t.b = grads + k * p.slot() + j;
        t.b_k = p.out_row();
        t.len = count;
        t.c = sums + k * p.sums() + i * p.out_row() + j;
        t.c_row = p.out_row();
        t.rows = static_cast<int>(rows);
        t.cols = whole_vectors<T>(min_of(kTileCols<T>, p.cout - j));
        t.add = add;
        t.ahead = ahead.take(count);
        tile(t);
      });
  }
}

template <class T>
void winograd_weights_back(const Winograd<T>& p, const T* sums, int64_t pieces, int64_t ci, T* dw) {
  for (int64_t co = 0; co < p.cout; co += kLanes<T>) {
    Vec<T> mid[6][3], g[3];
    SATIN_UNROLL
    for (int r = 0; r < 6; ++r) {
      Vec<T> m[6];
      SATIN_UNROLL
      for (int i = 0; i < 6; ++i) {
        const T* from = sums + (r * 6 + i) * p.sums() + ci * p.out_row() + co;
        m[i] = load(from);
        for (int64_t piece = 1; piece < pieces; ++piece) m[i] += load(from + piece * p.sums_size());
      }
      transform_weights_back<T>(m, mid[r]);
    }
    SATIN_UNROLL
    for (int c = 0; c < 3; ++c) {
      const Vec<T> m[6] = {mid[0][c], mid[1][c], mid[2][c], mid[3][c], mid[4][c], mid[5][c]};
      transform_weights_back<T>(m, g);
      SATIN_UNROLL
      for (int r = 0; r < 3; ++r) {
        T* to = dw + ((r * 3 + c) * p.cin + ci) * p.cout + co;
        if (co + kLanes<T> <= p.cout)
          store(to, g[r]);
        else
          for (int64_t i = 0; i < p.cout - co; ++i) to[i] = g[r][i];
      }
    }
  }
}

#define SATIN_INSTANTIATE(T)                                                                      \
  template struct Winograd<T>;                                                                    \
  template void winograd_weights(const Call&, const Winograd<T>&, const T*, const Weights&, T*);  \
  template void winograd_in(const Winograd<T>&, T*, int64_t, const T* const(&)[6], int64_t);      \
  template void winograd_product(const Winograd<T>&, T*, const T*, int64_t, int64_t, Ahead&);     \
  template void winograd_out(const Winograd<T>&, const T*, int64_t, T* const(&)[4], int64_t,      \
                             const Epilogue<T>&);                                                 \
  template void winograd_grad_in(const Winograd<T>&, T*, int64_t, const T* const(&)[4], int64_t); \
  template void winograd_add_products(const Winograd<T>&, T*, const T*, const T*, int64_t, bool,  \
                                      const Coming<T>&);                                          \
  template void winograd_weights_back(const Winograd<T>&, const T*, int64_t, int64_t, T*);
SATIN_INSTANTIATE(float)
#if SATIN_BASELINE
SATIN_INSTANTIATE(double)
#endif
#undef SATIN_INSTANTIATE

}  // namespace satin::cpu::SATIN_ISA
