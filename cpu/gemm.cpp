// The register tiles, compiled once per instruction set and shared by all kernel files of it.
// Measured (bench/products, 1 core): see docs/architecture.md.
#include "cpu/gemm.h"

namespace satin::cpu::SATIN_ISA {
namespace {

// Rows of a along k: every third row has a pointer, x86 addresses reach the two rows behind it by
// (pointer, stride, 1 or 2).  Hidden from the optimizer, which otherwise makes one pointer per row
// and spills them.
template <class T, int R>
struct RowPointers {
  static constexpr int kCount = (R + 2) / 3;
  const T* p[kCount];
  int64_t stride;

  SATIN_INLINE RowPointers(const T* a, int64_t a_row, int64_t) : stride(a_row) {
    SATIN_UNROLL
    for (int j = 0; j < kCount; ++j) p[j] = a + 3 * j * a_row;
  }
  SATIN_INLINE T at(int i, int k) const { return p[i / 3][(i % 3) * stride + k]; }
  SATIN_INLINE void next(int k) {
    SATIN_UNROLL
    for (int j = 0; j < kCount; ++j) {
      p[j] += k;
      asm("" : "+r"(p[j]));
    }
  }
};

// Rows of a side by side: one pointer.
template <class T, int R>
struct ColumnPointer {
  const T* p;
  int64_t step;

  SATIN_INLINE ColumnPointer(const T* a, int64_t, int64_t a_k) : p(a), step(a_k) {}
  SATIN_INLINE T at(int i, int k) const { return p[k * step + i]; }
  SATIN_INLINE void next(int k) {
    p += k * step;
    asm("" : "+r"(p));
  }
};

/// K steps of k.
template <int K, class T, int R, int V, class Pointers>
SATIN_INLINE void steps(Vec<T> (&sum)[R][V], Pointers& a, const T*& b, int64_t b_k) {
  SATIN_UNROLL
  for (int k = 0; k < K; ++k) {
    Vec<T> row[V];
    SATIN_UNROLL
    for (int j = 0; j < V; ++j) row[j] = load(b + j * kLanes<T>);
    SATIN_UNROLL
    for (int i = 0; i < R; ++i) {
      const Vec<T> x = splat(a.at(i, k));
      SATIN_UNROLL
      for (int j = 0; j < V; ++j) fma(sum[i][j], x, row[j]);
    }
    b += b_k;
  }
  a.next(K);
}

/// The sums of a tile that is not full, `width` columns side by side, to their place.  One function
/// for all tiles: a copy in each is a fifth of what the compiler has to do.
template <class T>
[[gnu::noinline]] void write_rows(const Tile<T>& t, const T* rows, int width) {
  for (int i = 0; i < t.rows; ++i) {
    T* c = t.c + i * t.c_row;
    const T* sums = rows + i * width;
    for (int j = 0; j < t.cols; ++j) c[j] = t.add ? c[j] + sums[j] : sums[j];
  }
}

/// In so many steps memory gives the lines of a tile's own sums in time (measured); in fewer it
/// is those of the next tile.
constexpr int64_t kOwn = 48;

/// Far: more than the plain prefetches; where all is near, they would only take time.
template <class T, int R, int V, template <class, int> class Pointers, bool Far>
void run_tile(const Tile<T>& t) {
  constexpr int kL = kLanes<T>;
  Vec<T> sum[R][V];
  SATIN_UNROLL
  for (int j = 0; j < V; ++j) {
    const Vec<T> start = t.bias ? load(t.bias + j * kL) : Vec<T>{};
    SATIN_UNROLL
    for (int i = 0; i < R; ++i) sum[i][j] = start;
  }
  const int64_t c_row = t.c_row;
  const int64_t n = t.outer * t.inner * t.len;
  T* line = Far && t.next_c && n < kOwn ? t.next_c : t.c;
  int lines = R;
  if (!Far || !t.next_c || n < R) {
    lines = 0;
    SATIN_UNROLL
    for (int i = 0; i < R; ++i) {
      SATIN_UNROLL
      for (int j = 0; j < V; ++j) prefetch_for_writing(line + j * kL);
      line += c_row;
      asm("" : "+r"(line));  // no address per row, kept on the stack until the sums are done
    }
  }
  constexpr int kAhead = 8;  // rows of b, which may come from the L2 cache
  constexpr int kUnroll =
      V == 1 ? 2 : 1;  // a narrow tile is short of instructions, not of products
  const char* ahead = static_cast<const char*>(t.ahead ? t.ahead : t.a);
  const bool two_lines = Far && t.ahead_lines > 1;
  const int64_t ahead_step = t.ahead ? 64 * kUnroll * (Far ? t.ahead_lines : 1) : 0, b_k = t.b_k;
  for (int64_t o = 0; o < t.outer; ++o) {
    for (int64_t r = 0; r < t.inner; ++r) {
      Pointers<T, R> a(t.a + o * t.a_outer + r * t.a_inner, t.a_row, t.a_k);
      const T* b = t.b + o * t.b_outer + r * t.b_inner;
      int64_t k = t.len;
      for (; k >= kUnroll; k -= kUnroll) {
        SATIN_UNROLL
        for (int j = 0; j < (Far ? kUnroll : 1); ++j) prefetch(ahead + 64 * j);
        if (two_lines) {
          SATIN_UNROLL
          for (int j = 0; j < kUnroll; ++j) prefetch(ahead + 64 * (kUnroll + j));
        }
        SATIN_UNROLL
        for (int j = 0; j < V; ++j) prefetch_near(b + kAhead * b_k + j * kL);
        ahead += ahead_step;
        if (Far && lines > 0) {
          --lines;
          SATIN_UNROLL
          for (int j = 0; j < V; ++j) prefetch_for_writing(line + j * kL);
          line += c_row;
        }
        steps<kUnroll, T, R, V>(sum, a, b, b_k);
      }
      if constexpr (kUnroll > 1)
        for (; k > 0; --k) steps<1, T, R, V>(sum, a, b, b_k);
    }
  }
  if (t.cols == V * kL) {
    T* c = t.c;
    if (t.add) {
      SATIN_UNROLL
      for (int i = 0; i < R; ++i, c += c_row) {
        SATIN_UNROLL
        for (int j = 0; j < V; ++j) store(c + j * kL, load(c + j * kL) + sum[i][j]);
      }
    } else {
      SATIN_UNROLL
      for (int i = 0; i < R; ++i, c += c_row) {
        SATIN_UNROLL
        for (int j = 0; j < V; ++j) store(c + j * kL, sum[i][j]);
      }
    }
  } else {
    alignas(64) T rows[R][V * kL];
    SATIN_UNROLL
    for (int i = 0; i < R; ++i) {
      SATIN_UNROLL
      for (int j = 0; j < V; ++j) store(rows[i] + j * kL, sum[i][j]);
    }
    write_rows(t, rows[0], V * kL);
  }
}

/// One function for every number of rows.  f64, which exists to check f32, has fewer and takes a
/// tile in several pieces: a row's sums do not depend on its neighbors, and all of these functions
/// together cost the compiler ten seconds.
template <class T, template <class, int> class Pointers, bool Far>
void choose_tile(Tile<T> t) {
  using Run = void (*)(const Tile<T>&);
  constexpr int kMost = sizeof(T) == 4 ? kTileRows : kTileRows / 2;
  static constexpr auto kTable = []<int... R>(std::integer_sequence<int, R...>) {
    struct Runs {
      Run run[kMost][2];
    };
    return Runs{
        {{&run_tile<T, R + 1, 1, Pointers, Far>, &run_tile<T, R + 1, 2, Pointers, Far>}...}};
  }
  (std::make_integer_sequence<int, kMost>{});
  for (int left = t.rows; left > 0; left -= kMost) {
    t.rows = static_cast<int>(min_of(left, kMost));
    kTable.run[t.rows - 1][t.cols > kLanes<T>](t);
    t.a += t.rows * t.a_row;
    t.c += t.rows * t.c_row;
  }
}

}  // namespace

template <class T>
void tile(const Tile<T>& t) {
  if constexpr (sizeof(T) == 4) {
    if (t.next_c || t.ahead_lines > 1)
      return t.a_k == 1 ? choose_tile<T, RowPointers, true>(t)
                        : choose_tile<T, ColumnPointer, true>(t);
  }
  t.a_k == 1 ? choose_tile<T, RowPointers, false>(t) : choose_tile<T, ColumnPointer, false>(t);
}

template <class T>
void pack_panel(T* to, const T* b, int64_t b_k, int64_t b_col, int64_t len, int cols, int width) {
  constexpr int kL = kLanes<T>;
  if (b_col == 1 && cols == width) {
    for (int64_t k = 0; k < len; ++k)
      for (int j = 0; j < width; j += kL) store(to + k * width + j, load(b + k * b_k + j));
    return;
  }
  int64_t done = 0;
  if (b_k == 1) {  // b lies transposed: squares of vectors
    for (; done + kL <= len; done += kL)
      for (int j0 = 0; j0 < width; j0 += kL) {
        Vec<T> square[kL];
        SATIN_UNROLL
        for (int j = 0; j < kL; ++j)
          square[j] = j0 + j < cols ? load(b + done + (j0 + j) * b_col) : Vec<T>{};
        transpose<T>(square);
        SATIN_UNROLL
        for (int k = 0; k < kL; ++k) store(to + (done + k) * width + j0, square[k]);
      }
  }
  for (int64_t k = done; k < len; ++k) {
    for (int j = 0; j < cols; ++j) to[k * width + j] = b[k * b_k + j * b_col];
    for (int j = cols; j < width; ++j) to[k * width + j] = T{0};
  }
}

template <class T>
void sum_partials(const Call& call,
                  T* y,
                  const T* partial,
                  int64_t pieces,
                  int64_t size,
                  const T* bias,
                  int64_t cols) {
  parallel_chunks(call, size, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = partial[i];
    for (int64_t p = 1; p < pieces; ++p) {
      const T* from = partial + p * size;
      for (int64_t i = begin; i < end; ++i) y[i] += from[i];
    }
    if (bias)
      for (int64_t i = begin; i < end; ++i) y[i] += bias[i % cols];
  });
}

template void tile(const Tile<float>&);
template void pack_panel(float*, const float*, int64_t, int64_t, int64_t, int, int);
template void sum_partials(
    const Call&, float*, const float*, int64_t, int64_t, const float*, int64_t);
#if SATIN_BASELINE
template void tile(const Tile<double>&);
template void pack_panel(double*, const double*, int64_t, int64_t, int64_t, int, int);
template void sum_partials(
    const Call&, double*, const double*, int64_t, int64_t, const double*, int64_t);
#endif

}  // namespace satin::cpu::SATIN_ISA
