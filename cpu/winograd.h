// 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3), after Lavin & Gray,
// "Fast Algorithms for Convolutional Neural Networks" (2016).
//
// Mathematics.  Four outputs of a filter with three taps, y[i] = sum over k of d[i + k] g[k], take
// 12 products.  The outputs are also the transpose of a product of polynomials with 3 and 4
// coefficients, and such a product (degree 5) is known from its values at five points and its
// leading coefficient: 6 products.  With the points p = 0, +-a, +-b and infinity
//
//   y = A^T ((G g) * (B^T d)),    A: values of a cubic at the points,  G: values of a parabola,
//   each over m'(p),  B^T: coefficients of m(x) / (x - p), and of m(x) = x (x^2 - a^2) (x^2 - b^2).
//
// Nested in both directions, a 4x4 tile of y comes from a 6x6 tile of x by 36 products instead of
// 144, and over all channels these are 36 matrix products of [tiles, CIN] and [CIN, COUT].
//
// Error.  a = 1/sqrt(2), b = sqrt(2): a b = 1 balances the powers of the points, and the error is
// some 4.5 times less than with the usual 1 and 2.  Each y is off by at most
//
//   (CIN + 40) u  |A^T| ((|G| |g| |G^T|) * (|B^T| |d| |B|)) |A|,    u = 2^-24 in f32, 2^-53 in f64,
//
// absolute values taken element by element (a chain of CIN terms, and three transforms of few
// terms).  That is the worst case.  For random values the squared error over the squared values is
// below (CIN + 16) 1.5e-14 in f32, about half of it measured.  tests/winograd.cpp holds every path
// to both.
//
// Shape.  Work goes by blocks of some tiles, which stay in the L2 cache: transform them into 36
// matrices, multiply by the 36 matrices of the weights (packed in panels) on the
// register tile of gemm.h, transform back.  Both transforms run along channels.  A product only
// needs the space of its predecessor's input, so 37 slots hold both sides.
#pragma once

#include "cpu/conv_pass.h"

namespace satin::cpu::SATIN_ISA {

/// The sizes of one convolution: channels, and how its blocks lie in memory (in elements).
template <class T>
struct Winograd {
  static constexpr int kPoints = 36;  ///< products: 6 x 6 points

  int64_t cin, cout;
  int64_t tiles;  ///< of a block

  static Winograd of(int64_t cin, int64_t cout);
  /// For the gradient in w.
  static Winograd for_sums(int64_t cin, int64_t cout);
  /// From one tile to the next, in a slot.  An even number of cache lines would crowd few sets.
  int64_t in_row() const { return odd_lines(cin); }
  int64_t out_row() const { return odd_lines(cout); }
  int64_t slot() const { return odd_lines(tiles * max_of(in_row(), out_row()), 1); }
  int64_t block_size() const { return (kPoints + 1) * slot() + patch_size(); }
  /// The weights of one point, in panels.
  int64_t point() const { return odd_lines(cin * whole_vectors<T>(cout), 1); }
  int64_t weights_size() const { return kPoints * point(); }
  /// Whether the weights, or as many sums, are more than what stays in the L2 cache.
  bool many() const { return weights_size() * static_cast<int64_t>(sizeof(T)) > 256 << 10; }
  /// A tile with what surrounds it, or a tile of the result.
  int64_t patch_size() const { return kPoints * max_of(in_row(), out_row()); }

  T* patch(T* block) const { return block + (kPoints + 1) * slot(); }
  /// Sums of products, for the gradient in w: of one point [cin, out_row], of all.
  int64_t sums() const { return odd_lines(cin * out_row(), 1); }
  int64_t sums_size() const { return kPoints * sums(); }

  static int64_t odd_lines(int64_t elements, int64_t from = 3) {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t lines = ceil_div(elements, kLine);
    return (lines >= from ? lines | 1 : lines) * kLine;
  }
};

/// Far memory that is needed soon, in values, which comes into the cache meanwhile.
template <class T>
struct Coming {
  const T* from = nullptr;
  int64_t size = 0;

  /// Values [k, k + n) of what is cut into `all`.
  Coming part(int64_t k, int64_t n, int64_t all) const {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t lines = size / kLine, begin = lines * k / all, end = lines * (k + n) / all;
    return {from + begin * kLine, (end - begin) * kLine};
  }
  void add(Ahead& ahead) const { ahead.add(from, size); }
};

/// Transforms the weights and packs them.  to: weights_size elements.
template <class T>
void winograd_weights(const Call& call, const Winograd<T>& p, const T* w, const Weights& at, T* to);

/// Tile t of a block from the six rows of six pixels, `pixel` apart, that it reads.
template <class T>
void winograd_in(
    const Winograd<T>& p, T* block, int64_t t, const T* const (&rows)[6], int64_t pixel);

/// The products of point k for the first `count` tiles of a block; points in rising order.
template <class T>
void winograd_product(
    const Winograd<T>& p, T* block, const T* weights, int64_t k, int64_t count, Ahead& ahead);

/// What happens to results on their way out.
template <class T>
struct Epilogue {
  const T* bias = nullptr;  ///< whole vectors
  T slope = 1;              ///< of negative values
  T* sums = nullptr;        ///< of the tile's results are added to these, whole vectors
};

/// Tile t of a block to four rows of four pixels; all channels rounded up to whole vectors.
template <class T>
void winograd_out(const Winograd<T>& p,
                  const T* block,
                  int64_t t,
                  T* const (&rows)[4],
                  int64_t pixel,
                  const Epilogue<T>& e);

/// Tile t of a block of gradients, which has the place of the products: m = A dy A^T.
template <class T>
void winograd_grad_in(
    const Winograd<T>& p, T* block, int64_t t, const T* const (&rows)[4], int64_t pixel);

/// sums (+)= V^T M, point by point, over the first `count` tiles of two blocks.
template <class T>
void winograd_add_products(const Winograd<T>& p,
                           T* sums,
                           const T* in,
                           const T* grads,
                           int64_t count,
                           bool add,
                           const Coming<T>& next);

/// Row ci of dw [3, 3, CIN, COUT] from the sums of all pieces, which lie one behind the other.
template <class T>
void winograd_weights_back(const Winograd<T>& p, const T* sums, int64_t pieces, int64_t ci, T* dw);

/// A convolution of whole images: y pixel (i, j) reads x pixels (i, j) + first + 0, 1, 2.
struct WinogradPass {
  int64_t images, h, w, cin, oh, ow, cout, first;

  int64_t tile_rows() const { return ceil_div(oh, 4); }
  int64_t tile_cols() const { return ceil_div(ow, 4); }
  int64_t all_tiles() const { return images * tile_rows() * tile_cols(); }
  /// Whether this is the fast way.
  template <class T>
  bool pays() const;
  template <class T>
  int64_t workers() const;
  template <class T>
  int64_t scratch() const;  ///< elements, without the weights

  /// The same for the gradient in w.
  template <class T>
  bool grad_pays() const;
  template <class T>
  int64_t grad_pieces() const;
  template <class T>
  int64_t grad_workers() const;
  template <class T>
  int64_t grad_scratch() const;
};

/// weights: as winograd_weights makes them.
template <class T>
void winograd_conv(const Call& call,
                   const WinogradPass& p,
                   const T* x,
                   const T* weights,
                   T* y,
                   const T* bias,
                   T* scratch);

/// dw [3, 3, CIN, COUT], the adjoint of winograd_conv in w: dw = G^T (sum of V^T (A dy A^T)) G.
template <class T>
void winograd_weight_grad(
    const Call& call, const WinogradPass& p, const T* x, const T* dy, T* dw, T* scratch);

}  // namespace satin::cpu::SATIN_ISA
