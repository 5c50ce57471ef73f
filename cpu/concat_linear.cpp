// A linear map of images side by side.  First what it means, pixel by pixel.  Below it the fast
// way: smaller images meet their rows of W at their own size, into scratch; then every output row
// is the sum of products of the other images, read where they lie, and of repeated rows of scratch.
#include "tensor/concat_linear.h"

#include "cpu/gemm.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// One image beside the result.
struct Image {
  int64_t h, w, c;
  int64_t first_row;       ///< of W
  int64_t up_h, up_w;      ///< how often a row and a pixel is repeated
  int64_t down_h, down_w;  ///< of how many rows and pixels one is taken
  int64_t scratch;         ///< where its product lies, in elements; -1: nowhere

  bool repeats() const { return up_h > 1 || up_w > 1; }
};

constexpr size_t kMostImages = 16;
constexpr int64_t kTaskPixels = 1024;            ///< of a task, about
constexpr int64_t kBlockPixels = 4 * kTileRows;  ///< that go through all images together, in L1

struct ConcatProblem {
  int64_t n, h, w, cout, channels;
  size_t images;
  Image image[kMostImages];
  int64_t packed, scratch;  ///< elements: weights; all scratch, weights included if not given

  int64_t width(int lanes) const { return ceil_div(cout, lanes) * lanes; }
};

/// More images than kMostImages run as the loops say.
template <class T>
ConcatProblem problem_of(const Call& call) {
  ConcatProblem p{};
  const Shape& y = call.out[0].shape;
  p.n = y[0], p.h = y[1], p.w = y[2], p.cout = y[3];
  p.images = call.in.size() - 2;
  p.channels = call.in[p.images].shape[0];
  p.packed = ceil_div(p.channels * p.width(kLanes<T>), 16) * 16;
  p.scratch = (call.packed ? 0 : p.packed) + ceil_div(p.width(kLanes<T>), 16) * 16;  // the bias
  int64_t row = 0;
  for (size_t i = 0; i < p.images && p.images <= kMostImages; ++i) {
    const Shape& s = call.in[i].shape;
    Image& x = p.image[i];
    x = {s[1],
         s[2],
         s[3],
         row,
         max_of(1, p.h / s[1]),
         max_of(1, p.w / s[2]),
         max_of(1, s[1] / p.h),
         max_of(1, s[2] / p.w),
         -1};
    row += x.c;
    if (!x.repeats()) continue;
    x.scratch = p.scratch;
    p.scratch += ceil_div(p.n * x.h * x.w * p.cout, 16) * 16;
  }
  return p;
}

template <class T>
void plain_concat_linear(const Call& call) {
  const size_t images = call.in.size() - 2;
  const Shape& shape = call.out[0].shape;
  const int64_t h = shape[1], w = shape[2], cout = shape[3];
  const T *weight = call.in[images].as<T>(), *bias = call.in[images + 1].as<T>();
  T* y = call.out[0].as<T>();
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j)
        for (int64_t o = 0; o < cout; ++o) {
          T sum = bias[o];
          const T* column = weight + o;
          for (size_t k = 0; k < images; ++k) {
            const Shape& s = call.in[k].shape;
            const int64_t row = s[1] < h ? i / (h / s[1]) : i * (s[1] / h);
            const int64_t col = s[2] < w ? j / (w / s[2]) : j * (s[2] / w);
            const T* x = call.in[k].as<T>() + ((n * s[1] + row) * s[2] + col) * s[3];
            for (int64_t q = 0; q < s[3]; ++q, column += cout) sum += x[q] * *column;
          }
          y[((n * h + i) * w + j) * cout + o] = sum;
        }
}

template <class T>
struct Rows {
  const ConcatProblem& p;
  const T* packed;  ///< panels of W: all its rows, columns in vectors of a tile's width
  const T* bias;

  /// `count` neighboring pixels of image x, `step` apart, to y, whose pixels lie together; `ahead`
  /// pixels on, what the next call reads and writes is fetched.
  void product(const Image& x,
               const T* from,
               int64_t step,
               T* y,
               int64_t count,
               const T* with,
               bool add,
               const T* ahead_from,
               T* ahead_y) const {
    Ahead ahead;
    ahead.add(ahead_from, count * step);
    for_even(0, count, kTileRows, [&](int64_t i, int64_t rows) {
      for (int64_t j = 0; j < p.cout; j += kTileCols<T>) {
        const int cols = static_cast<int>(min_of(kTileCols<T>, p.cout - j));
        Tile<T> t{};
        t.a = from + i * step;
        t.a_row = step;
        t.a_k = 1;
        t.b_k = whole_vectors<T>(cols);
        t.b = packed + p.channels * j + x.first_row * t.b_k;
        t.outer = t.inner = 1;
        t.len = x.c;
        t.c = y + i * p.cout + j;
        t.c_row = p.cout;
        t.rows = static_cast<int>(rows);
        t.cols = cols;
        t.bias = with ? with + j : nullptr;
        t.add = add;
        t.ahead = ahead.take(x.c);
        t.next_c = ahead_y + i * p.cout + j;
        tile(t);
      }
    });
  }

  /// y += pixels [u, u + count) of a row `from`, every pixel of which is repeated.
  void add_repeated(const Image& x, const T* from, int64_t u, int64_t count, T* y) const {
    from += u / x.up_w * p.cout;
    for (int64_t left = x.up_w - u % x.up_w; count > 0; left = x.up_w, from += p.cout)
      for (; left > 0 && count > 0; --left, --count, y += p.cout) {
        int64_t o = 0;
        for (; o + kLanes<T> <= p.cout; o += kLanes<T>) store(y + o, load(y + o) + load(from + o));
        for (; o < p.cout; ++o) y[o] += from[o];
      }
  }
};

/// Panels of W [channels, cout].
template <class T>
void pack(const T* w, int64_t channels, int64_t cout, T* to) {
  for (int64_t j = 0; j < cout; j += kTileCols<T>) {
    const int cols = static_cast<int>(min_of(kTileCols<T>, cout - j));
    pack_panel(to + channels * j, w + j, cout, 1, channels, cols, whole_vectors<T>(cols));
  }
}

template <class T>
void fast_concat_linear(const Call& call) {
  const ConcatProblem p = problem_of<T>(call);
  T* scratch = static_cast<T*>(call.scratch);
  if (!call.packed) pack(call.in[p.images].as<T>(), p.channels, p.cout, scratch);
  const T* packed = call.packed ? call.packed->as<T>() : scratch;
  T* bias = scratch + (call.packed ? 0 : p.packed);
  pack_panel(bias, call.in[p.images + 1].as<T>(), 0, 1, 1, static_cast<int>(p.cout),
             static_cast<int>(p.width(kLanes<T>)));
  const Rows<T> rows{p, packed, bias};

  for (size_t i = 0; i < p.images; ++i) {
    const Image& x = p.image[i];
    if (!x.repeats()) continue;
    parallel_chunks(call, p.n * x.h * x.w, kTaskPixels, [&](int64_t begin, int64_t end) {
      for_even(begin, end, kBlockPixels, [&](int64_t u, int64_t count) {
        const T* from = call.in[i].as<T>() + u * x.c;
        T* to = scratch + x.scratch + u * p.cout;
        rows.product(x, from, x.c, to, count, nullptr, false, from + count * x.c,
                     to + count * p.cout);
      });
    });
  }
  T* y = call.out[0].as<T>();
  const int64_t task_rows = max_of(1, kTaskPixels / max_of(1, p.w));
  parallel_chunks(call, p.n * p.h, task_rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.h, h = row % p.h;
      for_even(0, p.w, kBlockPixels, [&](int64_t u, int64_t count) {
        T* to = y + (row * p.w + u) * p.cout;
        bool add = false;
        for (size_t i = 0; i < p.images; ++i) {
          const Image& x = p.image[i];
          if (x.repeats()) continue;
          const int64_t step = x.down_w * x.c;
          const T* from = call.in[i].as<T>() + (n * x.h + h * x.down_h) * x.w * x.c + u * step;
          const T* next =
              u + count < p.w ? from + count * step : from + x.down_h * x.w * x.c - u * step;
          rows.product(x, from, step, to, count, add ? nullptr : bias, add, next,
                       to + count * p.cout);
          add = true;
        }
        if (!add)
          for (int64_t j = 0; j < count; ++j)
            for (int64_t o = 0; o < p.cout; ++o) to[j * p.cout + o] = bias[o];
        for (size_t i = 0; i < p.images; ++i) {
          const Image& x = p.image[i];
          if (x.repeats())
            rows.add_repeated(x, scratch + x.scratch + (n * x.h + h / x.up_h) * x.w * p.cout, u,
                              count, to);
        }
      });
    }
  });
}

}  // namespace

void concat_linear(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const bool plain = wants_plain(call) || call.in.size() - 2 > kMostImages;
    plain ? plain_concat_linear<T>(call) : fast_concat_linear<T>(call);
  });
}

int64_t concat_linear_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = problem_of<T>(call).scratch * static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

Packing concat_linear_packing(const Call& call) {
  Packing packing{};
  const size_t images = call.in.size() - 2;
  if (images > kMostImages) return packing;
  with_type(call.out[0].dtype, [&](auto t) {
    packing = {0, problem_of<decltype(t)>(call).packed, 1u << images};
  });
  return packing;
}

void concat_linear_pack(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Shape& w = call.in[0].shape;
    pack(call.in[0].as<T>(), w[0], w[1], call.out[0].as<T>());
  });
}

}  // namespace satin::cpu::SATIN_ISA
