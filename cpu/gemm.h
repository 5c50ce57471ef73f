// The register tile under every product: matmul, the convolutions, later the fused kernels.
//
//   c[i, j] (+)= bias[j] + sum over runs (o, r), k of  a(i, o, r, k) * b(o, r, k)[j]
//
// i runs over up to kTileRows rows, j over up to two vectors of columns.  All sums stay in
// registers over the whole range of k, each a chain in rising k, so that a result never depends on
// how the rows and columns around it were cut into tiles.  a is read where it lies, either along k
// (a_k = 1, rows a_row apart) or along i (a_row = 1, steps of k a_k apart); b comes as rows of
// whole vectors. Drivers cut the problem, pack what needs packing and call tile(); start reading at
// matmul.cpp.
#pragma once

#include "cpu/kernel.h"
#include "cpu/vec.h"

namespace satin::cpu::SATIN_ISA {

// 32 vector registers hold 14 x 2 sums, 16 hold 6 x 2; the rest is for b and the broadcast of a.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int kTileRows = 14;
#else
inline constexpr int kTileRows = 6;
#endif
inline constexpr int kTileVectors = 2;

/// Columns of a full tile: the width of packed panels of b.
template <class T>
inline constexpr int kTileCols = kTileVectors* kLanes<T>;

template <class T>
struct Tile {
  const T* a;
  int64_t a_row, a_k;  ///< one of them is 1
  const T* b;
  int64_t b_k;                        ///< from one k to the next
  int64_t outer = 1, inner = 1, len;  ///< runs: k in [0, len) for every (o, r)
  int64_t a_outer = 0, a_inner = 0, b_outer = 0, b_inner = 0;
  T* c;
  int64_t c_row;
  int rows;                 ///< 1 ... kTileRows
  int cols;                 ///< 1 ... kTileCols; b has whole vectors nevertheless
  const T* bias = nullptr;  ///< whole vectors; null: none
  bool add = false;         ///< onto c, which otherwise is not read
  const void* ahead =
      nullptr;          ///< memory soon needed: cache lines are prefetched from it for every k
  int ahead_lines = 1;  ///< how many: 1 or 2
  /// Where the next tile's sums go.  If given, lines of sums are far away: they are prefetched for
  /// writing row by row while products are computed.  null: all at once, before.
  T* next_c = nullptr;
};

template <class T>
void tile(const Tile<T>& t);

/// Memory that comes next, handed out to tiles as their Tile::ahead.
class Ahead {
 public:
  template <class T>
  void add(const T* from, int64_t elements) {
    regions_[count_++] = {reinterpret_cast<const char*>(from),
                          elements * static_cast<int64_t>(sizeof(T)) / 64};
  }
  /// Spreads nearly all of it over so many values of k.
  void pace(int64_t all) {
    int64_t lines = 0;
    for (int i = 0; i < count_; ++i) lines += regions_[i].lines;
    lines_ = lines > all + all / 4 ? 2 : 1;
  }
  int lines() const { return lines_; }  ///< for every k
  /// For a tile that runs over n values of k.
  const void* take(int64_t n) {
    for (; now_ < count_ && at_ >= regions_[now_].lines; at_ = 0) ++now_;
    if (now_ == count_) return nullptr;
    const char* p = regions_[now_].from + 64 * at_;
    at_ += n * lines_;
    return p;
  }

 private:
  struct Region {
    const char* from;
    int64_t lines;
  };
  Region regions_[2] = {};
  int count_ = 0, now_ = 0, lines_ = 1;
  int64_t at_ = 0;
};

/// Panel of b: k rows of `width` (whole vectors) columns, the first `cols` of them copied from
/// b(k, j) = b[k * b_k + j * b_col], the others 0.
template <class T>
void pack_panel(T* to, const T* b, int64_t b_k, int64_t b_col, int64_t len, int cols, int width);

/// Columns padded to whole vectors.
template <class T>
constexpr int whole_vectors(int64_t cols) {
  return static_cast<int>((cols + kLanes<T> - 1) / kLanes<T>) * kLanes<T>;
}

inline constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline constexpr int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
inline constexpr int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

/// body(begin, count) over [begin, end) in the fewest pieces of at most `most`, as even as can be.
template <class Body>
SATIN_INLINE void for_even(int64_t begin, int64_t end, int64_t most, Body body) {
  const int64_t n = end - begin, pieces = ceil_div(n, most);
  for (int64_t p = 0; p < pieces; ++p) {
    const int64_t from = n * p / pieces, to = n * (p + 1) / pieces;
    body(begin + from, to - from);
  }
}

/// y = sum over pieces of partial[piece] (+ bias along rows of `cols`), in rising order.
template <class T>
void sum_partials(const Call& call,
                  T* y,
                  const T* partial,
                  int64_t pieces,
                  int64_t size,
                  const T* bias,
                  int64_t cols);

}  // namespace satin::cpu::SATIN_ISA
