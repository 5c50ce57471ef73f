// Residual channel attention: y = x + z attention, z = conv2(h), h = LeakyReLU(conv1(LN(x))).
//
// Who owns what.  Five steps over the picture; both convolutions are products (product.h,
// product_mma.h) whose blocks finish what they hold in registers:
//   LN                  x -> n, which lies in y: nobody needs that memory yet
//   first convolution   n -> h = LeakyReLU(sum + b1)
//   second convolution  h -> z = sum + b2, over n; the sums of its columns, block by block
//   attention           the blocks' sums -> one vector of C for each image, in two small kernels
//   scale               y = x + z attention, in place
// So h, in scratch, is the only picture between x and y.
//
// Bytes an element: 8 + 8 + 8 + 12 = 36 (as composition 64: LeakyReLU, the mean, the product and
// the sum are passes of their own).  LN where an element is read would save 4 of them, and compute
// it nine times.  Multiply-adds a pixel: 18 C^2, at C = 32, 64, 128: 18, 74 and 295 thousand for
// 1.2, 2.3 and 4.6 KB: bound by arithmetic in f32, and on tensor cores from C = 64 on.  Not yet
// measured.
#include "cuda/rcab.h"

namespace satin::cuda {
namespace {

struct LeakyRows : ImageRows {
  float slope;
  explicit LeakyRows(const RcabProblem& p) : ImageRows(p), slope(p.slope) {}
  __device__ float finish(int64_t, float v) const { return leaky(v, slope); }
};

struct SummedRows : ImageRows {
  static constexpr int kSums = 1;
  float* sums;
  SummedRows(const RcabProblem& p, float* to) : ImageRows(p), sums(to) {}
  __device__ float term(int, int64_t, float v) const { return v; }
};

/// Block n: the attention [C] of image n; hidden: [N, R].
__global__ void attention_kernel(RcabAttention w, float* hidden, float* attention) {
  const int64_t image = blockIdx.x;
  float* const inner = hidden + image * w.r;
  each_of(w.r, [&](int j) { inner[j] = w.hidden(image, j); });
  each_of(w.c, [&](int i) { attention[image * w.c + i] = w.gate(inner, i); });
}

struct Memory {
  float *h, *tile_sums, *sums, *hidden, *attention;
  int64_t bytes;

  Memory(const RcabProblem& p, void* scratch) {
    Scratch s(scratch);
    h = s.take(p.picture());
    tile_sums = s.take(p.images * p.tiles * p.c);
    sums = s.take(p.images * p.c);
    hidden = s.take(p.images * p.r);
    attention = s.take(p.images * p.c);
    bytes = s.bytes();
  }
};

}  // namespace

int64_t rcab_scratch(const Call& call) { return Memory(RcabProblem(call), nullptr).bytes; }

void rcab(const Call& call) {
  const RcabProblem p(call);
  if (p.picture() == 0) return;
  const Memory m(p, call.scratch);
  const auto in = [&](size_t i) { return static_cast<const float*>(call.in[i].as<float>()); };
  auto* const y = call.out[0].as<float>();
  normalize(call, y, in(0), in(1), in(2), p.rows());
  multiply(call, "rcab: first convolution", p.convolution(in(4)), ImageAtTap(p, y),
           Kernel(p, in(3)), LeakyRows(p), m.h);
  multiply(call, "rcab: second convolution", p.convolution(in(6)), ImageAtTap(p, m.h),
           Kernel(p, in(5)), SummedRows(p, m.tile_sums), y);
  add_rows(call, "rcab: sums", m.sums, m.tile_sums, p.tiles, p.c, p.c, p.images);
  launch(call, "rcab: attention", Launch{dim3(static_cast<unsigned>(p.images)), kBlockThreads},
         attention_kernel, RcabAttention(call, p, m.sums, 1), m.hidden, m.attention);
  scale(call, "rcab: scale", p, y, y, m.attention, in(0), false);
}

}  // namespace satin::cuda
