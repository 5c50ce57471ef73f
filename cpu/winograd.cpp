// Winograd's convolution: winograd.h says what and why.  First the transforms, each once along one
// axis; then blocks; then whole images.
#include "cpu/winograd.h"

#include "cpu/slots.h"

namespace satin::cpu::SATIN_ISA {
namespace {

// --- the transforms along one axis -----------------------------------------------------------

/// The points and their powers.
template <class T>
struct Point {
  static constexpr T a = static_cast<T>(0.70710678118654752440L);
  static constexpr T b = static_cast<T>(1.41421356237309504880L);
  static constexpr T a3 = static_cast<T>(0.35355339059327376220L);
  static constexpr T b3 = static_cast<T>(2.82842712474619009760L);
};

/// t = B^T d
template <class T>
SATIN_INLINE void transform_in(const Vec<T> (&d)[6], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = d[4] - 2 * d[2], odd_a = d[3] - 2 * d[1];
  const Vec<T> even_b = d[4] - T(0.5) * d[2], odd_b = d[3] - T(0.5) * d[1];
  t[0] = d[0] + d[4] - T(2.5) * d[2];
  t[1] = even_a + P::a * odd_a;
  t[2] = even_a - P::a * odd_a;
  t[3] = even_b + P::b * odd_b;
  t[4] = even_b - P::b * odd_b;
  t[5] = d[1] + d[5] - T(2.5) * d[3];
}

/// t = G g
template <class T>
SATIN_INLINE void transform_weights(const Vec<T> (&g)[3], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = g[0] + T(0.5) * g[2], even_b = g[0] + 2 * g[2];
  t[0] = g[0];
  t[1] = (even_a + P::a * g[1]) * T(-1 / 1.5L);
  t[2] = (even_a - P::a * g[1]) * T(-1 / 1.5L);
  t[3] = (even_b + P::b * g[1]) * T(1 / 6.0L);
  t[4] = (even_b - P::b * g[1]) * T(1 / 6.0L);
  t[5] = g[2];
}

/// y = A^T m
template <class T>
SATIN_INLINE void transform_out(const Vec<T> (&m)[6], Vec<T> (&y)[4]) {
  using P = Point<T>;
  const Vec<T> even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const Vec<T> even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = P::a * odd_a + P::b * odd_b;
  y[2] = T(0.5) * even_a + 2 * even_b;
  y[3] = m[5] + P::a3 * odd_a + P::b3 * odd_b;
}

/// t = A y
template <class T>
SATIN_INLINE void transform_grad(const Vec<T> (&y)[4], Vec<T> (&t)[6]) {
  using P = Point<T>;
  const Vec<T> even_a = y[0] + T(0.5) * y[2], odd_a = P::a * y[1] + P::a3 * y[3];
  const Vec<T> even_b = y[0] + 2 * y[2], odd_b = P::b * y[1] + P::b3 * y[3];
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
  g[1] = P::a * odd_a + P::b * odd_b;
  g[2] = m[5] + T(0.5) * even_a + 2 * even_b;
}

}  // namespace

// --- blocks ------------------------------------------------------------------------------------

// More tiles for more channels, because every block reads all weights.
template <class T>
Winograd<T> Winograd<T>::of(int64_t cin, int64_t cout) {
  const int64_t bytes = max_of(cin, cout) * static_cast<int64_t>(sizeof(T));
  const int64_t groups = kTileRows >= 12 ? (bytes <= 128   ? 2
                                            : bytes <= 256 ? 3
                                                           : 4)
                                         : (bytes <= 128 ? 4 : 6);
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
      for (int r = 0; r < 3; ++r) {
        Vec<T> g[3];
        for (int c = 0; c < 3; ++c) g[c] = load(taps + (r * 3 + c) * tap_size + i);
        transform_weights<T>(g, mid[r]);
      }
      T* panel = to + j * p.cin + k0 * width + i;
      for (int c = 0; c < 6; ++c) {
        const Vec<T> g[3] = {mid[0][c], mid[1][c], mid[2][c]};
        Vec<T> t[6];
        transform_weights<T>(g, t);
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
    for (int r = 0; r < 6; ++r) {
      Vec<T> d[6];
      const T* from = rows[r] + c;
      for (int i = 0; i < 6; ++i) d[i] = load(from + i * pixel);
      transform_in<T>(d, mid[r]);
    }
    for (int i = 0; i < 6; ++i) {
      const Vec<T> d[6] = {mid[0][i], mid[1][i], mid[2][i], mid[3][i], mid[4][i], mid[5][i]};
      Vec<T> v[6];
      transform_in<T>(d, v);
      for (int r = 0; r < 6; ++r) store(to + (r * 6 + i) * slot + c, v[r]);
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
    for (int i = 0; i < 6; ++i) {
      Vec<T> m[6], y[4];
      for (int r = 0; r < 6; ++r) m[r] = load(from + (r * 6 + i) * slot + c);
      transform_out<T>(m, y);
      for (int r = 0; r < 4; ++r) mid[r][i] = y[r];
    }
    const Vec<T> bias = e.bias ? load(e.bias + c) : Vec<T>{};
    for (int r = 0; r < 4; ++r) {
      Vec<T> y[4];
      transform_out<T>(mid[r], y);
      for (int i = 0; i < 4; ++i) {
        const Vec<T> v = y[i] + bias;
        store(rows[r] + i * pixel + c, e.slope == 1 ? v : v < 0 ? e.slope * v : v);
      }
    }
  }
}

template <class T>
void winograd_grad_in(
    const Winograd<T>& p, T* block, int64_t t, const T* const (&rows)[4], int64_t pixel) {
  const int64_t slot = p.slot();
  T* to = block + t * p.out_row();
  for (int64_t c = 0; c < p.cout; c += kLanes<T>) {
    Vec<T> mid[4][6];
    for (int r = 0; r < 4; ++r) {
      Vec<T> y[4];
      for (int i = 0; i < 4; ++i) y[i] = load(rows[r] + i * pixel + c);
      transform_grad<T>(y, mid[r]);
    }
    for (int i = 0; i < 6; ++i) {
      const Vec<T> y[4] = {mid[0][i], mid[1][i], mid[2][i], mid[3][i]};
      Vec<T> m[6];
      transform_grad<T>(y, m);
      for (int r = 0; r < 6; ++r) store(to + (r * 6 + i) * slot + c, m[r]);
    }
  }
}

// --- whole images --------------------------------------------------------------------------------

template <class T>
bool WinogradPass::pays() const {
  if (cin < 16 || cout < 16) return false;
  // Vector operations, the transforms of a vector of channels by their measured time.
  constexpr int64_t kIn = 240, kOut = 200, kWeights = 200;
  const int64_t in = ceil_div(cin, kLanes<T>), out = ceil_div(cout, kLanes<T>);
  const int64_t direct = images * oh * ow * 9 * cin * out;
  const int64_t here =
      all_tiles() * (36 * cin * out + kIn * in + kOut * out) + kWeights * cin * out;
  return 5 * here < 4 * direct;
}

template <class T>
int64_t WinogradPass::pieces() const {
  return max_of(1, min_of(32, ceil_div(all_tiles(), Winograd<T>::of(cin, cout).tiles)));
}

template <class T>
int64_t WinogradPass::scratch() const {
  const Winograd<T> p = Winograd<T>::of(cin, cout);
  return p.weights_size() + p.out_row() + pieces<T>() * p.block_size();
}

namespace {

/// Where tile `tile` of all tiles is: its first output.
struct Place {
  int64_t image, row, col;

  Place(const WinogradPass& p, int64_t tile)
      : image(tile / p.tile_cols() / p.tile_rows()),
        row(tile / p.tile_cols() % p.tile_rows() * 4),
        col(tile % p.tile_cols() * 4) {}
};

/// Points `rows` to an N x N window of an image [h, w, c] at (row, col).  Where the window leaves
/// the image or channels end inside vectors, a copy in `patch`, of pixels `patch_pixel` apart and
/// with zeros outside, takes its place.  Returns the distance of pixels.
template <class T, int N>
int64_t window(const T* (&rows)[N],
               const T* image,
               int64_t h,
               int64_t w,
               int64_t c,
               int64_t row,
               int64_t col,
               T* patch,
               int64_t patch_pixel) {
  if (c % kLanes<T> == 0 && row >= 0 && col >= 0 && row + N <= h && col + N <= w) {
    for (int r = 0; r < N; ++r) rows[r] = image + ((row + r) * w + col) * c;
    return c;
  }
  for (int64_t r = 0; r < N; ++r) {
    rows[r] = patch + r * N * patch_pixel;
    for (int64_t i = 0; i < N; ++i) {
      T* to = patch + (r * N + i) * patch_pixel;
      const bool inside = row + r >= 0 && row + r < h && col + i >= 0 && col + i < w;
      const T* from = inside ? image + ((row + r) * w + col + i) * c : nullptr;
      for (int64_t k = 0; k < c; ++k) to[k] = from ? from[k] : T{0};
      for (int64_t k = c; k < whole_vectors<T>(c); ++k) to[k] = T{0};
    }
  }
  return patch_pixel;
}

/// Tiles [begin, begin + count) of x into a block.
template <class T>
void block_in(const WinogradPass& p,
              const Winograd<T>& size,
              const T* x,
              T* block,
              int64_t begin,
              int64_t count) {
  for (int64_t t = 0; t < count; ++t) {
    const Place at(p, begin + t);
    const T* rows[6];
    const int64_t pixel =
        window(rows, x + at.image * p.h * p.w * p.cin, p.h, p.w, p.cin, at.row + p.first,
               at.col + p.first, size.patch(block), size.in_row());
    winograd_in(size, block, t, rows, pixel);
  }
}

/// Images of the forward pass on their memory.
template <class T>
struct Images {
  const WinogradPass& p;
  const Winograd<T> size;
  const T* x;
  T* y;
  const T* weights;
  const T* bias;

  T* y_row(const Place& at, int64_t r) const {
    return y + ((at.image * p.oh + at.row + r) * p.ow + at.col) * p.cout;
  }

  void out(T* block, int64_t t, const Place& at) const {
    const Epilogue<T> e{.bias = bias};
    T* rows[4];
    const int64_t high = min_of(4, p.oh - at.row), wide = min_of(4, p.ow - at.col);
    if (p.cout % kLanes<T> == 0 && high == 4 && wide == 4) {
      for (int r = 0; r < 4; ++r) rows[r] = y_row(at, r);
      return winograd_out(size, block, t, rows, p.cout, e);
    }
    const int64_t pixel = size.out_row();
    for (int r = 0; r < 4; ++r) rows[r] = size.patch(block) + r * 4 * pixel;
    winograd_out(size, block, t, rows, pixel, e);
    for (int64_t r = 0; r < high; ++r)
      for (int64_t c = 0; c < wide; ++c)
        for (int64_t i = 0; i < p.cout; ++i) y_row(at, r)[c * p.cout + i] = rows[r][c * pixel + i];
  }

  /// Tiles [begin, begin + count): one block.
  void run(T* block, int64_t begin, int64_t count) const {
    constexpr int64_t kPoints = Winograd<T>::kPoints;
    block_in(p, size, x, block, begin, count);
    for (int64_t k = 0; k < kPoints; ++k) {
      // The lines of y come into the cache meanwhile.
      for (int64_t t = count * k / kPoints; t < count * (k + 1) / kPoints; ++t) {
        const Place at(p, begin + t);
        for (int64_t r = 0; r < min_of(4, p.oh - at.row); ++r)
          for (int64_t i = 0; i < 4 * p.cout; i += 64 / static_cast<int64_t>(sizeof(T)))
            prefetch_for_writing(y_row(at, r) + i);
      }
      Ahead ahead;
      if (k + 1 < kPoints) ahead.add(weights + (k + 1) * size.point(), size.point());
      winograd_product(size, block, weights, k, count, ahead);
    }
    for (int64_t t = 0; t < count; ++t) out(block, t, Place(p, begin + t));
  }
};

}  // namespace

template <class T>
void winograd_conv(const Call& call,
                   const WinogradPass& p,
                   const T* x,
                   const T* w,
                   const Weights& at,
                   T* y,
                   const T* bias,
                   T* scratch) {
  const Winograd<T> size = Winograd<T>::of(p.cin, p.cout);
  winograd_weights(call, size, w, at, scratch);
  T* whole_bias = scratch + size.weights_size();
  T* blocks = whole_bias + size.out_row();
  if (bias)
    pack_panel(whole_bias, bias, 0, 1, 1, static_cast<int>(p.cout), whole_vectors<T>(p.cout));
  const Images<T> images{p, size, x, y, scratch, bias ? whole_bias : nullptr};
  const int64_t pieces = p.pieces<T>(), step = size.tiles, count = ceil_div(p.all_tiles(), step);
  Slots slots;
  parallel_for(call, pieces, [&](int64_t piece) {
    const int64_t slot = slots.take();
    for (int64_t b = count * piece / pieces; b < count * (piece + 1) / pieces; ++b)
      images.run(blocks + slot * size.block_size(), b * step,
                 min_of(step, p.all_tiles() - b * step));
    slots.give_back(slot);
  });
}

// --- the gradient in w ---------------------------------------------------------------------------

template <class T>
bool WinogradPass::grad_pays() const {
  if (cin < 16 || cout < 16) return false;
  constexpr int64_t kIn = 240, kOut = 200, kWeights = 400;
  const int64_t in = ceil_div(cin, kLanes<T>), out = ceil_div(cout, kLanes<T>);
  const int64_t direct = images * oh * ow * 9 * cin * out;
  const int64_t here = all_tiles() * (36 * cin * out + kIn * in + kOut * out) +
                       grad_pieces<T>() * kWeights * cin * out;
  return 5 * here < 4 * direct;
}

template <class T>
int64_t WinogradPass::grad_pieces() const {
  const Winograd<T> p = Winograd<T>::for_sums(cin, cout);
  const int64_t blocks = ceil_div(all_tiles(), p.tiles);
  const int64_t most = (int64_t{16} << 20) / (p.sums_size() * static_cast<int64_t>(sizeof(T)));
  return max_of(1, min_of(min_of(16, most), blocks / 4));
}

template <class T>
int64_t WinogradPass::grad_scratch() const {
  const Winograd<T> p = Winograd<T>::for_sums(cin, cout);
  return grad_pieces<T>() * (p.sums_size() + 2 * p.block_size());
}

namespace {

/// sums (+)= V^T M, point by point, over the first `count` tiles of two blocks.
template <class T>
void add_products(
    const Winograd<T>& p, T* sums, const T* in, const T* grads, int64_t count, bool add) {
  for (int64_t k = 0; k < p.kPoints; ++k)
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
        tile(t);
      });
}

}  // namespace

template <class T>
void winograd_weight_grad(
    const Call& call, const WinogradPass& p, const T* x, const T* dy, T* dw, T* scratch) {
  const Winograd<T> size = Winograd<T>::for_sums(p.cin, p.cout);
  const int64_t pieces = p.grad_pieces<T>(), step = size.tiles, sums_size = size.sums_size(),
                count = ceil_div(p.all_tiles(), step);
  Slots slots;
  parallel_for(call, pieces, [&](int64_t piece) {
    const int64_t slot = slots.take();
    T* sums = scratch + piece * sums_size;
    T* in = scratch + pieces * sums_size + slot * 2 * size.block_size();
    T* grads = in + size.block_size();
    const int64_t first = count * piece / pieces;
    for (int64_t b = first; b < count * (piece + 1) / pieces; ++b) {
      const int64_t begin = b * step, tiles = min_of(step, p.all_tiles() - begin);
      block_in(p, size, x, in, begin, tiles);
      for (int64_t t = 0; t < tiles; ++t) {
        const Place at(p, begin + t);
        const T* rows[4];
        const int64_t pixel = window(rows, dy + at.image * p.oh * p.ow * p.cout, p.oh, p.ow, p.cout,
                                     at.row, at.col, size.patch(grads), size.out_row());
        winograd_grad_in(size, grads, t, rows, pixel);
      }
      add_products(size, sums, in, grads, tiles, b > first);
    }
    slots.give_back(slot);
  });
  parallel_chunks(call, p.cin, 4, [&](int64_t begin, int64_t end) {
    for (int64_t ci = begin; ci < end; ++ci)
      for (int64_t co = 0; co < p.cout; co += kLanes<T>) {
        Vec<T> mid[6][3], g[3];
        for (int r = 0; r < 6; ++r) {
          Vec<T> m[6];
          for (int i = 0; i < 6; ++i) {
            const T* from = scratch + (r * 6 + i) * size.sums() + ci * size.out_row() + co;
            m[i] = load(from);
            for (int64_t piece = 1; piece < pieces; ++piece) m[i] += load(from + piece * sums_size);
          }
          transform_weights_back<T>(m, mid[r]);
        }
        for (int c = 0; c < 3; ++c) {
          const Vec<T> m[6] = {mid[0][c], mid[1][c], mid[2][c], mid[3][c], mid[4][c], mid[5][c]};
          transform_weights_back<T>(m, g);
          for (int r = 0; r < 3; ++r) {
            T* to = dw + ((r * 3 + c) * p.cin + ci) * p.cout + co;
            if (co + kLanes<T> <= p.cout)
              store(to, g[r]);
            else
              for (int64_t i = 0; i < p.cout - co; ++i) to[i] = g[r][i];
          }
        }
      }
  });
}

#define SATIN_INSTANTIATE(T)                                                                      \
  template bool WinogradPass::grad_pays<T>() const;                                               \
  template int64_t WinogradPass::grad_pieces<T>() const;                                          \
  template int64_t WinogradPass::grad_scratch<T>() const;                                         \
  template void winograd_weight_grad(const Call&, const WinogradPass&, const T*, const T*, T*,    \
                                     T*);                                                         \
  template struct Winograd<T>;                                                                    \
  template void winograd_weights(const Call&, const Winograd<T>&, const T*, const Weights&, T*);  \
  template void winograd_in(const Winograd<T>&, T*, int64_t, const T* const(&)[6], int64_t);      \
  template void winograd_product(const Winograd<T>&, T*, const T*, int64_t, int64_t, Ahead&);     \
  template void winograd_out(const Winograd<T>&, const T*, int64_t, T* const(&)[4], int64_t,      \
                             const Epilogue<T>&);                                                 \
  template void winograd_grad_in(const Winograd<T>&, T*, int64_t, const T* const(&)[4], int64_t); \
  template bool WinogradPass::pays<T>() const;                                                    \
  template int64_t WinogradPass::pieces<T>() const;                                               \
  template int64_t WinogradPass::scratch<T>() const;                                              \
  template void winograd_conv(const Call&, const WinogradPass&, const T*, const T*,               \
                              const Weights&, T*, const T*, T*);
SATIN_INSTANTIATE(float)
SATIN_INSTANTIATE(double)
#undef SATIN_INSTANTIATE

}  // namespace satin::cpu::SATIN_ISA
