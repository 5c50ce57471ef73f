// The derivative of rcab with products in bf16; read cpu/rcab_grad.cpp first, whose names these
// are, and docs/derivations/rcab.md.
//
// Images are cut into bands of rows, and all sums are kept band by band.  A band goes down its rows
// twice, and nothing but rings of rows lies between the steps of one pass:
//
//   1. LN(x), h, G and the sums of h and dy; of h only the signs are kept, for LeakyReLU'
//   2. dz, dq, dw1, dn, dx; a band computes the row of dq above and below it itself
//
// At 32 channels memory is what bounds this: the passes read x and dy twice, and dx is written.
#include "cpu/bf16_back.h"
#include "cpu/bf16_conv.h"
#include "cpu/bf16_pixel_product.h"
#include "cpu/rcab_back.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

constexpr int64_t kBands = 8, kBandRows = 8;
constexpr int64_t kTaps = PixelProduct::kTaps, kVectors = 10;

struct BandProblem : RcabProblem<float> {
  Kernel2d conv{3, 3, c, c, 1, 1};
  int64_t channels = conv.channels(), cols = conv.cols();
  /// Pixels of a row of halves: one of zeros before, at least two behind whole steps.
  int64_t wide = up_to(w, kDepth) + kDepth;
  int64_t bands = max_of(1, min_of(ceil_div(kBands, max_of(1, n)), h / kBandRows));  ///< an image's
  PixelProduct pixels{w, cols};

  explicit BandProblem(const Call& call) : RcabProblem<float>(call) {}
  int64_t row() const { return wide * channels; }
  int64_t kernel() const { return kTaps * cols * cols; }
  int64_t signs() const { return w * (cols / kLanes<float>); }  ///< of a row
};

struct BandScratch {
  Half *w1, *w1_turned, *w2_turned;
  uint16_t* signs;  ///< of h: 1 for values above 0
  float *b1, *gamma, *beta;
  float* products;    ///< of every band: [9, c, c]
  float* sums;        ///< of every band: kVectors
  float* attentions;  ///< of every image: 5
  struct Worker {
    Rows ring, of_dq;
    PixelProduct::Memory pixels;
    Half *row, *normal;
    float *c, *dn, *x, *rstds;
    int64_t* places;
  } worker[kBands];

  BandScratch(const BandProblem& p, Memory& from) {
    for (Half** w : {&w1, &w1_turned, &w2_turned}) *w = from.take<Half>(p.conv.packed());
    signs = from.take<uint16_t>(p.n * p.h * p.signs());
    for (float** v : {&b1, &gamma, &beta}) *v = from.take<float>(p.cols);
    products = from.take<float>(p.n * p.bands * p.kernel());
    sums = from.take<float>(p.n * p.bands * kVectors * vector(p));
    attentions = from.take<float>(p.n * 5 * vector(p));
    for (Worker& k : worker) {
      k.ring = Rows::take(from, 3, p.row());
      k.of_dq = Rows::take(from, 3, p.row());
      k.pixels = p.pixels.take(from);
      k.row = from.take<Half>(p.row());
      k.normal = from.take<Half>(p.row());
      k.c = from.take<float>(kPixels * p.cols);
      k.dn = from.take<float>(up_to(p.w, kPixels) * p.cols);
      k.x = from.take<float>(p.w * whole_vectors<float>(p.c));
      k.rstds = from.take<float>(p.w);
      k.places = from.take<int64_t>(p.conv.steps());
    }
  }
  static int64_t vector(const BandProblem& p) { return up_to(max_of(p.c, p.r), kSide); }
};

/// Rows [begin, end) of an image.  Loops that store halves read copies of members, which these
/// stores could change for all the compiler knows.
class Band {
 public:
  Band(const Call& call,
       const BandProblem& p,
       const BandScratch& s,
       const BandScratch::Worker& m,
       int64_t i)
      : p_(p),
        s_(s),
        m_(m),
        image_(i / p.bands),
        begin_(p.h * (i % p.bands) / p.bands),
        end_(p.h * (i % p.bands + 1) / p.bands),
        x_(call.in[0].as<float>() + image_ * p.h * p.w * p.c),
        dy_(call.in[11].as<float>() + image_ * p.h * p.w * p.c),
        dx_(call.out[0].as<float>() + image_ * p.h * p.w * p.c),
        products_(s.products + i * p.kernel()),
        sums_(s.sums + i * kVectors * BandScratch::vector(p)) {}

  /// The signs of h, the sums of what each tap of conv2 meets, G and the sum of dy.
  void forward() const {
    m_.ring.clear();
    clear(m_.row, p_.row());
    for (int64_t i = 0; i < kVectors * BandScratch::vector(p_); ++i) sums_[i] = 0;
    int64_t normal = max_of(0, begin_ - 1), of_dy = begin_ - 1;
    rows_at_once([&](int64_t first, int64_t rows) {
      for (int64_t i = first; i < first + rows; ++i) {
        for (; normal <= min_of(i + 1, p_.h - 1); ++normal)
          normalize_row(normal, m_.ring.row(normal) + p_.channels);
        for (; of_dy <= i + 1; ++of_dy) pair_dy(of_dy);
        hide(i);
        p_.pixels.left(m_.pixels, i - first, m_.row, p_.channels);
      }
      const int64_t next = first + rows + 1;
      Fetch fetch = fetch_rows(dy_, next, p_.pixels.rows, p_.pixels.product_steps(rows));
      p_.pixels.add(m_.pixels, first, rows, products_, first > begin_, &fetch);
    });
  }

  /// dx, and dw1 and the sums of dq, dgamma and dbeta.
  void backward(const Attention<float>& t) const {
    m_.ring.clear();
    m_.of_dq.clear();
    clear(m_.row, p_.row());
    zero(sums_, sums_ + 3 * BandScratch::vector(p_));
    int64_t of_dq = max_of(0, begin_ - 1), of_dz = max_of(0, of_dq - 1);
    if (begin_ == 0) p_.pixels.no_right(m_.pixels, -1);
    rows_at_once([&](int64_t first, int64_t rows) {
      for (int64_t i = first; i < first + rows; ++i) {
        for (; of_dq <= min_of(i + 1, p_.h - 1); ++of_dq) {
          for (; of_dz <= min_of(of_dq + 1, p_.h - 1); ++of_dz)
            scale_row(t, of_dz, m_.ring.row(of_dz));
          hidden_grad(of_dq);
        }
        if (i + 1 == p_.h) p_.pixels.no_right(m_.pixels, i + 1);
        normalize_row_twice(i);
        p_.pixels.left(m_.pixels, i - first, m_.row, p_.channels);
        input_grad(i);
      }
      p_.pixels.add(m_.pixels, first, rows, products_, first > begin_, nullptr);
    });
  }

 private:
  /// f(first, count) for the band's rows.
  template <class F>
  void rows_at_once(F f) const {
    for (int64_t i = begin_; i < end_; i += p_.pixels.rows) f(i, min_of(p_.pixels.rows, end_ - i));
  }

  static void clear(Half* to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = 0;
  }
  SATIN_INLINE static F get(const float* p, int64_t k, int64_t c) {
    return k + kLanes<float> <= c ? load(p + k) : load_part(p + k, max_of(0, c - k));
  }

  /// `count` rows of a picture from row i on, as far as there are any.
  Fetch fetch_rows(const float* picture, int64_t i, int64_t count, int64_t steps) const {
    const int64_t row = p_.w * p_.c;
    Fetch fetch(steps);
    fetch.to_read(picture + i * row, max_of(0, min_of(count, p_.h - i)) * row);
    return fetch;
  }

  /// Row i of x, padded to whole vectors.
  const float* padded_row(int64_t i) const {
    const float* x = x_ + i * p_.w * p_.c;
    if (p_.c % kLanes<float> == 0) return x;
    const int64_t padded = whole_vectors<float>(p_.c);
    for (int64_t j = 0; j < p_.w; ++j) copy_padded(m_.x + j * padded, x + j * p_.c, p_.c);
    return m_.x;
  }

  /// Row i of LN(x).
  void normalize_row(int64_t i, Half* row) const {
    const float *gamma = s_.gamma, *beta = s_.beta;
    const int64_t channels = p_.channels;
    normalize_rows(
        padded_row(i), whole_vectors<float>(p_.c), p_.w, p_.c,
        static_cast<float>(LayerNormAttrs{}.eps),
        [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store_half(row + r * channels + j, load(gamma + j) * h + load(beta + j));
        });
  }

  /// Row i of LN(x) before and behind gamma and beta.
  void normalize_row_twice(int64_t i) const {
    const float *gamma = s_.gamma, *beta = s_.beta;
    const int64_t channels = p_.channels;
    Half *row = m_.row, *normal = m_.normal;
    normalize_rows(
        padded_row(i), whole_vectors<float>(p_.c), p_.w, p_.c,
        static_cast<float>(LayerNormAttrs{}.eps),
        [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store_half(normal + r * channels + j, h);
          store_half(row + r * channels + j, load(gamma + j) * h + load(beta + j));
        },
        m_.rstds);
  }

  /// Row i of h, and its signs.
  void hide(int64_t i) const {
    const int64_t cols = p_.cols, channels = p_.channels, vectors = cols / kLanes<float>;
    const float *c = m_.c, slope = p_.slope;
    Half* row = m_.row;
    uint16_t* signs = s_.signs + (image_ * p_.h + i) * p_.signs();
    Fetch fetch = fetch_rows(x_, i + 2, 1, p_.conv.row_steps(p_.w));
    convolve(i, m_.ring, s_.w1, s_.b1, m_.c, 0, fetch, [&](int64_t j, int64_t pixels) {
      for (int64_t r = 0; r < pixels; ++r)
        for (int64_t k = 0; k < vectors; ++k) {
          const F q = load(c + r * cols + k * kLanes<float>);
          signs[(j + r) * vectors + k] = positive<float>(q);
          store_half(row + (j + r) * channels + k * kLanes<float>, q > 0 ? q : slope * q);
        }
    });
    add_row(i);
  }

  /// Row i of h to the sums of what each tap of conv2 meets: pixels whose neighbor lies outside do
  /// not count.
  void add_row(int64_t i) const {
    const int64_t w = p_.w, channels = p_.channels;
    const Half* h = m_.row;
    for (int64_t k = 0; k < p_.cols; k += kLanes<float>) {
      F four[4] = {};
      for (int64_t j = 0; j < w; j += 4)  // zeros behind the row
        for (int64_t r = 0; r < 4; ++r) four[r] += load_half(h + (j + r) * channels + k);
      const F all = (four[0] + four[1]) + (four[2] + four[3]);
      const F of_col[] = {all - load_half(h + (w - 1) * channels + k), all, all - load_half(h + k)};
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        if (tap / 3 == 0 ? i == p_.h - 1 : tap / 3 == 2 && i == 0) continue;
        float* sum = sums_ + tap * BandScratch::vector(p_) + k;
        store(sum, load(sum) + of_col[tap % 3]);
      }
    }
  }

  /// Row i of dy as the right side of G, and to the sum of dy.
  void pair_dy(int64_t i) const {
    if (i < 0 || i >= p_.h) return p_.pixels.no_right(m_.pixels, i);
    const int64_t w = p_.w, c = p_.c;
    const float* dy = dy_ + i * w * c;
    p_.pixels.right(
        m_.pixels, i, [&](int64_t j, int64_t k) __attribute__((always_inline)) {
          return get(dy + j * c, k, c);
        });
    if (i < begin_ || i >= end_) return;
    float* of_dy = sums_ + kTaps * BandScratch::vector(p_);
    for (int64_t k = 0; k < c; k += kLanes<float>) {
      F even{}, odd{};
      int64_t j = 0;
      for (; j + 1 < w; j += 2) {
        even += get(dy + j * c, k, c);
        odd += get(dy + (j + 1) * c, k, c);
      }
      if (j < w) even += get(dy + j * c, k, c);
      add_to(of_dy + k, even + odd);
    }
  }

  /// Row i of dz behind a first pixel.
  void scale_row(const Attention<float>& t, int64_t i, Half* row) const {
    const int64_t w = p_.w, c = p_.c, channels = p_.channels;
    const float* dy = dy_ + i * w * c;
    for (int64_t k = 0; k < c; k += kLanes<float>) {
      const F a = get(t.a, k, c), mean_grad = get(t.mean_grad, k, c);
      for (int64_t j = 0; j < w; ++j)
        store_half(row + (j + 1) * channels + k, get(dy + j * c, k, c) * a + mean_grad);
    }
  }

  /// Row i of dq, as the right side of dw1, too; its sum if it is the band's.
  void hidden_grad(int64_t i) const {
    const int64_t cols = p_.cols, channels = p_.channels, vectors = cols / kLanes<float>;
    const float *c = m_.c, slope = p_.slope, counts = i >= begin_ && i < end_;
    const uint16_t* signs = s_.signs + (image_ * p_.h + i) * p_.signs();
    Half* row = m_.of_dq.row(i) + channels;
    Fetch fetch = fetch_rows(dy_, i + 2, 1, p_.conv.row_steps(p_.w));
    convolve(i, m_.ring, s_.w2_turned, nullptr, m_.c, 0, fetch, [&](int64_t j, int64_t pixels) {
      for (int64_t k = 0; k < vectors; ++k) {
        F sum{};
        for (int64_t r = 0; r < pixels; ++r) {
          const F dh = load(c + r * cols + k * kLanes<float>),
                  dq = choose<float>(signs[(j + r) * vectors + k], dh, slope * dh);
          store_half(row + (j + r) * channels + k * kLanes<float>, dq);
          sum += dq;
        }
        add_to(sums_ + k * kLanes<float>, counts * sum);
      }
    });
    p_.pixels.right(
        m_.pixels, i, [&](int64_t j, int64_t k) __attribute__((always_inline)) {
          return load_half(row + j * channels + k);
        });
  }

  /// Row i of dx, and to the sums of dgamma and dbeta.
  void input_grad(int64_t i) const {
    const int64_t cols = p_.cols, channels = p_.channels, w = p_.w, c = p_.c;
    Fetch fetch = fetch_rows(x_, i + 1, 1, p_.conv.row_steps(w));
    fetch.to_write(dx_ + i * w * c, w * c);
    convolve(i, m_.of_dq, s_.w1_turned, nullptr, m_.dn, cols, fetch, [](int64_t, int64_t) {});
    float *gamma = sums_ + BandScratch::vector(p_), *beta = gamma + BandScratch::vector(p_);
    const float *dn = m_.dn, *dy = dy_ + i * w * c;
    float* dx = dx_ + i * w * c;
    const Half* normal = m_.normal;
    for (int64_t k = 0; k < whole_vectors<float>(c); k += kLanes<float>) {
      F of_gamma{}, of_beta{};
      for (int64_t r = 0; r < w; ++r) {
        const F d = load(dn + r * cols + k);
        of_gamma += d * load_half(normal + r * channels + k);
        of_beta += d;
      }
      add_to(gamma + k, of_gamma);
      add_to(beta + k, of_beta);
    }
    normalize_back(
        dn, cols, halves_at(normal, channels), m_.rstds, s_.gamma, w,
        c, [&](int64_t r, int64_t j, F d) __attribute__((always_inline)) {
          const F sum = get(dy + r * c, j, c) + d;
          j + kLanes<float> <= c ? store(dx + r * c + j, sum)
                                 : store_part(dx + r * c + j, sum, c - j);
        });
  }

  /// Row i of a convolution of what a ring holds; the sums of pixels from j on go to c + j * c_row.
  template <class Done>
  void convolve(int64_t i,
                const Rows& ring,
                const Half* right,
                const float* bias,
                float* c,
                int64_t c_row,
                Fetch& fetch,
                Done done) const {
    const auto from = [&](int64_t k) -> const Half* {
      const int64_t row = i + k - 1;
      return row < 0 || row >= p_.h ? ring.zeros : ring.row(row);
    };
    convolve_row(
        p_.conv, p_.w, right, bias, m_.places, from, [&](int64_t j) { return c + j * c_row; }, done,
        &fetch);
  }

  const BandProblem& p_;
  const BandScratch& s_;
  const BandScratch::Worker& m_;
  const int64_t image_, begin_, end_;
  const float *x_, *dy_;
  float* dx_;
  float *products_, *sums_;
};

/// The kernels' part of a call, and what lies between the passes over pixels.
class RcabGradCall {
 public:
  RcabGradCall(const Call& call, const BandProblem& p, const BandScratch& s)
      : call_(call), p_(p), s_(s), d_(p, call.out[1].as<float>()) {}

  void run() const {
    zero(d_.gamma, d_.end);
    pack();
    every_band([](const Band& band, int64_t) { band.forward(); });
    for (int64_t image = 0; image < p_.n; ++image) attention(image);
    parallel_chunks(call_, kTaps * p_.c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) w2_grad(row);
    });
    every_band([&](const Band& band, int64_t image) { band.backward(attention_of(image)); });
    add_sums(0, d_.b1);
    parallel_chunks(call_, kTaps * p_.c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t i = 0; i < p_.n * p_.bands; ++i)
          for (int64_t k = 0; k < p_.c; ++k) d_.w1[row * p_.c + k] += product_row(i, row)[k];
    });
    add_sums(1, d_.gamma);
    add_sums(2, d_.beta);
  }

 private:
  template <class Body>
  void every_band(Body body) const {
    parallel_workers(call_, kBands, p_.n * p_.bands, [&](int64_t worker, int64_t i) {
      const Session session;
      body(Band(call_, p_, s_, s_.worker[worker], i), i / p_.bands);
    });
  }

  void pack() const {
    const float *w1 = call_.in[3].as<float>(), *w2 = call_.in[5].as<float>();
    Half* some = s_.worker[0].row;
    p_.conv.pack(w1, s_.w1);
    p_.conv.pack_turned(w1, s_.w1_turned, some);
    p_.conv.pack_turned(w2, s_.w2_turned, some);
    pad_bias(s_.gamma, call_.in[1].as<float>(), p_.c);
    pad_bias(s_.beta, call_.in[2].as<float>(), p_.c);
    pad_bias(s_.b1, call_.in[4].as<float>(), p_.c);
  }

  /// Row (tap, channel) of the products of band i.
  float* product_row(int64_t i, int64_t row) const {
    return s_.products + i * p_.kernel() + (row / p_.c * p_.cols + row % p_.c) * p_.cols;
  }
  float* sums_of(int64_t i, int64_t which) const {
    return s_.sums + (i * kVectors + which) * BandScratch::vector(p_);
  }
  Attention<float> attention_of(int64_t image) const {
    const int64_t vector = BandScratch::vector(p_);
    float* at = s_.attentions + image * 5 * vector;
    return {at,
            at + vector,
            sums_of(image * p_.bands, kTaps),
            at + 2 * vector,
            at + 3 * vector,
            at + 4 * vector};
  }
  void add_sums(int64_t which, float* to) const {
    for (int64_t i = 0; i < p_.n * p_.bands; ++i)
      for (int64_t k = 0; k < p_.c; ++k) to[k] += sums_of(i, which)[k];
  }

  /// From G, whose bands become one: the sums of z and z dy are linear in h.
  void attention(int64_t image) const {
    const int64_t first = image * p_.bands, c = p_.c;
    for (int64_t band = 1; band < p_.bands; ++band) {
      for (int64_t i = 0; i < p_.kernel(); ++i)
        s_.products[first * p_.kernel() + i] += s_.products[(first + band) * p_.kernel() + i];
      for (int64_t i = 0; i < kVectors * BandScratch::vector(p_); ++i)
        sums_of(first, 0)[i] += sums_of(first + band, 0)[i];
    }
    const Attention<float> t = attention_of(image);
    sum_z(
        call_, t, [&](int64_t row) { return product_row(first, row); },
        [&](int64_t row) { return sums_of(first, row / c)[row % c]; });
    attend_back(call_, t, d_);
  }

  void w2_grad(int64_t row) const {
    float* dw = d_.w2 + row * p_.c;
    for (int64_t image = 0; image < p_.n; ++image) {
      const Attention<float> t = attention_of(image);
      add_w2_row(t, product_row(image * p_.bands, row),
                 sums_of(image * p_.bands, row / p_.c)[row % p_.c], dw, p_.c);
    }
  }

  const Call& call_;
  const BandProblem& p_;
  const BandScratch& s_;
  const Flat<float> d_;
};

}  // namespace

/// The sign of h tells LeakyReLU' for slopes from 0 on.
bool takes_rcab_grad(const Call& call) {
  return call.out[0].shape.size() > 0 && call.as<RcabAttrs>().slope >= 0;
}

void rcab_grad(const Call& call) {
  const BandProblem p(call);
  Memory from(call.scratch);
  const BandScratch s(p, from);
  RcabGradCall(call, p, s).run();
}

int64_t rcab_grad_scratch(const Call& call) {
  const BandProblem p(call);
  Memory from;
  const BandScratch s(p, from);
  return from.taken();
}

/// Its weights are packed in every run: they change in every step.
Packing rcab_grad_packing(const Call&) { return {}; }
void rcab_grad_pack(const Call&) {}

}  // namespace satin::cpu::SATIN_ISA::bf16
