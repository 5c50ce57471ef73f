// Gradients in weights with products in bf16: sums over rows of  left' right,  for matmul and
// conv2d.
//
// Some rows at a time are rounded, the left ones turned and the right ones in pairs, and their
// product is added to sums that belong to a piece of the rows; pieces are added up in the end.
#include "cpu/bf16_weight_grad.h"

#include "tensor/conv2d.h"

namespace satin::cpu::SATIN_ISA::bf16 {

RowSums::RowSums(int64_t k_, int64_t n_, int64_t rows_, int64_t taps_, int64_t units, Memory& from)
    : k(k_), n(n_), rows(up_to(rows_, kDepth)), taps(taps_), pieces(min_of(kMostPieces, units)) {
  sums = from.take<float>(pieces * size());
  for (Worker& w : worker) {
    w.left = from.take<Half>(rows * up_to(k, kDepth));
    w.right = from.take<Half>(rows * up_to(n, kDepth));
    w.turned = from.take<Half>(up_to(k, kSide) * rows);
    w.pairs = from.take<Half>(packed_halves(rows / kDepth, n));
    w.some = from.take<Half>(kDepth * up_to(k, kDepth));
  }
}

void RowSums::pair_up(const Worker& w, int64_t steps) const {
  pair_rows(w.right, up_to(n, kDepth), steps * kDepth, up_to(n, kSide), w.pairs, steps);
}

void RowSums::add(const Worker& w, int64_t steps, int64_t tap, int64_t piece) const {
  turn_rows(w.left, up_to(k, kDepth), steps * kDepth, up_to(k, kSide), w.some, w.turned, rows);
  Block block{};
  block.a = w.turned, block.a_row = rows;
  block.b = w.pairs, block.steps = steps;
  block.c = sums + piece * size() + tap * up_to(k, kSide) * up_to(n, kSide);
  block.c_row = up_to(n, kSide);
  block.add = true;
  product(block, k, up_to(n, kSide));
}

void RowSums::give(const Call& call, float* to) const {
  const int64_t wide = up_to(n, kSide), high = up_to(k, kSide);
  parallel_chunks(call, taps * k, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = sums + (i / k * high + i % k) * wide;
      float* row = to + i * n;
      for (int64_t j = 0; j < n; ++j) row[j] = from[j];
      for (int64_t piece = 1; piece < pieces; ++piece)
        for (int64_t j = 0; j < n; ++j) row[j] += from[piece * size() + j];
    }
  });
}

namespace {

constexpr int64_t kRowsAtOnce = 256;

/// Of some rows of results at a time.
struct KernelGrad {
  int64_t n, h, w, cin, oh, ow, cout, kh, kw, stride, pad, dilation;
  int64_t depth, at_once;  ///< results of a row in whole steps; rows of them

  explicit KernelGrad(const Call& call) {
    const auto attrs = call.as<Conv2dAttrs>();
    const Shape &x = call.in[0].shape, &dy = call.in[1].shape, &dw = call.out[0].shape;
    n = x[0], h = x[1], w = x[2], cin = x[3];
    oh = dy[1], ow = dy[2], cout = dy[3];
    kh = dw[0], kw = dw[1];
    stride = attrs.stride, pad = attrs.pad, dilation = attrs.dilation;
    depth = up_to(ow, kDepth);
    at_once = max_of(1, kRowsAtOnce / depth);
  }
  RowSums sums(Memory& from) const { return {cin, cout, at_once * depth, kh * kw, n * oh, from}; }
};

/// Row `row` (of all images) of what a tap of the kernel reads.
void read_tap(const KernelGrad& p, const float* x, int64_t row, int64_t tap, Half* to) {
  const int64_t channels = up_to(p.cin, kDepth);
  const int64_t i = row % p.oh * p.stride + tap / p.kw * p.dilation - p.pad;
  for (int64_t j = 0; j < p.depth; ++j, to += channels) {
    const int64_t col = j * p.stride + tap % p.kw * p.dilation - p.pad;
    const bool inside = j < p.ow && i >= 0 && i < p.h && col >= 0 && col < p.w;
    convert(to, x + (inside ? ((row / p.oh * p.h + i) * p.w + col) * p.cin : 0), inside ? p.cin : 0,
            channels);
  }
}

}  // namespace

bool takes_conv2d_weight_grad(const Call& call) {
  const Shape& dy = call.in[1].shape;
  return call.as<Conv2dAttrs>().groups == 1 && call.in[0].shape.size() > 0 && dy.size() > 0 &&
         call.out[0].shape.size() > 0 &&
         !moves_more(call.in[0].shape[3], dy[3], dy[0] * dy[1] * dy[2]);
}

void conv2d_weight_grad(const Call& call) {
  const KernelGrad p(call);
  Memory from(call.scratch);
  const RowSums sums = p.sums(from);
  const float *x = call.in[0].as<float>(), *dy = call.in[1].as<float>();
  const int64_t wide = up_to(p.cout, kDepth), channels = up_to(p.cin, kDepth);
  sums.every_piece(
      call, p.n * p.oh, [&](const RowSums::Worker& w, int64_t piece, int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row += p.at_once) {
          const int64_t rows = min_of(p.at_once, end - row), steps = rows * p.depth / kDepth;
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t j = 0; j < p.depth; ++j)
              convert(w.right + (r * p.depth + j) * wide,
                      dy + (j < p.ow ? ((row + r) * p.ow + j) * p.cout : 0), j < p.ow ? p.cout : 0,
                      wide);
          sums.pair_up(w, steps);
          for (int64_t tap = 0; tap < p.kh * p.kw; ++tap) {
            for (int64_t r = 0; r < rows; ++r)
              read_tap(p, x, row + r, tap, w.left + r * p.depth * channels);
            sums.add(w, steps, tap, piece);
          }
        }
      });
  sums.give(call, call.out[0].as<float>());
}

int64_t conv2d_weight_grad_scratch(const Call& call) {
  Memory from;
  KernelGrad(call).sums(from);
  return from.taken();
}

Packing conv2d_weight_grad_packing(const Call&) { return {}; }
void conv2d_weight_grad_pack(const Call&) {}

// --- matmul, summed over the batch
// --------------------------------------------------------------------------

namespace {

struct MatrixGrad {
  int64_t rows, k, n;

  explicit MatrixGrad(const Call& call) {
    const Shape &a = call.in[0].shape, &b = call.in[1].shape;
    k = a[a.rank() - 1], n = b[b.rank() - 1];
    rows = a.size() / k;
  }
  RowSums sums(Memory& from) const {
    return {k, n, min_of(rows, kRowsAtOnce), 1, ceil_div(rows, kRowsAtOnce), from};
  }
};

}  // namespace

bool is_matmul_over_rows(const Call& call) {
  const auto attrs = call.as<MatmulAttrs>();
  return attrs.transpose_a && !attrs.transpose_b && call.in.size() == 2 &&
         call.out[0].shape.rank() == 2 && call.in[0].shape.size() > 0 &&
         call.in[0].shape.rank() == call.in[1].shape.rank() &&
         call.in[1].shape.size() / call.in[1].shape[call.in[1].shape.rank() - 1] ==
             call.in[0].shape.size() / call.in[0].shape[call.in[0].shape.rank() - 1] &&
         call.in[1].shape.size() > 0;
}

void matmul_over_rows(const Call& call) {
  const MatrixGrad p(call);
  Memory from(call.scratch);
  const RowSums sums = p.sums(from);
  const float *a = call.in[0].as<float>(), *b = call.in[1].as<float>();
  const int64_t high = up_to(p.k, kDepth), wide = up_to(p.n, kDepth);
  sums.every_piece(
      call, ceil_div(p.rows, kRowsAtOnce),
      [&](const RowSums::Worker& w, int64_t piece, int64_t begin, int64_t end) {
        for (int64_t i = begin * kRowsAtOnce; i < min_of(p.rows, end * kRowsAtOnce);
             i += kRowsAtOnce) {
          const int64_t rows = min_of(kRowsAtOnce, p.rows - i), whole = up_to(rows, kDepth);
          for (int64_t r = 0; r < whole; ++r) {
            convert(w.left + r * high, r < rows ? a + (i + r) * p.k : a, r < rows ? p.k : 0, high);
            convert(w.right + r * wide, r < rows ? b + (i + r) * p.n : b, r < rows ? p.n : 0, wide);
          }
          sums.pair_up(w, whole / kDepth);
          sums.add(w, whole / kDepth, 0, piece);
        }
      });
  sums.give(call, call.out[0].as<float>());
}

int64_t matmul_over_rows_scratch(const Call& call) {
  Memory from;
  MatrixGrad(call).sums(from);
  return from.taken();
}

}  // namespace satin::cpu::SATIN_ISA::bf16
