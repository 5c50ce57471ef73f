// The residual channel attention block with products in bf16; read cpu/rcab.cpp first.
//
// Strips of rows: LN(x) and h = LeakyReLU(conv1(LN(x))) live in three rows of bf16 each, z =
// conv2(h) goes into y while its sums are taken.  A strip computes the row of h above and below it
// itself, so strips need nothing of each other.  Then y = x + z attention.
#include "cpu/bf16_conv.h"
#include "cpu/rcab.h"
#include "tensor/layer_norm.h"
#include "tensor/rcab.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

constexpr int64_t kRcabWorkers = 8, kRcabStrips = 16, kLeastRows = 8;

struct Problem {
  int64_t n, h, w, c, r;
  float slope;
  Kernel2d conv;

  explicit Problem(const Call& call)
      : n(call.in[0].shape[0]),
        h(call.in[0].shape[1]),
        w(call.in[0].shape[2]),
        c(call.in[0].shape[3]),
        r(call.in[7].shape[1]),
        slope(static_cast<float>(call.as<RcabAttrs>().slope)),
        conv{3, 3, c, c, 1, 1} {}
  /// Of an image.
  int64_t strips() const {
    return max_of(1, min_of(ceil_div(kRcabStrips, max_of(1, n)), h / kLeastRows));
  }
  int64_t row() const { return max_of(w + 2, conv.reads(w)) * conv.channels(); }
};

struct Scratch {
  Half *w1, *w2;
  float *b1, *b2, *gamma, *beta, *sums, *attention;
  struct Worker {
    Rows normal, hidden;
    float *c, *x, *row_sums;
    int64_t* places;
  } worker[kRcabWorkers];

  Scratch(const Problem& p, Memory& from, Half* packed) {
    const int64_t cols = p.conv.cols();
    w1 = packed ? packed : from.take<Half>(2 * p.conv.packed());
    w2 = w1 + p.conv.packed();
    for (float** row : {&b1, &b2, &gamma, &beta}) *row = from.take<float>(cols);
    sums = from.take<float>(p.n * p.strips() * cols);
    attention = from.take<float>(p.n * cols);
    for (Worker& k : worker)
      k = {Rows::take(from, 3, p.row()),     Rows::take(from, 3, p.row()),
           from.take<float>(kPixels * cols), from.take<float>(p.w * cols),
           from.take<float>(cols),           from.take<int64_t>(p.conv.steps())};
  }
};

/// attention = sigmoid(K2 relu(K1 mean + b1) + b2) of one image, from the sums over its pixels.
void attend(const Call& call, const Problem& p, const float* sums, float* attention) {
  const float *k1 = call.in[7].as<float>(), *b1 = call.in[8].as<float>();
  const float *k2 = call.in[9].as<float>(), *b2 = call.in[10].as<float>();
  const float pixels = static_cast<float>(p.h * p.w);
  for (int64_t i = 0; i < p.c; ++i) attention[i] = b2[i];
  for (int64_t j = 0; j < p.r; ++j) {
    float hidden = b1[j];
    for (int64_t i = 0; i < p.c; ++i) hidden += sums[i] / pixels * k1[i * p.r + j];
    hidden = scalar::relu(hidden, {});
    for (int64_t i = 0; i < p.c; ++i) attention[i] += hidden * k2[j * p.c + i];
  }
  for (int64_t i = 0; i < p.c; ++i) attention[i] = scalar::sigmoid(attention[i], {});
}

class Strip {
 public:
  Strip(const Problem& p, const Scratch& s, const Scratch::Worker& m, const float* x, float* y)
      : p_(p), s_(s), m_(m), x_(x), y_(y), channels_(p.conv.channels()), cols_(p.conv.cols()) {}

  /// z of rows [begin, end) of the image into y; sums: of z.
  void run(int64_t begin, int64_t end, float* sums) const {
    const Session session;
    m_.normal.clear();
    m_.hidden.clear();
    for (int64_t i = 0; i < cols_; ++i) sums[i] = 0;
    int64_t normal = max_of(0, begin - 2);
    for (int64_t i = max_of(0, begin - 1); i <= min_of(end, p_.h - 1); ++i) {
      for (; normal <= min_of(i + 1, p_.h - 1); ++normal) normalize(normal);
      hide(i);
      if (i > begin) give(i - 1, sums);
    }
    if (end == p_.h) give(p_.h - 1, sums);
  }

 private:
  void normalize(int64_t i) const {
    const float* x = x_ + i * p_.w * p_.c;
    Half* to = m_.normal.row(i) + channels_;
    if (p_.c % kLanes<float> != 0) {
      const int64_t padded = whole_vectors<float>(p_.c);
      for (int64_t j = 0; j < p_.w; ++j) copy_padded(m_.x + j * padded, x + j * p_.c, p_.c);
      x = m_.x;
    }
    // Copies: for all the compiler knows, storing halves changes members.
    const float *gamma = s_.gamma, *beta = s_.beta;
    const int64_t channels = channels_;
    normalize_rows(
        x, whole_vectors<float>(p_.c), p_.w, p_.c, static_cast<float>(LayerNormAttrs{}.eps),
        [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store_half(to + r * channels + j, load(gamma + j) * h + load(beta + j));
        });
  }

  template <class Done>
  SATIN_INLINE void convolve(int64_t i,
                             const Rows& rows,
                             const Half* right,
                             const float* bias,
                             Fetch& fetch,
                             Done done) const {
    convolve_row(
        p_.conv, p_.w, right, bias, m_.places,
        [&](int64_t k) -> const Half* {
          const int64_t row = i + k - 1;
          return row < 0 || row >= p_.h ? rows.zeros : rows.row(row);
        },
        [&](int64_t) { return m_.c; }, done, &fetch);
  }

  /// Row i of h.
  void hide(int64_t i) const {
    Half* row = m_.hidden.row(i) + channels_;
    const float *c = m_.c, slope = p_.slope;
    const int64_t cols = cols_, channels = channels_;
    const int64_t size = p_.w * p_.c, next = min_of(p_.h, i + 2);
    Fetch fetch(p_.conv.row_steps(p_.w));
    fetch.to_read(x_ + next * size, next < p_.h ? size : 0);
    convolve(i, m_.normal, s_.w1, s_.b1, fetch, [&](int64_t j, int64_t pixels) {
      for (int64_t r = 0; r < pixels; ++r)
        for (int64_t o = 0; o < cols; o += kLanes<float>) {
          const F v = load(c + r * cols + o);
          store_half(row + (j + r) * channels + o, v > 0 ? v : v * slope);
        }
    });
  }

  /// Row i of z.
  void give(int64_t i, float* sums) const {
    float* y = y_ + i * p_.w * p_.c;
    float* row_sums = m_.row_sums;
    for (int64_t o = 0; o < cols_; ++o) row_sums[o] = 0;
    Fetch fetch(p_.conv.row_steps(p_.w));
    fetch.to_write(y, p_.w * p_.c);
    convolve(i, m_.hidden, s_.w2, s_.b2, fetch, [&](int64_t j, int64_t pixels) {
      for (int64_t o = 0; o < cols_; o += kLanes<float>) {
        const int64_t cols = min_of(kLanes<float>, p_.c - o);
        F sum = load(row_sums + o);
        for (int64_t r = 0; r < pixels; ++r) {
          const F z = load(m_.c + r * cols_ + o);
          sum += z;
          float* to = y + (j + r) * p_.c + o;
          if (cols == kLanes<float>)
            store(to, z);
          else
            store_part(to, z, max_of(0, cols));
        }
        store(row_sums + o, sum);
      }
    });
    for (int64_t o = 0; o < cols_; ++o) sums[o] += row_sums[o];
  }

  const Problem& p_;
  const Scratch& s_;
  const Scratch::Worker& m_;
  const float* x_;
  float* y_;
  const int64_t channels_, cols_;
};

}  // namespace

bool takes_rcab(const Call& call) { return call.out[0].shape.size() > 0; }

void rcab(const Call& call) {
  const Problem p(call);
  Memory from(call.scratch);
  const Scratch s(p, from, call.packed ? call.packed->as<Half>() : nullptr);
  if (!call.packed) {
    p.conv.pack(call.in[3].as<float>(), s.w1);
    p.conv.pack(call.in[5].as<float>(), s.w2);
  }
  pad_bias(s.gamma, call.in[1].as<float>(), p.c);
  pad_bias(s.beta, call.in[2].as<float>(), p.c);
  pad_bias(s.b1, call.in[4].as<float>(), p.c);
  pad_bias(s.b2, call.in[6].as<float>(), p.c);
  const int64_t strips = p.strips(), cols = p.conv.cols(), image_size = p.h * p.w * p.c;
  const float* x = call.in[0].as<float>();
  float* y = call.out[0].as<float>();
  parallel_workers(call, kRcabWorkers, p.n * strips, [&](int64_t worker, int64_t i) {
    const int64_t at = i / strips * image_size, strip = i % strips;
    Strip(p, s, s.worker[worker], x + at, y + at)
        .run(p.h * strip / strips, p.h * (strip + 1) / strips, s.sums + i * cols);
  });
  for (int64_t image = 0; image < p.n; ++image) {
    float* sums = s.sums + image * strips * cols;
    for (int64_t strip = 1; strip < strips; ++strip)
      for (int64_t i = 0; i < p.c; ++i) sums[i] += sums[strip * cols + i];
    attend(call, p, sums, s.attention + image * cols);
  }
  const int64_t pixels = max_of(1, 32768 / p.c), all = p.h * p.w, pieces = ceil_div(all, pixels);
  parallel_for(call, p.n * pieces, [&](int64_t i) {
    const int64_t begin = i % pieces * pixels, count = min_of(all - begin, pixels);
    const int64_t at = i / pieces * image_size + begin * p.c;
    add_scaled(y + at, x + at, count, p.c, s.attention + i / pieces * cols);
  });
}

int64_t rcab_scratch(const Call& call) {
  Memory from;
  const Problem p(call);
  Half here;
  const Scratch s(p, from, call.packed ? &here : nullptr);
  return from.taken();
}

Packing rcab_packing(const Call& call) {
  return {0, Problem(call).conv.packed(), 1u << 3 | 1u << 5};
}

void rcab_pack(const Call& call) {
  const Shape& w = call.in[0].shape;
  const Kernel2d conv{3, 3, w[2], w[3], 1, 1};
  Half* to = call.out[0].as<Half>();
  conv.pack(call.in[0].as<float>(), to);
  conv.pack(call.in[1].as<float>(), to + conv.packed());
}

}  // namespace satin::cpu::SATIN_ISA::bf16
