// What a product (product.h) is and how it reads its operands.
//
// An operand is a small struct, given by value, that knows where its elements lie.  i is the row of
// a or the column of b, k runs along the sum:
//
//   static constexpr Along kAlong;      along which of the two neighbors are contiguous
//   bool quads;                         four neighbors may be read at once
//   outer(int64_t g, int64_t i)         what is to be known of i in batch element g
//   depth(int64_t k)                    what is to be known of k
//   const float* find(outer, depth)     the element; null: 0
//
// and, where an element is not what lies in memory (outside it is 0 all the same):
//
//   float value(outer, depth, float)    what it is
//   Quad values(outer, depth, Quad)     four neighbors
//
// So what costs divisions is worked out once for each i and once for each k, not for every element.
// quads is true where the extent along kAlong is a multiple of four and the memory 16-byte aligned:
// then four from a multiple of four on are inside or outside together.  The bits are the same
// either way.
#pragma once

#include <cstdint>

#include "cuda/kernel.h"

namespace satin::cuda {

/// Sums are cut at multiples of this, so that quads are never cut.
inline constexpr int kPieceStep = 32;

/// c [batch, m, n] = a [batch, m, k] b [batch, k, n] + bias.
struct Product {
  int64_t batch, m, n;
  int64_t k;          ///< less than 2^32
  int64_t pieces;     ///< of k
  const float* bias;  ///< null: none

  /// Where a piece of k begins; piece + 1 is where it ends.
  __host__ __device__ int64_t begin(int64_t piece) const {
    const int64_t at = (k + kPieceStep - 1) / kPieceStep * piece / pieces * kPieceStep;
    return at < k ? at : k;
  }
};

/// The value at y[at] of a finished sum of column c.column(g, col): with its bias, and what C makes
/// of it.
template <class C>
SATIN_DEVICE float finished(
    const Product& p, const C& c, int64_t at, int64_t g, int64_t col, float sum) {
  const float v = p.bias ? sum + p.bias[c.column(g, col)] : sum;
  if constexpr (requires { c.finish(at, v); })
    return c.finish(at, v);
  else
    return v;
}

/// Element (g, row, col): finished, to y at c(g, row, col); or, with several pieces, to partial
/// [piece, batch, m, n].  `sums` takes what C sums over rows.
template <class C, class Sums>
SATIN_DEVICE void put(const Product& p,
                      const C& c,
                      float* y,
                      float* partial,
                      int64_t piece,
                      int64_t g,
                      int64_t row,
                      int64_t col,
                      float sum,
                      Sums& sums,
                      int sums_column) {
  if (row >= p.m || col >= p.n) return;
  if (p.pieces > 1) {
    partial[((piece * p.batch + g) * p.m + row) * p.n + col] = sum;
    return;
  }
  const int64_t at = c(g, row, col);
  const float v = finished(p, c, at, g, col, sum);
  if constexpr (!requires { typename C::OnlySums; }) y[at] = v;
  sums.add(c, sums_column, at, v);
}

/// What C sums over the rows of a tile, if it does: C::kSums terms an element, each a
/// `float term(int which, int64_t at, float finished)`.  A thread has kCols columns; there are
/// kSlots threads to a column.
template <class C, int kCols, int kSlots>
struct RowSums {
  SATIN_DEVICE void add(const C&, int, int64_t, float) {}
  template <class Column>
  SATIN_DEVICE void store(const Product&, const C&, void*, int, int64_t, int64_t, int64_t, Column) {
  }
};
template <class C, int kCols, int kSlots>
requires(C::kSums > 0) struct RowSums<C, kCols, kSlots> {
  float sum[C::kSums][kCols] = {};

  SATIN_DEVICE void add(const C& c, int column, int64_t at, float v) {
    SATIN_UNROLL
    for (int which = 0; which < C::kSums; ++which) sum[which][column] += c.term(which, at, v);
  }

  /// To c.sums [batch, tiles of m, kSums, n], by way of shared memory of kSlots x kTileN floats
  /// that nobody needs any more.  column(i): this thread's i-th column of the tile.
  template <class Column>
  SATIN_DEVICE void store(const Product& p,
                          const C& c,
                          void* memory,
                          int slot,
                          int64_t batch_and_tile,
                          int64_t j0,
                          int64_t tile_n,
                          Column column) {
    auto* const slots = static_cast<float*>(memory);
    const auto t = static_cast<int>(threadIdx.x);
    SATIN_UNROLL
    for (int which = 0; which < C::kSums; ++which) {
      __syncthreads();
      SATIN_UNROLL
      for (int i = 0; i < kCols; ++i) slots[slot * tile_n + column(i)] = sum[which][i];
      __syncthreads();
      if (t < tile_n && j0 + t < p.n) {
        float total = 0;
        for (int i = 0; i < kSlots; ++i) total += slots[i * tile_n + t];
        c.sums[(batch_and_tile * C::kSums + which) * p.n + j0 + t] = total;
      }
    }
    __syncthreads();
  }
};

enum class Along { outer, depth };

struct Quad {
  float v[4];
};

SATIN_DEVICE Quad load_quad(const float* x) {
  const float4 v = *reinterpret_cast<const float4*>(x);
  return {{v.x, v.y, v.z, v.w}};
}

/// Whether rows of this many elements can be read in quads.
inline bool in_quads(const float* x, int64_t extent) {
  return reinterpret_cast<uintptr_t>(x) % sizeof(float4) == 0 && extent % 4 == 0;
}

/// (i, k) and the next three along X::kAlong, 0 from i = end_i and from k = end_k on.
template <class X>
SATIN_DEVICE Quad
read_quad(const X& x, int64_t g, int64_t i, int64_t end_i, int64_t k, int64_t end_k) {
  Quad q{};
  if (i >= end_i || k >= end_k) return q;
  if (x.quads) {
    const auto outer = x.outer(g, i);
    const auto depth = x.depth(k);
    const float* from = x.find(outer, depth);
    if (!from) return q;
    q = load_quad(from);
    if constexpr (requires { x.values(outer, depth, q); }) q = x.values(outer, depth, q);
    return q;
  }
  SATIN_NO_UNROLL  // rare, and four times as many registers would be everybody's
      for (int r = 0; r < 4; ++r) {
    const int64_t ir = X::kAlong == Along::outer ? i + r : i;
    const int64_t kr = X::kAlong == Along::depth ? k + r : k;
    float e = 0;
    if (ir < end_i && kr < end_k) {
      const auto outer = x.outer(g, ir);
      const auto depth = x.depth(kr);
      const float* from = x.find(outer, depth);
      if (from) e = *from;
      if constexpr (requires { x.value(outer, depth, e); })
        if (from) e = x.value(outer, depth, e);
    }
    SATIN_UNROLL
    for (int j = 0; j < 4; ++j) q.v[j] = j == r ? e : q.v[j];
  }
  return q;
}

struct Divided {
  int64_t quotient, remainder;
};
struct DividedSmall {
  uint32_t quotient, remainder;
};

/// Division of n >= 0 by a number that the host knows: a multiplication and a shift.
/// source: Granlund and Montgomery, Division by Invariant Integers using Multiplication, 1994,
/// figure 4.1
class Divisor {
 public:
  Divisor() : Divisor(1) {}
  explicit Divisor(int64_t d) : d_(d > 0 ? d : 1) {
    while (uint64_t{1} << shift_ < static_cast<uint64_t>(d_)) ++shift_;
    // 2^64 (2^shift - d) / d, digit by digit; its upper half is the same of 2^32.
    uint64_t rest = (uint64_t{1} << shift_) - static_cast<uint64_t>(d_), quotient = 0;
    for (int bit = 0; bit < 64; ++bit) {
      rest *= 2;
      quotient *= 2;
      if (rest < static_cast<uint64_t>(d_)) continue;
      rest -= static_cast<uint64_t>(d_);
      ++quotient;
    }
    magic_ = quotient + 1;
    magic_32_ = static_cast<uint32_t>((quotient >> 32) + 1);
  }

  __device__ Divided operator()(int64_t n) const {
    const auto u = static_cast<uint64_t>(n);
    const auto q = static_cast<int64_t>((__umul64hi(u, magic_) + u) >> shift_);
    return {q, n - q * d_};
  }
  /// The same in a fraction of the time, of n < 2^32.  The divisor is less than 2^31.
  __device__ DividedSmall small(int64_t n) const {
    const auto u = static_cast<uint32_t>(n);
    const auto q = static_cast<uint32_t>((uint64_t{__umulhi(u, magic_32_)} + u) >> shift_);
    return {q, u - q * static_cast<uint32_t>(d_)};
  }

 private:
  int64_t d_;
  uint64_t magic_;
  uint32_t magic_32_;
  int shift_ = 0;
};

}  // namespace satin::cuda
