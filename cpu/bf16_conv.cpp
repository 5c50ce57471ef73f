// conv2d with products in bf16, directly: the matrix unit is so fast that Winograd's transforms
// would cost more than they save.  Of the gradients in x two kinds have a kernel here: those of
// square kernels with stride 1, which are such convolutions with the kernel turned, and those of a
// kernel as large as its stride, without edges (MGPNet's transposed convolutions), which are one
// product a pixel.
#include "cpu/bf16_conv.h"

#include "tensor/conv2d.h"
#include "tensor/pack_weight.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

constexpr int64_t kConvWorkers = 16;
constexpr int64_t kConvStrips = 16;   // of an image: tasks
constexpr int64_t kTaskPixels = 512;  // of a task, about, where pixels do not share what they read

struct Conv : Kernel2d {
  int64_t n, h, w, oh, ow, pad;

  explicit Conv(const Call& call) {
    const auto attrs = call.as<Conv2dAttrs>();
    const Shape &x = call.in[0].shape, &kernel = call.in[1].shape, &y = call.out[0].shape;
    kh = kernel[0], kw = kernel[1], cin = kernel[2], cout = kernel[3];
    stride = attrs.stride, dilation = attrs.dilation, pad = attrs.pad;
    n = x[0], h = x[1], w = x[2], oh = y[1], ow = y[2];
  }
  /// dx of a convolution with stride 1: dy with the kernel turned.
  static Conv turned(const Call& call) {
    Conv p(call);
    const Shape &dy = call.in[0].shape, &dx = call.out[0].shape;
    const int64_t cin = p.cin;
    p.cin = p.cout, p.cout = cin;
    p.h = dy[1], p.w = dy[2], p.oh = dx[1], p.ow = dx[2];
    p.pad = p.dilation * (p.kh - 1) - p.pad;
    return p;
  }
  int64_t strips() const { return min_of(kConvStrips, oh); }
  int64_t row() const { return max_of(w + 2 * pad, reads(ow)) * channels(); }
};

struct ConvMemory {
  Half* right;
  float* bias;
  struct Worker {
    Rows rows;
    float* c;
    int64_t* places;
  } worker[kConvWorkers];

  ConvMemory(const Conv& p, Memory& from, bool packed)
      : right(packed ? nullptr : from.take<Half>(p.packed())), bias(from.take<float>(p.cols())) {
    for (Worker& w : worker)
      w = {Rows::take(from, (p.kh - 1) * p.dilation + 1, p.row()),
           from.take<float>(kPixels * p.cols()), from.take<int64_t>(p.steps())};
  }
};

/// Output rows [begin, end) of an image.
void run_strip(const Conv& p,
               const ConvMemory::Worker& m,
               const Half* right,
               const float* bias,
               const float* x,
               float* y,
               int64_t begin,
               int64_t end) {
  const Session session;
  m.rows.clear();
  const int64_t channels = p.channels();
  int64_t done = 0;  // rows of x up to here have been converted, if any of these results reads them
  for (int64_t i = begin; i < end; ++i, y += p.ow * p.cout) {
    const int64_t first = i * p.stride - p.pad, last = first + (p.kh - 1) * p.dilation;
    for (done = max_of(done, first); done <= min_of(last, p.h - 1); ++done)
      for (int64_t j = 0; j < p.w; ++j)
        convert(m.rows.row(done) + (p.pad + j) * channels, x + (done * p.w + j) * p.cin, p.cin,
                channels);
    const auto from = [&](int64_t k) -> const Half* {
      const int64_t row = first + k * p.dilation;
      return row < 0 || row >= p.h ? m.rows.zeros : m.rows.row(row);
    };
    const bool direct = p.cout == p.cols();  // whole tiles go where they belong
    const auto fits = [&](int64_t j) { return direct && j + kPixels <= p.ow; };
    convolve_row(
        p, p.ow, right, bias, m.places, from,
        [&](int64_t j) { return fits(j) ? y + j * p.cout : m.c; },
        [&](int64_t j, int64_t pixels) {
          if (fits(j)) return;
          for (int64_t r = 0; r < pixels; ++r)
            for (int64_t o = 0; o < p.cout; ++o) y[(j + r) * p.cout + o] = m.c[r * p.cols() + o];
        });
  }
}

}  // namespace

bool takes_conv2d(const Call& call) {
  return call.as<Conv2dAttrs>().groups == 1 && call.out[0].shape.size() > 0 &&
         call.in[1].shape.size() > 0;
}

namespace {

void run(const Call& call, const Conv& p, const ConvMemory& memory, const Half* right) {
  pad_bias(memory.bias, call.in.size() > 2 ? call.in[2].as<float>() : nullptr, p.cout);
  parallel_workers(call, kConvWorkers, p.n * p.strips(), [&](int64_t worker, int64_t i) {
    const int64_t image = i / p.strips(), strip = i % p.strips();
    const int64_t begin = p.oh * strip / p.strips(), end = p.oh * (strip + 1) / p.strips();
    run_strip(p, memory.worker[worker], right, memory.bias,
              call.in[0].as<float>() + image * p.h * p.w * p.cin,
              call.out[0].as<float>() + (image * p.oh + begin) * p.ow * p.cout, begin, end);
  });
}

/// The kernel [KH, KW, CIN, COUT] of a convolution, turned: reads COUT, gives CIN channels.
void pack_kernel_turned(const Kernel2d& turned, const float* w, Half* to) {
  const int64_t taps = turned.kh * turned.kw, channels = turned.channels();
  pack_right(to, taps * channels, turned.cout, [&](int64_t k, int64_t j) {
    const int64_t tap = taps - 1 - k / channels, i = k % channels;
    return i < turned.cin ? w[(tap * turned.cout + j) * turned.cin + i] : 0.0f;
  });
}

}  // namespace

void conv2d(const Call& call) {
  const Conv p(call);
  Memory from(call.scratch);
  const ConvMemory memory(p, from, call.packed);
  if (!call.packed) p.pack(call.in[1].as<float>(), memory.right);
  run(call, p, memory, call.packed ? call.packed->as<Half>() : memory.right);
}

int64_t conv2d_scratch(const Call& call) {
  Memory from;
  const ConvMemory memory(Conv(call), from, call.packed);
  return from.taken();
}

Packing conv2d_packing(const Call& call) { return {0, Conv(call).packed() / 2, 1u << 1}; }

void conv2d_pack(const Call& call) {
  const Shape& w = call.in[0].shape;
  const Kernel2d kernel{w[0], w[1], w[2], w[3], 1, 1};
  kernel.pack(call.in[0].as<float>(), call.out[0].as<Half>());
}

// --- the gradient in x
// ---------------------------------------------------------------------------------

namespace {

/// Every pixel of dy gives a square of kh x kw pixels.
struct Spread {
  int64_t n, h, w, depth;  ///< dy, its channels
  int64_t kh, kw, c;       ///< of the square
  int64_t cols() const { return kh * kw * up_to(c, kSide); }

  static Spread of_weights(const Shape& w) { return {0, 0, 0, w[3], w[0], w[1], w[2]}; }
  explicit Spread(const Call& call) : Spread(of_weights(call.in[1].shape)) {
    const Shape& dy = call.in[0].shape;
    n = dy[0], h = dy[1], w = dy[2];
  }
  Spread(int64_t n_, int64_t h_, int64_t w_, int64_t depth_, int64_t kh_, int64_t kw_, int64_t c_)
      : n(n_), h(h_), w(w_), depth(depth_), kh(kh_), kw(kw_), c(c_) {}

  void pack(const float* weights, Half* to) const {
    const int64_t wide = up_to(c, kSide);
    pack_right(to, depth, cols(), [&](int64_t k, int64_t j) {
      return j % wide < c ? weights[(j / wide * c + j % wide) * depth + k] : 0.0f;
    });
  }
};

struct SpreadMemory {
  Half* right;
  float* bias;
  struct Worker {
    Half* a;
    float* c;
  } worker[kConvWorkers];

  SpreadMemory(const Spread& p, Memory& from, bool packed)
      : right(packed ? nullptr : from.take<Half>(packed_halves(steps_of(p.depth), p.cols()))),
        bias(from.take<float>(up_to(p.c, kSide))) {
    for (Worker& w : worker)
      w = {from.take<Half>(kPixels * up_to(p.depth, kDepth)),
           from.take<float>(kPixels * up_to(p.c, kSide))};
  }
};

}  // namespace

namespace {

bool spreads(const Call& call) {
  const auto attrs = call.as<Conv2dAttrs>();
  const Shape &dy = call.in[0].shape, &w = call.in[1].shape, &dx = call.out[0].shape;
  return attrs.pad == 0 && attrs.dilation == 1 && w[0] == attrs.stride && w[1] == attrs.stride &&
         dx[1] == dy[1] * attrs.stride && dx[2] == dy[2] * attrs.stride;
}

void run_turned(const Call& call) {
  const Conv p = Conv::turned(call);
  Memory from(call.scratch);
  const ConvMemory memory(p, from, call.packed);
  if (!call.packed) pack_kernel_turned(p, call.in[1].as<float>(), memory.right);
  run(call, p, memory, call.packed ? call.packed->as<Half>() : memory.right);
}

}  // namespace

bool takes_conv2d_input_grad(const Call& call) {
  const auto attrs = call.as<Conv2dAttrs>();
  const Shape& w = call.in[1].shape;
  const bool turns = attrs.stride == 1 && w[0] == w[1] && attrs.dilation * (w[0] - 1) >= attrs.pad;
  const Shape& dy = call.in[0].shape;
  return attrs.groups == 1 && (turns || spreads(call)) && call.out[0].shape.size() > 0 &&
         dy.size() > 0 && !(dy[3] < kSide && moves_more(dy[3], w[2], dy[0] * dy[1] * dy[2]));
}

void conv2d_input_grad(const Call& call) {
  if (!spreads(call)) return run_turned(call);
  const Spread p(call);
  Memory from(call.scratch);
  const SpreadMemory memory(p, from, call.packed);
  if (!call.packed) p.pack(call.in[1].as<float>(), memory.right);
  const Half* right = call.packed ? call.packed->as<Half>() : memory.right;
  pad_bias(memory.bias, call.in.size() > 2 ? call.in[2].as<float>() : nullptr, p.c);
  const int64_t depth = up_to(p.depth, kDepth), wide = up_to(p.c, kSide);
  const int64_t rows = p.n * p.h, task_rows = max_of(1, kTaskPixels / p.w);
  parallel_workers(call, kConvWorkers, ceil_div(rows, task_rows), [&](int64_t worker, int64_t i) {
    const Session session;
    const SpreadMemory::Worker m = memory.worker[worker];
    const auto dx_of = [&](int64_t row, int64_t j) {
      return call.out[0].as<float>() + (row * p.kh * p.w + j) * p.kw * p.c;
    };
    for (int64_t row = i * task_rows; row < min_of(rows, (i + 1) * task_rows); ++row)
      for (int64_t j = 0; j < p.w; j += kPixels) {
        const int64_t pixels = min_of(kPixels, p.w - j);
        const float* dy = call.in[0].as<float>() + (row * p.w + j) * p.depth;
        for (int64_t r = 0; r < pixels; ++r)
          convert(m.a + r * depth, dy + r * p.depth, p.depth, depth);
        float *dx = dx_of(row, j),
              *next = j + kPixels < p.w ? dx_of(row, j + kPixels) : dx_of(row + 1, 0);
        for (int64_t tap = 0; tap < p.kh * p.kw; ++tap) {
          float* to = dx + (tap / p.kw * p.w * p.kw + tap % p.kw) * p.c;
          const bool direct = wide == p.c && pixels % kSide == 0;  // whole tiles go to their place
          Fetch fetch(ceil_div(pixels, kPixels) * ceil_div(wide, 2 * kSide) * depth / kDepth);
          fetch.to_write(next + (tap / p.kw * p.w * p.kw + tap % p.kw * pixels) * p.c,
                         pixels * p.c);
          if (tap == 0) fetch.to_read(dy + pixels * p.depth, pixels * p.depth);
          Block block{};
          block.a = m.a, block.a_row = depth;
          block.b = right + tap * packed_halves(depth / kDepth, wide), block.steps = depth / kDepth;
          block.c = direct ? to : m.c, block.c_row = direct ? p.kw * p.c : wide;
          block.bias = memory.bias;
          block.fetch = &fetch;
          product(block, pixels, wide);
          if (direct) continue;
          for (int64_t r = 0; r < pixels; ++r)
            for (int64_t o = 0; o < p.c; ++o) to[r * p.kw * p.c + o] = m.c[r * wide + o];
        }
      }
  });
}

int64_t conv2d_input_grad_scratch(const Call& call) {
  Memory from;
  if (spreads(call))
    const SpreadMemory memory(Spread(call), from, call.packed);
  else
    const ConvMemory memory(Conv::turned(call), from, call.packed);
  return from.taken();
}

Packing conv2d_input_grad_packing(const Call& call) {
  if (!spreads(call)) return {1, Conv::turned(call).packed() / 2, 1u << 1};
  const Spread p(call);
  return {0, packed_halves(steps_of(p.depth), p.cols()) / 2, 1u << 1};
}

void conv2d_input_grad_pack(const Call& call) {
  if (call.as<PackWeightAttrs>().form != 0) {
    const Shape& w = call.in[0].shape;
    return pack_kernel_turned({w[0], w[1], w[3], w[2], 1, 1}, call.in[0].as<float>(),
                              call.out[0].as<Half>());
  }
  Spread::of_weights(call.in[0].shape).pack(call.in[0].as<float>(), call.out[0].as<Half>());
}

}  // namespace satin::cpu::SATIN_ISA::bf16
