// matmul and concat_linear with products in bf16.  Both convert some rows of their left side into
// scratch, 32 at a time, and multiply them with packed weights.
#include "cpu/bf16_weight_grad.h"
#include "tensor/concat_linear.h"
#include "tensor/pack_weight.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

constexpr int64_t kRows = 2 * kSide;
constexpr int64_t kLinearWorkers = 16;

/// y [rows, cols] = c + bias of what a product left.
void copy_out(float* y, int64_t y_row, const float* c, int64_t c_row, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; ++r, y += y_row, c += c_row) {
    int64_t j = 0;
    for (; j + kLanes<float> <= cols; j += kLanes<float>) store(y + j, load(c + j));
    for (; j < cols; ++j) y[j] = c[j];
  }
}

// --- matmul
// ------------------------------------------------------------------------------------------

/// [m, k] x [k, n].
struct Product {
  int64_t m, k, n;
  bool transposed;  ///< b is [n, k]
};

Product product_of(const Call& call) {
  const Shape &a = call.in[0].shape, &b = call.in[1].shape;
  const bool transposed = call.as<MatmulAttrs>().transpose_b;
  const int64_t k = a[a.rank() - 1];
  return {k > 0 ? a.size() / k : 0, k, b[transposed ? 0 : 1], transposed};
}

struct MatmulMemory {
  Half* b;
  float* bias;
  struct Worker {
    Half* a;
    float* c;
  } worker[kLinearWorkers];

  MatmulMemory(const Product& p, Memory& from, bool packed)
      : b(packed ? nullptr : from.take<Half>(packed_halves(steps_of(p.k), p.n))),
        bias(from.take<float>(up_to(p.n, kSide))) {
    for (Worker& w : worker)
      w = {from.take<Half>(kRows * up_to(p.k, kDepth)),
           from.take<float>(kRows * up_to(p.n, kSide))};
  }
};

void pack(const Product& p, const float* b, Half* to) {
  pack_right(to, p.k, p.n,
             [&](int64_t k, int64_t j) { return p.transposed ? b[j * p.k + k] : b[k * p.n + j]; });
}

}  // namespace

/// Rows of any number of images with one matrix of weights; and the gradient in such weights.
bool takes_matmul(const Call& call) {
  const auto attrs = call.as<MatmulAttrs>();
  const Shape &a = call.in[0].shape, &b = call.in[1].shape;
  if (a.size() == 0 || b.size() == 0) return false;
  const int64_t k = a[a.rank() - 1], rows = a.size() / k;
  if (is_matmul_over_rows(call)) return !moves_more(k, b[b.rank() - 1], rows);
  return !attrs.transpose_a && !attrs.sum_batch && b.rank() == 2 &&
         !moves_more(k, b.size() / k, rows);
}

void matmul(const Call& call) {
  if (is_matmul_over_rows(call)) return matmul_over_rows(call);
  const Product p = product_of(call);
  Memory from(call.scratch);
  const MatmulMemory memory(p, from, call.packed);
  if (!call.packed) pack(p, call.in[1].as<float>(), memory.b);
  pad_bias(memory.bias, call.in.size() > 2 ? call.in[2].as<float>() : nullptr, p.n);
  const Half* b = call.packed ? call.packed->as<Half>() : memory.b;
  const float* a = call.in[0].as<float>();
  float* y = call.out[0].as<float>();
  constexpr int64_t kPieceRows = 8 * kRows;
  const int64_t depth = up_to(p.k, kDepth), cols = up_to(p.n, kSide);
  parallel_workers(call, kLinearWorkers, ceil_div(p.m, kPieceRows),
                   [&](int64_t worker, int64_t piece) {
                     const Session session;
                     const MatmulMemory::Worker w = memory.worker[worker];
                     for (int64_t i = piece * kPieceRows; i < min_of(p.m, (piece + 1) * kPieceRows);
                          i += kRows) {
                       const int64_t rows = min_of(kRows, p.m - i);
                       for (int64_t r = 0; r < rows; ++r)
                         convert(w.a + r * depth, a + (i + r) * p.k, p.k, depth);
                       Block block{};
                       block.a = w.a, block.a_row = depth;
                       block.b = b, block.steps = depth / kDepth;
                       block.c = w.c, block.c_row = cols;
                       block.bias = memory.bias;
                       product(block, rows, cols);
                       copy_out(y + i * p.n, p.n, w.c, cols, rows, p.n);
                     }
                   });
}

int64_t matmul_scratch(const Call& call) {
  if (is_matmul_over_rows(call)) return matmul_over_rows_scratch(call);
  Memory from;
  const MatmulMemory memory(product_of(call), from, call.packed);
  return from.taken();
}

Packing matmul_packing(const Call& call) {
  if (is_matmul_over_rows(call)) return {};
  const Product p = product_of(call);
  return {p.transposed, packed_halves(steps_of(p.k), p.n) / 2, 1u << 1};
}

void matmul_pack(const Call& call) {
  const Shape& b = call.in[0].shape;
  const bool transposed = call.as<PackWeightAttrs>().form != 0;
  pack({0, b[transposed ? 1 : 0], b[transposed ? 0 : 1], transposed}, call.in[0].as<float>(),
       call.out[0].as<Half>());
}

// --- concat_linear
// -------------------------------------------------------------------------------------

namespace {

constexpr size_t kMostImages = 16;

/// One image beside the result.  Its channels begin at column `first` of W's rows and at column
/// `at` of a row of a that holds all images which are not repeated.
struct Image {
  int64_t h, w, c, first, at;
  int64_t up_h, up_w, down_h, down_w;

  bool repeats() const { return up_h > 1 || up_w > 1; }
};

struct Join {
  int64_t n, h, w, cout, depth = 0;  ///< of the images side by side
  size_t images;
  Image image[kMostImages];
  Half* right[kMostImages] = {};  ///< of repeated images; what they give
  float* product[kMostImages] = {};
  Half* side_by_side = nullptr;
  float* bias = nullptr;
  Half* a[kLinearWorkers] = {};
  float* c[kLinearWorkers] = {};

  Join(const Call& call, Memory& from) {
    const Shape& y = call.out[0].shape;
    n = y[0], h = y[1], w = y[2], cout = y[3];
    images = call.in.size() - 2;
    int64_t first = 0, widest = 0;
    for (size_t i = 0; i < images; ++i) {
      const Shape& s = call.in[i].shape;
      Image& x = image[i];
      x = {s[1],
           s[2],
           s[3],
           first,
           depth,
           max_of(1, h / s[1]),
           max_of(1, w / s[2]),
           max_of(1, s[1] / h),
           max_of(1, s[2] / w)};
      first += x.c;
      if (!x.repeats()) depth += up_to(x.c, kDepth);
      widest = max_of(widest, up_to(x.c, kDepth));
      if (!x.repeats()) continue;
      right[i] = from.take<Half>(packed_halves(steps_of(x.c), cout));
      product[i] = from.take<float>(n * x.h * x.w * cout);
    }
    side_by_side = from.take<Half>(packed_halves(depth / kDepth, cout));
    bias = from.take<float>(up_to(cout, kSide));
    for (size_t i = 0; i < kLinearWorkers; ++i) {
      a[i] = from.take<Half>(kRows * max_of(depth, widest));
      c[i] = from.take<float>(kRows * up_to(cout, kSide));
    }
  }

  void pack(const float* weights, const float* b) const {
    for (size_t i = 0; i < images; ++i) {
      const Image& x = image[i];
      if (x.repeats())
        pack_right(right[i], x.c, cout,
                   [&](int64_t k, int64_t j) { return weights[(x.first + k) * cout + j]; });
    }
    pack_right(side_by_side, depth, cout, [&](int64_t k, int64_t j) {
      for (size_t i = 0; i < images; ++i) {
        const Image& x = image[i];
        if (!x.repeats() && k >= x.at && k < x.at + x.c)
          return weights[(x.first + k - x.at) * cout + j];
      }
      return 0.0f;
    });
    pad_bias(bias, b, cout);
  }
};

}  // namespace

bool takes_concat_linear(const Call& call) {
  const Shape &w = call.in[call.in.size() - 2].shape, &y = call.out[0].shape;
  return call.in.size() - 2 <= kMostImages && y.size() > 0 &&
         !moves_more(w[0], w[1], y[0] * y[1] * y[2]);
}

void concat_linear(const Call& call) {
  Memory from(call.scratch);
  const Join p(call, from);
  p.pack(call.in[p.images].as<float>(), call.in[p.images + 1].as<float>());
  const int64_t cols = up_to(p.cout, kSide);
  // The product of some rows to y if they are whole tiles, else to scratch: gives back where.
  const auto multiply_rows = [&](int64_t worker, int64_t depth, const Half* right,
                                 const float* bias, int64_t rows, float* y) {
    Block block{};
    block.a = p.a[worker], block.a_row = depth;
    block.b = right, block.steps = depth / kDepth;
    block.c = rows % kSide == 0 && cols == p.cout ? y : p.c[worker], block.c_row = cols;
    block.bias = bias;
    product(block, rows, cols);
    return block.c;
  };
  for (size_t i = 0; i < p.images; ++i) {
    const Image& x = p.image[i];
    if (!x.repeats()) continue;
    const int64_t depth = up_to(x.c, kDepth);
    parallel_workers(call, kLinearWorkers, p.n * x.h, [&](int64_t worker, int64_t row) {
      const Session session;
      for (int64_t j = 0; j < x.w; j += kRows) {
        const int64_t rows = min_of(kRows, x.w - j), at = row * x.w + j;
        for (int64_t r = 0; r < rows; ++r)
          convert(p.a[worker] + r * depth, call.in[i].as<float>() + (at + r) * x.c, x.c, depth);
        float* y = p.product[i] + at * p.cout;
        const float* c = multiply_rows(worker, depth, p.right[i], nullptr, rows, y);
        if (c != y) copy_out(y, p.cout, c, cols, rows, p.cout);
      }
    });
  }
  parallel_workers(call, kLinearWorkers, p.n * p.h, [&](int64_t worker, int64_t row) {
    const Session session;
    const int64_t n = row / p.h, h = row % p.h;
    for (int64_t j = 0; j < p.w; j += kRows) {
      const int64_t rows = min_of(kRows, p.w - j);
      for (size_t i = 0; i < p.images; ++i) {
        const Image& x = p.image[i];
        if (x.repeats()) continue;
        const float* pixel =
            call.in[i].as<float>() + ((n * x.h + h * x.down_h) * x.w + j * x.down_w) * x.c;
        for (int64_t r = 0; r < rows; ++r, pixel += x.down_w * x.c)
          convert(p.a[worker] + r * p.depth + x.at, pixel, x.c, up_to(x.c, kDepth));
      }
      float* y = call.out[0].as<float>() + (row * p.w + j) * p.cout;
      float* c = multiply_rows(worker, p.depth, p.side_by_side, p.bias, rows, y);
      for (size_t i = 0; i < p.images; ++i) {
        const Image& x = p.image[i];
        if (!x.repeats()) continue;
        const float* of_row = p.product[i] + (n * x.h + h / x.up_h) * x.w * p.cout;
        for (int64_t r = 0; r < rows; ++r) {
          const float* pixel = of_row + (j + r) / x.up_w * p.cout;
          float* to = c + r * cols;
          int64_t o = 0;
          for (; o + kLanes<float> <= p.cout; o += kLanes<float>)
            store(to + o, load(to + o) + load(pixel + o));
          for (; o < p.cout; ++o) to[o] += pixel[o];
        }
      }
      if (c != y) copy_out(y, p.cout, c, cols, rows, p.cout);
    }
  });
}

int64_t concat_linear_scratch(const Call& call) {
  Memory from;
  const Join p(call, from);
  return from.taken();
}

/// Its weights are few: they are packed in every run.
Packing concat_linear_packing(const Call&) { return {}; }
void concat_linear_pack(const Call&) {}

}  // namespace satin::cpu::SATIN_ISA::bf16
