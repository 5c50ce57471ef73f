// Winograd's convolution of whole images (winograd.h): tiles in rising order, cut into blocks,
// edges by way of small copies.
#include "cpu/winograd.h"

namespace satin::cpu::SATIN_ISA {

// --- the forward pass ---------------------------------------------------------------------------

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
int64_t WinogradPass::workers() const {
  return min_of(16, ceil_div(all_tiles(), Winograd<T>::of(cin, cout).tiles));
}

template <class T>
int64_t WinogradPass::scratch() const {
  const Winograd<T> p = Winograd<T>::of(cin, cout);
  return p.out_row() + workers<T>() * p.block_size();
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
                   const T* weights,
                   T* y,
                   const T* bias,
                   T* scratch) {
  const Winograd<T> size = Winograd<T>::of(p.cin, p.cout);
  T* whole_bias = scratch;
  T* blocks = whole_bias + size.out_row();
  if (bias)
    pack_panel(whole_bias, bias, 0, 1, 1, static_cast<int>(p.cout), whole_vectors<T>(p.cout));
  const Images<T> images{p, size, x, y, weights, bias ? whole_bias : nullptr};
  parallel_workers(call, p.workers<T>(), ceil_div(p.all_tiles(), size.tiles),
                   [&](int64_t worker, int64_t i) {
                     const int64_t begin = i * size.tiles;
                     images.run(blocks + worker * size.block_size(), begin,
                                min_of(size.tiles, p.all_tiles() - begin));
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
  return grad_pieces<T>() * p.sums_size() + grad_workers<T>() * 2 * p.block_size();
}

template <class T>
int64_t WinogradPass::grad_workers() const {
  return min_of(8, grad_pieces<T>());
}

template <class T>
void winograd_weight_grad(
    const Call& call, const WinogradPass& p, const T* x, const T* dy, T* dw, T* scratch) {
  const Winograd<T> size = Winograd<T>::for_sums(p.cin, p.cout);
  const int64_t pieces = p.grad_pieces<T>(), step = size.tiles, sums_size = size.sums_size(),
                count = ceil_div(p.all_tiles(), step);
  parallel_workers(call, p.grad_workers<T>(), pieces, [&](int64_t worker, int64_t piece) {
    T* sums = scratch + piece * sums_size;
    T* in = scratch + pieces * sums_size + worker * 2 * size.block_size();
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
      winograd_add_products(size, sums, in, grads, tiles, b > first, {});
    }
  });
  parallel_chunks(call, p.cin, 4, [&](int64_t begin, int64_t end) {
    for (int64_t ci = begin; ci < end; ++ci) winograd_weights_back(size, scratch, pieces, ci, dw);
  });
}

#define SATIN_INSTANTIATE(T)                                                                      \
  template bool WinogradPass::pays<T>() const;                                                    \
  template int64_t WinogradPass::scratch<T>() const;                                              \
  template bool WinogradPass::grad_pays<T>() const;                                               \
  template int64_t WinogradPass::grad_scratch<T>() const;                                         \
  template void winograd_conv(const Call&, const WinogradPass&, const T*, const T*, T*, const T*, \
                              T*);                                                                \
  template void winograd_weight_grad(const Call&, const WinogradPass&, const T*, const T*, T*, T*);
SATIN_INSTANTIATE(float)
#if SATIN_BASELINE
SATIN_INSTANTIATE(double)
#endif
#undef SATIN_INSTANTIATE

}  // namespace satin::cpu::SATIN_ISA
