// The derivative of rcab with products in bf16; read cpu/rcab_grad.cpp first, whose passes and
// names these are, and docs/derivations/rcab.md.
//
// Images are cut into bands of rows, and all sums are kept band by band.  h is kept as a picture in
// bf16, rows with zeros around them; dq takes its place.  The gradients in the kernels are products
// over pixels: of some rows turned (a row for a channel; the other taps of the kernel read them a
// pixel or a row on) and of as many rows in pairs of pixels, so that sums are read and written once
// for all these rows.
#include "cpu/bf16_back.h"
#include "cpu/bf16_conv.h"
#include "cpu/rcab.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

constexpr int64_t kBands = 8, kBandRows = 8;
constexpr int64_t kBandRowsAtOnce = 8;  // in a product over pixels
constexpr int64_t kTaps = 9, kVectors = 10;

struct BandProblem : RcabProblem<float> {
  Kernel2d conv{3, 3, c, c, 1, 1};
  int64_t channels = conv.channels(), cols = conv.cols();
  /// Pixels of a row of halves: one of zeros before, at least two behind whole steps.
  int64_t wide = up_to(w, kDepth) + kDepth;
  int64_t steps = up_to(w, kDepth) / kDepth;  ///< of a row in a product over pixels
  int64_t bands = max_of(1, min_of(ceil_div(kBands, max_of(1, n)), h / kBandRows));  ///< an image's

  explicit BandProblem(const Call& call) : RcabProblem<float>(call) {}
  int64_t row() const { return wide * channels; }
  int64_t turned_row() const { return wide * cols; }
  int64_t kernel() const { return kTaps * cols * cols; }
};

struct BandScratch {
  Half *h, *zeros, *w1, *w1_turned, *w2_turned;
  float *b1, *gamma, *beta;
  float* products;    ///< of every band: [9, c, c]
  float* sums;        ///< of every band: kVectors
  float* attentions;  ///< of every image: 5
  struct Worker {
    Rows ring;
    Half *turned, *pairs, *row, *few;
    float *c, *dn, *x, *rstds;
    int64_t *places, *pixel_places;
  } worker[kBands];

  BandScratch(const BandProblem& p, Memory& from) {
    h = from.take<Half>(p.n * p.h * p.row());
    zeros = from.take<Half>(p.row());
    for (Half** w : {&w1, &w1_turned, &w2_turned}) *w = from.take<Half>(p.conv.packed());
    for (float** v : {&b1, &gamma, &beta}) *v = from.take<float>(p.cols);
    products = from.take<float>(p.n * p.bands * p.kernel());
    sums = from.take<float>(p.n * p.bands * kVectors * vector(p));
    attentions = from.take<float>(p.n * 5 * vector(p));
    for (Worker& k : worker) {
      k.ring = Rows::take(from, 3, p.row());
      k.turned = from.take<Half>((kBandRowsAtOnce + 2) * p.turned_row());
      k.pairs = from.take<Half>(packed_halves(kBandRowsAtOnce * p.steps, p.cols));
      k.row = from.take<Half>(p.row());
      k.few = from.take<Half>(kDepth * p.channels);
      k.c = from.take<float>(kPixels * p.cols);
      k.dn = from.take<float>(p.w * p.cols);
      k.x = from.take<float>(p.w * whole_vectors<float>(p.c));
      k.rstds = from.take<float>(p.w);
      k.places = from.take<int64_t>(p.conv.steps());
      k.pixel_places = from.take<int64_t>(kBandRowsAtOnce * p.steps);
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
        h_(s.h + image_ * p.h * p.row()),
        products_(s.products + i * p.kernel()),
        sums_(s.sums + i * kVectors * BandScratch::vector(p)) {}

  /// h, and the sums of what each tap of conv2 meets.
  void hidden() const {
    const int64_t cols = p_.cols, channels = p_.channels;
    const float *c = m_.c, slope = p_.slope;
    m_.ring.clear();
    for (int64_t i = 0; i < kVectors * BandScratch::vector(p_); ++i) sums_[i] = 0;
    int64_t done = max_of(0, begin_ - 1);
    for (int64_t i = begin_; i < end_; ++i) {
      for (; done <= min_of(i + 1, p_.h - 1); ++done) normalize_row(done, m_.ring.row(done));
      Half* to = h_at(i);
      clear_edges(to);
      convolve(i, s_.w1, s_.b1, [&](int64_t j, int64_t pixels) {
        for (int64_t r = 0; r < pixels; ++r)
          for (int64_t k = 0; k < cols; k += kLanes<float>) {
            const F q = load(c + r * cols + k);
            store_half(to + (j + r + 1) * channels + k, q > 0 ? q : slope * q);
          }
      });
      add_row(i, to + p_.channels);
    }
  }

  /// G, and the sum of dy.
  void products_with_dy() const {
    zero(products_, products_ + p_.kernel());
    clear(m_.row, p_.row());
    float* of_dy = sums_ + kTaps * BandScratch::vector(p_);
    multiply_rows([&](int64_t i) { return h_at(i); },
                  [&](int64_t i) {
                    const float* dy = dy_ + i * p_.w * p_.c;
                    Half* to = m_.row;
                    const int64_t w = p_.w, c = p_.c, channels = p_.channels;
                    for (int64_t k = 0; k < c; k += kLanes<float>) {
                      const bool whole = k + kLanes<float> <= c;
                      F sum = load(of_dy + k);
                      for (int64_t j = 0; j < w; ++j) {
                        const float* at = dy + j * c + k;
                        const F d = whole ? load(at) : load_part(at, c - k);
                        store_half(to + j * channels + k, d);
                        sum += d;
                      }
                      store(of_dy + k, sum);
                    }
                    return to;
                  });
  }

  /// h becomes dq, whose sum is kept; then dw1.
  void hidden_grad(const Attention<float>& t) const {
    const int64_t cols = p_.cols, channels = p_.channels;
    const float *c = m_.c, slope = p_.slope;
    float* of_dq = sums_;
    m_.ring.clear();
    int64_t done = max_of(0, begin_ - 1);
    zero(sums_, sums_ + p_.cols);
    for (int64_t i = begin_; i < end_; ++i) {
      for (; done <= min_of(i + 1, p_.h - 1); ++done) scale_row(t, done, m_.ring.row(done));
      Half* h = h_at(i) + p_.channels;
      convolve(i, s_.w2_turned, nullptr, [&](int64_t j, int64_t pixels) {
        for (int64_t k = 0; k < cols; k += kLanes<float>) {
          F sum = load(of_dq + k);
          for (int64_t r = 0; r < pixels; ++r) {
            Half* at = h + (j + r) * channels + k;
            const F dh = load(c + r * cols + k), dq = load_half(at) > 0 ? dh : slope * dh;
            store_half(at, dq);
            sum += dq;
          }
          store(of_dq + k, sum);
        }
      });
    }
    zero(products_, products_ + p_.kernel());
    clear(m_.row, p_.row());
    multiply_rows(
        [&](int64_t i) {
          normalize_row(i, m_.row);
          return m_.row;
        },
        [&](int64_t i) { return h_at(i) + p_.channels; });
  }

  /// dx, and the sums of dgamma and dbeta.
  void input_grad() const {
    float *gamma = sums_ + BandScratch::vector(p_), *beta = gamma + BandScratch::vector(p_);
    zero(gamma, gamma + p_.cols);
    zero(beta, beta + p_.cols);
    const int64_t padded = whole_vectors<float>(p_.c), cols = p_.cols, channels = p_.channels,
                  w = p_.w;
    const float* c = m_.c;
    float* dn_row = m_.dn;
    Half* normal = m_.row;
    for (int64_t i = begin_; i < end_; ++i) {
      const auto row = [&](int64_t k) -> const Half* {
        const int64_t at = i + k - 1;
        return at < 0 || at >= p_.h ? s_.zeros : h_at(at);
      };
      convolve_row(
          p_.conv, p_.w, s_.w1_turned, nullptr, m_.places, row, [&](int64_t) { return m_.c; },
          [&](int64_t j, int64_t pixels) {
            for (int64_t r = 0; r < pixels; ++r)
              for (int64_t k = 0; k < cols; k += kLanes<float>)
                store(dn_row + (j + r) * cols + k, load(c + r * cols + k));
          });
      normalize_rows(
          padded_row(i), padded, p_.w, p_.c, static_cast<float>(LayerNormAttrs{}.eps),
          [&](int64_t r, int64_t j, F h)
              __attribute__((always_inline)) { store_half(normal + r * channels + j, h); },
          m_.rstds);
      for (int64_t k = 0; k < padded; k += kLanes<float>) {
        F of_gamma = load(gamma + k), of_beta = load(beta + k);
        for (int64_t r = 0; r < w; ++r) {
          const F dn = load(dn_row + r * cols + k);
          of_gamma += dn * load_half(normal + r * channels + k);
          of_beta += dn;
        }
        store(gamma + k, of_gamma);
        store(beta + k, of_beta);
      }
      normalize_back(
          dn_row, cols, halves_at(normal, channels), m_.rstds, s_.gamma, w,
          p_.c, [&](int64_t r, int64_t j, F d) __attribute__((always_inline)) {
            store(dn_row + r * cols + j, d);
          });
      const int64_t at = i * p_.w * p_.c;
      for (int64_t r = 0; r < p_.w; ++r)
        sum_row(dx_ + at + r * p_.c, dy_ + at + r * p_.c, m_.dn + r * p_.cols, p_.c);
    }
  }

 private:
  Half* h_at(int64_t i) const { return h_ + i * p_.row(); }
  static void clear(Half* to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = 0;
  }
  void clear_edges(Half* row) const {
    clear(row, p_.channels);
    if (p_.channels > p_.cols) clear(row, p_.row());
    clear(row + (p_.w + 1) * p_.channels, (p_.wide - p_.w - 1) * p_.channels);
  }
  F get(const float* p, int64_t k) const {
    return k + kLanes<float> <= p_.c ? load(p + k) : load_part(p + k, p_.c - k);
  }

  /// Row i of x, padded to whole vectors.
  const float* padded_row(int64_t i) const {
    const float* x = x_ + i * p_.w * p_.c;
    if (p_.c % kLanes<float> == 0) return x;
    const int64_t padded = whole_vectors<float>(p_.c);
    for (int64_t j = 0; j < p_.w; ++j) copy_padded(m_.x + j * padded, x + j * p_.c, p_.c);
    return m_.x;
  }

  /// Row i of LN(x) behind a first pixel.
  void normalize_row(int64_t i, Half* row) const {
    const float *gamma = s_.gamma, *beta = s_.beta;
    const int64_t channels = p_.channels;
    normalize_rows(
        padded_row(i), whole_vectors<float>(p_.c), p_.w, p_.c,
        static_cast<float>(LayerNormAttrs{}.eps),
        [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store_half(row + (r + 1) * channels + j, load(gamma + j) * h + load(beta + j));
        });
  }

  /// Row i of dz behind a first pixel.
  void scale_row(const Attention<float>& t, int64_t i, Half* row) const {
    const int64_t w = p_.w, c = p_.c, channels = p_.channels;
    const float* dy = dy_ + i * w * c;
    for (int64_t k = 0; k < c; k += kLanes<float>) {
      const bool whole = k + kLanes<float> <= c;
      const F a = get(t.a, k), mean_grad = get(t.mean_grad, k);
      for (int64_t j = 0; j < w; ++j) {
        const float* at = dy + j * c + k;
        store_half(row + (j + 1) * channels + k,
                   (whole ? load(at) : load_part(at, c - k)) * a + mean_grad);
      }
    }
  }

  /// Row i of a convolution of what the ring holds.
  template <class Done>
  void convolve(int64_t i, const Half* right, const float* bias, Done done) const {
    const auto from = [&](int64_t k) -> const Half* {
      const int64_t row = i + k - 1;
      return row < 0 || row >= p_.h ? m_.ring.zeros : m_.ring.row(row);
    };
    convolve_row(
        p_.conv, p_.w, right, bias, m_.places, from, [&](int64_t) { return m_.c; }, done);
  }

  /// Row i of h to the sums of what each tap of conv2 meets: pixels whose neighbor lies outside do
  /// not count.
  void add_row(int64_t i, const Half* h) const {
    for (int64_t k = 0; k < p_.cols; k += kLanes<float>) {
      F all{};
      const int64_t w = p_.w, channels = p_.channels;
      for (int64_t j = 0; j < w; ++j) all += load_half(h + j * channels + k);
      const F of_col[] = {all - load_half(h + (p_.w - 1) * p_.channels + k), all,
                          all - load_half(h + k)};
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        if (tap / 3 == 0 ? i == p_.h - 1 : tap / 3 == 2 && i == 0) continue;
        float* sum = sums_ + tap * BandScratch::vector(p_) + k;
        store(sum, load(sum) + of_col[tap % 3]);
      }
    }
  }

  /// Turns a row of pixels (its first pixel is -1; null: zeros) into rows of channels.
  void turn_row(const Half* row, Half* to) const {
    if (!row) return clear(to, p_.turned_row());
    turn_rows(row, p_.channels, p_.wide, p_.cols, m_.few, to, p_.wide);
  }

  /// products += over pixels of the band: left(i), a row whose first pixel is -1, at every tap,
  /// times right(i), a row whose first pixel is 0.
  template <class Left, class RightRow>
  void multiply_rows(Left left, RightRow right) const {
    constexpr int64_t kRing = kBandRowsAtOnce + 2;
    const auto turned = [&](int64_t i) { return (i + kRing) % kRing * p_.turned_row(); };
    int64_t done = begin_ - 1;
    for (int64_t i = begin_; i < end_; i += kBandRowsAtOnce) {
      const int64_t rows = min_of(kBandRowsAtOnce, end_ - i), steps = rows * p_.steps;
      for (; done <= i + rows; ++done)
        turn_row(done < 0 || done >= p_.h ? nullptr : left(done), m_.turned + turned(done));
      for (int64_t r = 0; r < rows; ++r)
        pair_rows(right(i + r), p_.channels, p_.steps * kDepth, p_.cols,
                  m_.pairs + r * p_.steps * kStep, steps);
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t step = 0; step < p_.steps; ++step)
            m_.pixel_places[r * p_.steps + step] =
                turned(i + r + tap / 3 - 1) + step * kDepth + tap % 3;
        Block block{};
        block.a = m_.turned, block.a_row = p_.wide;
        block.a_at = m_.pixel_places;
        block.b = m_.pairs, block.steps = steps;
        block.c = products_ + tap * p_.cols * p_.cols, block.c_row = p_.cols;
        block.add = true;
        product(block, p_.c, p_.cols);
      }
    }
  }

  const BandProblem& p_;
  const BandScratch& s_;
  const BandScratch::Worker& m_;
  const int64_t image_, begin_, end_;
  const float *x_, *dy_;
  float* dx_;
  Half* h_;
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
    every_band([](const Band& band) { band.hidden(); });
    every_band([](const Band& band) { band.products_with_dy(); });
    for (int64_t image = 0; image < p_.n; ++image) attention(image);
    parallel_chunks(call_, kTaps * p_.c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) w2_grad(row);
    });
    parallel_workers(call_, kBands, p_.n * p_.bands, [&](int64_t worker, int64_t i) {
      const Session session;
      Band(call_, p_, s_, s_.worker[worker], i).hidden_grad(attention_of(i / p_.bands));
    });
    add_sums(0, d_.b1);
    parallel_chunks(call_, kTaps * p_.c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t i = 0; i < p_.n * p_.bands; ++i)
          for (int64_t k = 0; k < p_.c; ++k) d_.w1[row * p_.c + k] += product_row(i, row)[k];
    });
    every_band([](const Band& band) { band.input_grad(); });
    add_sums(1, d_.gamma);
    add_sums(2, d_.beta);
  }

 private:
  template <class Body>
  void every_band(Body body) const {
    parallel_workers(call_, kBands, p_.n * p_.bands, [&](int64_t worker, int64_t i) {
      const Session session;
      body(Band(call_, p_, s_, s_.worker[worker], i));
    });
  }

  void pack() const {
    const float *w1 = call_.in[3].as<float>(), *w2 = call_.in[5].as<float>();
    p_.conv.pack(w1, s_.w1);
    const auto turned = [&](const float* w, Half* to) {
      pack_right(to, kTaps * p_.channels, p_.c, [&](int64_t k, int64_t j) {
        const int64_t tap = k / p_.channels, o = k % p_.channels;
        return o < p_.c ? w[((kTaps - 1 - tap) * p_.c + j) * p_.c + o] : 0.0f;
      });
    };
    turned(w1, s_.w1_turned);
    turned(w2, s_.w2_turned);
    pad_bias(s_.gamma, call_.in[1].as<float>(), p_.c);
    pad_bias(s_.beta, call_.in[2].as<float>(), p_.c);
    pad_bias(s_.b1, call_.in[4].as<float>(), p_.c);
    for (int64_t i = 0; i < p_.row(); ++i) s_.zeros[i] = 0;
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
    const float *w2 = call_.in[5].as<float>(), *b2 = call_.in[6].as<float>();
    const Attention<float> t = attention_of(image);
    for (int64_t i = 0; i < c; ++i) {
      t.z[i] = static_cast<float>(p_.h * p_.w) * b2[i];
      t.z_dy[i] = b2[i] * t.dy[i];
    }
    for (int64_t row = 0; row < kTaps * c; ++row) {
      const float sum = sums_of(first, row / c)[row % c], *w = w2 + row * c;
      const float* g = product_row(first, row);
      for (int64_t i = 0; i < c; ++i) {
        t.z[i] += w[i] * sum;
        t.z_dy[i] += w[i] * g[i];
      }
    }
    attend_back(call_, t, d_);
  }

  void w2_grad(int64_t row) const {
    float* dw = d_.w2 + row * p_.c;
    for (int64_t image = 0; image < p_.n; ++image) {
      const Attention<float> t = attention_of(image);
      const float sum = sums_of(image * p_.bands, row / p_.c)[row % p_.c];
      const float* g = product_row(image * p_.bands, row);
      for (int64_t i = 0; i < p_.c; ++i) dw[i] += t.a[i] * g[i] + t.mean_grad[i] * sum;
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
