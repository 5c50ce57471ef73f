// The gradient of residual channel attention (docs/derivations/rcab.md).  With n = LN(x),
// q = conv1(n), h = LeakyReLU(q), z = conv2(h), a the attention and m the mean of z:
//
//   dz = dy a + dm / P      dw2 = h x dz      dq = LeakyReLU'(q) conv2^T(dz)      dw1 = n x dq
//   dn = conv1^T(dq)        dx = dy + LN'(dn)
//
// Who owns what.  Six products (product.h, product_mma.h), whose blocks finish what they hold in
// registers, and passes over the picture between them.  The memory of dx holds one after the other
// n, dz, n again, dn and dx:
//   n -> q, in scratch: the only picture there.  h is computed where it is read
//   h -> the sums of z, z dy and dy over the pixels of each tile; z itself is not kept
//   attention and its derivative, one block for each image; its weights' cotangents, in the order
//   of images
//   dz -> dw2;  dz -> dq, over q, and its sums: db1;  n -> dw1;  dq -> dn;  dx, over dn
//
// Bytes an element: LN 8, products 8 + 8 + 8 + 12 + 8 + 8, dz 8, LN 8, LN' 16: 92.  Multiply-adds a
// pixel: 54 C^2, bound by arithmetic.  dz where it is read would save 16 bytes and cost registers
// that the products do not have.  The sums of z could also come out of dw2's product, image by
// image, as on the CPU: five products instead of six, but sums by pixel borders of their own.  Not
// yet measured.
#include "cuda/loop.h"
#include "cuda/rcab.h"

namespace satin::cuda {
namespace {

// --- operands ------------------------------------------------------------------------------------

/// h, from q.
struct HiddenAtTap : ImageAtTap {
  float slope;
  HiddenAtTap(const RcabProblem& p, const float* q) : ImageAtTap(p, q), slope(p.slope) {}
  __device__ float value(const Pixel&, const Tap&, float q) const { return leaky(q, slope); }
  __device__ Quad values(const Pixel&, const Tap&, const Quad& q) const {
    return {
        {leaky(q.v[0], slope), leaky(q.v[1], slope), leaky(q.v[2], slope), leaky(q.v[3], slope)}};
  }
};

/// The same for all images, summed over pixels.
struct HiddenAtTapTurned : InputAtTapTurned {
  float slope;
  HiddenAtTapTurned(const RcabProblem& p, const float* q)
      : InputAtTapTurned(p.geometry, q), slope(p.slope) {}
  __device__ float value(const Place&, const Pixel&, float q) const { return leaky(q, slope); }
  __device__ Quad values(const Place&, const Pixel&, const Quad& q) const {
    return {
        {leaky(q.v[0], slope), leaky(q.v[1], slope), leaky(q.v[2], slope), leaky(q.v[3], slope)}};
  }
};

/// A kernel turned by half a turn, its channels exchanged: what conv^T multiplies by.
struct KernelTurned : WeightTurned {
  KernelTurned(const RcabProblem& p, const float* weight) : WeightTurned(p.geometry, weight) {
    w += 8 * tap;
    tap = -tap;
    group_out = 0;
  }
};

// --- results -------------------------------------------------------------------------------------

/// z, of which only sums are kept: z, z dy, dy.
struct SumsOfZ : ImageRows {
  using OnlySums = void;
  static constexpr int kSums = 3;
  float* sums;
  const float* dy;
  SumsOfZ(const RcabProblem& p, float* to, const float* with) : ImageRows(p), sums(to), dy(with) {}
  __device__ float term(int which, int64_t at, float z) const {
    return which == 0 ? z : which == 1 ? z * dy[at] : dy[at];
  }
};

/// dq over q.
struct RowsOfQ : ImageRows {
  static constexpr int kSums = 1;
  float* sums;
  const float* q;
  float slope;
  RowsOfQ(const RcabProblem& p, float* to, const float* values)
      : ImageRows(p), sums(to), q(values), slope(p.slope) {}
  __device__ float finish(int64_t at, float dh) const { return q[at] > 0 ? dh : slope * dh; }
  __device__ float term(int, int64_t, float dq) const { return dq; }
};

// --- attention -----------------------------------------------------------------------------------

/// [N, C]: a, mean_grad, dv (the sigmoid's input); [N, R]: hidden, du (the rectifier's input).
struct Vectors {
  float *a, *mean_grad, *dv, *hidden, *du;
};

/// Block n: image n.  w.sums: of z, z dy, dy.
__global__ void attention_grad_kernel(RcabAttention w, Vectors v) {
  const int64_t image = blockIdx.x;
  const float* const z_dy = w.sums + image * w.stride + w.c;
  float *const a = v.a + image * w.c, *const dv = v.dv + image * w.c;
  float *const hidden = v.hidden + image * w.r, *const du = v.du + image * w.r;
  each_of(w.r, [&](int j) { hidden[j] = w.hidden(image, j); });
  each_of(w.c, [&](int i) {
    a[i] = w.gate(hidden, i);
    dv[i] = z_dy[i] * a[i] * (1 - a[i]);
  });
  each_of(w.r, [&](int j) {
    double sum = 0;
    if (hidden[j] > 0)
      for (int i = 0; i < w.c; ++i) sum += static_cast<double>(w.k2[j * w.c + i]) * dv[i];
    du[j] = static_cast<float>(sum);
  });
  each_of(w.c, [&](int i) {
    double sum = 0;
    for (int j = 0; j < w.r; ++j) sum += static_cast<double>(w.k1[i * w.r + j]) * du[j];
    v.mean_grad[image * w.c + i] = static_cast<float>(sum / static_cast<double>(w.pixels));
  });
}

struct AttentionGrads {
  float *k1, *kb1, *k2, *kb2, *b2;
};

/// Thread (i, j) of C x max(R, 1): the weights' cotangents, in rising images.
__global__ void attention_weights_kernel(RcabAttention w, Vectors v, AttentionGrads d, int images) {
  const int r = w.r > 0 ? w.r : 1;
  for (int64_t e = thread_index(); e < int64_t{w.c} * r; e += thread_count()) {
    const auto i = static_cast<int>(e / r), j = static_cast<int>(e % r);
    double k1 = 0, kb1 = 0, k2 = 0, kb2 = 0, b2 = 0;
    for (int64_t n = 0; n < images; ++n) {
      const double dv = v.dv[n * w.c + i], dy = w.sums[n * w.stride + 2 * w.c + i];
      kb2 += dv;
      b2 += v.a[n * w.c + i] * dy +
            static_cast<double>(v.mean_grad[n * w.c + i]) * static_cast<double>(w.pixels);
      if (w.r == 0) continue;
      const double du = v.du[n * w.r + j];
      k1 += w.mean(n, i) * du;
      kb1 += du;
      k2 += v.hidden[n * w.r + j] * dv;
    }
    if (j == 0) d.kb2[i] = static_cast<float>(kb2), d.b2[i] = static_cast<float>(b2);
    if (w.r == 0) continue;
    d.k1[e] = static_cast<float>(k1);
    d.k2[int64_t{j} * w.c + i] = static_cast<float>(k2);
    if (i == 0) d.kb1[j] = static_cast<float>(kb1);
  }
}

// --- the whole -----------------------------------------------------------------------------------

struct Memory {
  float *q, *tile_sums, *sums, *norm, *pieces;
  Vectors v;
  int64_t bytes;

  Memory(const RcabProblem& p, const Product& weights, void* scratch) {
    Scratch s(scratch);
    q = s.take(p.picture());
    tile_sums = s.take(p.images * p.tiles * 3 * p.c);
    sums = s.take(p.images * 3 * p.c);
    norm = s.take(normalize_grad_floats(p.rows()));
    pieces = s.take(product_scratch(weights) / static_cast<int64_t>(sizeof(float)));
    for (float** const vector : {&v.a, &v.mean_grad, &v.dv}) *vector = s.take(p.images * p.c);
    for (float** const vector : {&v.hidden, &v.du}) *vector = s.take(p.images * p.r);
    bytes = s.bytes();
  }
};

Product weights_of(const RcabProblem& p) {
  const int64_t k = p.images * p.pixels;
  return {1, 9 * p.c, p.c, k, product_pieces(1, 9 * p.c, p.c, k), nullptr};
}

}  // namespace

int64_t rcab_grad_scratch(const Call& call) {
  const RcabProblem p(call);
  return Memory(p, weights_of(p), nullptr).bytes;
}

void rcab_grad(const Call& call) {
  const RcabProblem p(call);
  if (p.picture() == 0) return clear(call, call.out[1]);
  const Product weights = weights_of(p);
  const Memory m(p, weights, call.scratch);
  Call with_pieces = call;
  with_pieces.scratch = m.pieces;
  const auto in = [&](size_t i) { return static_cast<const float*>(call.in[i].as<float>()); };
  float* d[11] = {};  // where the cotangents of inputs 1 to 10 go
  float* next = call.out[1].as<float>();
  for (size_t i = 1; i < 11; ++i) d[i] = next, next += call.in[i].shape.size();
  const float *const x = in(0), *const dy = in(11);
  auto* const dx = call.out[0].as<float>();

  normalize(call, dx, x, in(1), in(2), p.rows());
  multiply(call, "rcab_grad: first convolution", p.convolution(in(4)), ImageAtTap(p, dx),
           Kernel(p, in(3)), ImageRows(p), m.q);
  multiply(call, "rcab_grad: sums of the second", p.convolution(in(6)), HiddenAtTap(p, m.q),
           Kernel(p, in(5)), SumsOfZ(p, m.tile_sums, dy), static_cast<float*>(nullptr));
  add_rows(call, "rcab_grad: sums", m.sums, m.tile_sums, p.tiles, 3 * p.c, 3 * p.c, p.images);
  const RcabAttention attention(call, p, m.sums, 3);
  launch(call, "rcab_grad: attention", Launch{dim3(static_cast<unsigned>(p.images)), kBlockThreads},
         attention_grad_kernel, attention, m.v);
  launch(call, "rcab_grad: weights of the attention",
         over(p.c * (p.r > 0 ? p.r : 1), kBlockThreads, kBlockThreads), attention_weights_kernel,
         attention, m.v, AttentionGrads{d[7], d[8], d[9], d[10], d[6]}, static_cast<int>(p.images));

  scale(call, "rcab_grad: dz", p, dx, dy, m.v.a, m.v.mean_grad, true);
  const Interleaved matrix{p.c, p.c};
  multiply(with_pieces, "rcab_grad: second kernel", weights, HiddenAtTapTurned(p, m.q),
           Columns(p.geometry, dx), matrix, d[5]);
  multiply(call, "rcab_grad: back through the second", p.convolution(nullptr), ImageAtTap(p, dx),
           KernelTurned(p, in(5)), RowsOfQ(p, m.tile_sums, m.q), m.q);
  add_rows(call, "rcab_grad: sums", d[4], m.tile_sums, p.images * p.tiles, p.c, p.c);
  normalize(call, dx, x, in(1), in(2), p.rows());
  multiply(with_pieces, "rcab_grad: first kernel", weights, InputAtTapTurned(p.geometry, dx),
           Columns(p.geometry, m.q), matrix, d[3]);
  multiply(call, "rcab_grad: back through the first", p.convolution(nullptr), ImageAtTap(p, m.q),
           KernelTurned(p, in(3)), ImageRows(p), dx);
  normalize_grad(call, dx, d[1], d[2], x, in(1), dx, dy, p.rows(), m.norm);
}

}  // namespace satin::cuda
