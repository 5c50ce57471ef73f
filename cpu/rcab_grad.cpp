// The derivative of rcab in one kernel (docs/derivations/rcab.md).  With n = LN(x),
// h = LeakyReLU(conv1(n)), z = conv2(h), a the attention and m the mean of z:
//
//   G = h x dy  and  S = sums of h    give the means of z and of z dy without z, and later dw2
//   dz = dy a + dm / pixels           dw2 = a G + S dm / pixels
//   dh = conv2^T(dz)                  dq = dh LeakyReLU'(h)
//   dn = conv1^T(dq)                  dw1 = n x dq                dx = dy + LN'(dn)
//
// Five passes of Winograd's products, of which three are convolutions.  Only h is kept as a picture
// (as rows with zeros around them, so that all convolutions read them without edges); dq takes its
// place when it has been read for the last time.  LN(x) and dz are computed where they are needed,
// as rings of rows.  An image is cut into strips as in rcab.cpp.  G is a matter of one image, so
// images go through that part in rounds of a few; for dw1 strips are gathered in fixed groups.
//
// The sign of h tells LeakyReLU' for slopes from 0 on; for others the plain loops (rcab.cpp) run.
#include "cpu/lanes.h"
#include "cpu/rcab.h"

namespace satin::cpu::SATIN_ISA {
namespace {

template <class T>
class Grad {
 public:
  explicit Grad(const Call& call)
      : p_(call),
        call_(call),
        x_(call.in[0].as<T>()),
        dy_(call.in[11].as<T>()),
        dx_(call.out[0].as<T>()),
        d_(p_, call.out[1].as<T>()),
        h_(static_cast<T*>(call.scratch)),
        w1_(h_ + p_.n * p_.image()),
        w2_(w1_ + p_.size.weights_size()),
        sums_(w2_ + p_.size.weights_size()),
        products_(sums_ + p_.sets * p_.sums.sums_size()),
        b1_(products_ + p_.round * p_.products()),
        attentions_(b1_ + p_.vector()),
        strip_sums_(attentions_ + 5 * p_.n * p_.vector()),
        slots_(b1_ + p_.vectors() * p_.vector()) {}

  void run() {
    zero(d_.gamma, d_.end);
    if (p_.n * p_.h * p_.w * p_.c == 0) return;
    const int64_t c = p_.c;
    const Weights straight{0, 3 * c * c, c * c, c, 1, 0};
    const Weights turned{8 * c * c, -3 * c * c, -c * c, 1, c, 0};
    const T *w1 = call_.in[3].template as<T>(), *w2 = call_.in[5].template as<T>();
    pack_panel(b1_, call_.in[4].template as<T>(), 0, 1, 1, static_cast<int>(c), whole());
    winograd_weights(call_, p_.size, w1, straight, w1_);
    every_strip([&](Strip& s) { hidden(s); });
    for (int64_t image = 0; image < p_.n; image += p_.round)
      attentions(image, min_of(p_.round, p_.n - image));
    winograd_weights(call_, p_.size, w1, turned, w1_);
    winograd_weights(call_, p_.size, w2, turned, w2_);
    every_strip([&](Strip& s) { hidden_grad(s); });
    for (int64_t image = 0; image < p_.n; ++image) {
      add_strips(image, 1);
      for (int64_t i = 0; i < c; ++i) d_.b1[i] += sums_of(image, 0, 0)[i];
    }
    sum_products(0, p_.n * p_.strips, p_.sets,
                 [&](Strip& s, T* sums, bool add) { add_w1(s, sums, add); });
    parallel_chunks(call_, c, 4, [&](int64_t begin, int64_t end) {
      for (int64_t ci = begin; ci < end; ++ci)
        winograd_weights_back(p_.sums, sums_, p_.sets, ci, d_.w1);
    });
    every_strip([&](Strip& s) { input_grad(s); });
    for (int64_t image = 0; image < p_.n; ++image) {
      add_strips(image, 2);
      for (int64_t i = 0; i < c; ++i) {
        d_.gamma[i] += sums_of(image, 0, 0)[i];
        d_.beta[i] += sums_of(image, 0, 1)[i];
      }
    }
  }

 private:
  /// Tile rows [begin, end) of an image, and memory to compute in.
  struct Strip {
    int64_t image, strip, begin, end;
    T *ring, *step, *block, *in, *grads, *more;
    int64_t ring_done;  ///< the first row that the ring does not hold yet
  };

  int whole() const { return whole_vectors<T>(p_.c); }

  Strip strip_of(int64_t i, int64_t worker) const {
    const int64_t image = i / p_.strips, strip = i % p_.strips;
    Strip s{};
    s.image = image, s.strip = strip;
    s.begin = p_.tile_rows * strip / p_.strips;
    s.end = p_.tile_rows * (strip + 1) / p_.strips;
    s.ring = slots_ + worker * p_.slot();
    s.step = s.ring + p_.ring_rows() * p_.row();
    s.block = s.step + p_.step_pixels() * p_.pixel();
    s.in = s.block + p_.size.block_size();
    s.grads = s.in + p_.sums.block_size();
    s.more = s.grads + p_.sums.block_size();
    s.ring_done = 4 * s.begin - 1;
    return s;
  }

  template <class Body>
  void every_strip(Body body) {
    parallel_workers(call_, p_.workers(), p_.n * p_.strips, [&](int64_t worker, int64_t i) {
      Strip s = strip_of(i, worker);
      body(s);
    });
  }

  /// What body(strip, sums, whether to add) sums up over `count` strips, in groups.
  template <class Body>
  void sum_products(int64_t begin, int64_t count, int64_t groups, Body body) const {
    parallel_workers(call_, p_.workers(), groups, [&](int64_t worker, int64_t group) {
      const int64_t first = count * group / groups;
      for (int64_t i = first; i < count * (group + 1) / groups; ++i) {
        Strip s = strip_of(begin + i, worker);
        body(s, sums_ + group * p_.sums.sums_size(), i > first);
      }
    });
  }

  /// Vector `which` of those that a strip sums up.
  T* sums_of(int64_t image, int64_t strip, int64_t which) const {
    return strip_sums_ + ((image * p_.strips + strip) * p_.kStripSums + which) * p_.vector();
  }
  /// Onto those of the image's first strip.
  void add_strips(int64_t image, int64_t count) const {
    for (int64_t strip = 1; strip < p_.strips; ++strip)
      for (int64_t which = 0; which < count; ++which)
        for (int64_t i = 0; i < p_.c; ++i)
          sums_of(image, 0, which)[i] += sums_of(image, strip, which)[i];
  }
  Attention<T> attention_of(int64_t image) const {
    T* at = attentions_ + image * 5 * p_.vector();
    return {at,
            at + p_.vector(),
            sums_of(image, 0, p_.kRowSums),
            at + 2 * p_.vector(),
            at + 3 * p_.vector(),
            at + 4 * p_.vector()};
  }

  /// Pixel (i, j) of h: (-1, -1) is the first.
  T* h_at(const Strip& s, int64_t i, int64_t j) const {
    return h_ + s.image * p_.image() + (i + 1) * p_.row() + (j + 1) * p_.pixel();
  }
  /// The same of the ring, whose pixels are `pixel` apart.
  T* ring_at(const Strip& s, int64_t i, int64_t j, int64_t pixel) const {
    return s.ring + (i + p_.ring_rows()) % p_.ring_rows() * p_.row() + (j + 1) * pixel;
  }
  int64_t offset(const Strip& s, int64_t i, int64_t j) const {
    return ((s.image * p_.h + i) * p_.w + j) * p_.c;
  }

  /// f(row, count) for the steps of a strip: tile rows [row, row + count).
  template <class F>
  void steps(const Strip& s, F f) const {
    for_even(s.begin, s.end, p_.depth, f);
  }

  /// A convolution of `count` rows of tiles: from(i, j) points to pixels, `pixel` apart, of what it
  /// reads; out(t, i, j) takes tile t of the block, at pixel (i, j), out.
  template <class From, class Out>
  void convolve(const Strip& s,
                int64_t row,
                int64_t count,
                const T* weights,
                int64_t pixel,
                From from,
                Out out) const {
    for_even(0, count * p_.tile_cols, p_.size.tiles, [&](int64_t begin, int64_t n) {
      const auto i_of = [&](int64_t t) { return 4 * (row + (begin + t) / p_.tile_cols); };
      const auto j_of = [&](int64_t t) { return 4 * ((begin + t) % p_.tile_cols); };
      for (int64_t t = 0; t < n; ++t) {
        const T* rows[6];
        for (int r = 0; r < 6; ++r) rows[r] = from(i_of(t) - 1 + r, j_of(t) - 1);
        winograd_in(p_.size, s.block, t, rows, pixel);
      }
      for (int64_t k = 0; k < p_.size.kPoints; ++k) {
        Ahead ahead;
        if (k + 1 < p_.size.kPoints)
          ahead.add(weights + (k + 1) * p_.size.point(), p_.size.point());
        winograd_product(p_.size, s.block, weights, k, n, ahead);
      }
      for (int64_t t = 0; t < n; ++t) out(t, i_of(t), j_of(t));
    });
  }

  /// The products of `count` rows of tiles for a gradient in weights: from(i, j) as above,
  /// grads(rows, i, j) sets pointers to a tile of the other factor and returns its pixels'
  /// distance.
  template <class From, class Grads>
  void multiply(const Strip& s,
                int64_t row,
                int64_t count,
                int64_t pixel,
                From from,
                Grads grads,
                T* sums,
                bool add) const {
    for_even(0, count * p_.tile_cols, p_.sums.tiles, [&](int64_t begin, int64_t n) {
      for (int64_t t = 0; t < n; ++t) {
        const int64_t i = 4 * (row + (begin + t) / p_.tile_cols),
                      j = 4 * ((begin + t) % p_.tile_cols);
        const T* rows[6];
        for (int r = 0; r < 6; ++r) rows[r] = from(i - 1 + r, j - 1);
        winograd_in(p_.sums, s.in, t, rows, pixel);
        const T* others[4];
        const int64_t distance = grads(others, i, j);
        winograd_grad_in(p_.sums, s.grads, t, others, distance);
      }
      winograd_add_products(p_.sums, sums, s.in, s.grads, n, add || begin > 0);
    });
  }

  /// A vector of channels from k on, of which some may be none.
  Vec<T> get(const T* p, int64_t k) const {
    return k + kLanes<T> <= p_.c ? load(p + k) : load_part(p + k, p_.c - k);
  }
  void put(T* p, int64_t k, Vec<T> v) const {
    k + kLanes<T> <= p_.c ? store(p + k, v) : store_part(p + k, v, p_.c - k);
  }

  /// f(r, c) for the pixels of the tile at (i, j) that lie inside the image.
  template <class F>
  void inside(int64_t i, int64_t j, F f) const {
    for (int64_t r = 0; r < min_of(4, p_.h - i); ++r)
      for (int64_t c = 0; c < min_of(4, p_.w - j); ++c) f(r, c);
  }

  /// Rows up to `end` of LN(x) into the ring.
  void normalize_up_to(Strip& s, int64_t end) const {
    for (int64_t& i = s.ring_done; i < end; ++i) {
      T* to = ring_at(s, i, -1, p_.c);
      if (i < 0 || i >= p_.h) {
        zero(to, to + p_.row());
        continue;
      }
      zero(to, to + p_.c);
      normalize(call_, x_ + offset(s, i, 0), to + p_.c, p_.w);
      zero(to + (p_.w + 1) * p_.c, to + p_.row());
    }
  }

  /// n pixels of dz.
  void scale(const Strip& s, int64_t i, int64_t j, int64_t n, T* to) const {
    const Attention<T> t = attention_of(s.image);
    const T *dy = dy_ + offset(s, i, j), *a = t.a, *m = t.mean_grad;
    for (int64_t k = 0; k < n; ++k, dy += p_.c, to += p_.pixel()) {
      int64_t l = 0;
      for (; l + kLanes<T> <= p_.c; l += kLanes<T>)
        store(to + l, load(dy + l) * load(a + l) + load(m + l));
      for (; l < p_.c; ++l) to[l] = dy[l] * a[l] + m[l];
    }
  }

  /// Rows up to `end` of dz into the ring.
  void scale_up_to(Strip& s, int64_t end) const {
    for (int64_t& i = s.ring_done; i < end; ++i) {
      T* to = ring_at(s, i, -1, p_.pixel());
      zero(to, to + p_.row());
      if (i >= 0 && i < p_.h) scale(s, i, 0, p_.w, to + p_.pixel());
    }
  }

  void hidden(Strip& s) const {
    if (s.begin == 0) zero(h_at(s, -1, -1), h_at(s, 0, -1));
    if (s.end == p_.tile_rows) zero(h_at(s, 4 * s.end, -1), h_at(s, 4 * s.end + 1, -1));
    T* sums = sums_of(s.image, s.strip, 0);
    zero(sums, sums + p_.kRowSums * p_.vector());
    steps(s, [&](int64_t row, int64_t count) {
      normalize_up_to(s, 4 * (row + count) + 1);
      convolve(
          s, row, count, w1_, p_.c, [&](int64_t i, int64_t j) { return ring_at(s, i, j, p_.c); },
          [&](int64_t t, int64_t i, int64_t j) {
            T* to[4];
            for (int r = 0; r < 4; ++r) to[r] = h_at(s, i + r, j);
            winograd_out(p_.size, s.block, t, to, p_.pixel(), {.bias = b1_, .slope = p_.slope});
          });
      for (int64_t i = 4 * row; i < 4 * (row + count); ++i) {
        zero(h_at(s, i, -1), h_at(s, i, 0));
        zero(h_at(s, i, i < p_.h ? p_.w : -1), h_at(s, i + 1, -1));
        if (i < p_.h) add_row(s, i, sums);
      }
    });
  }

  /// Row i of h to the sums of what each tap of conv2 meets: pixels whose neighbor lies outside do
  /// not count.
  void add_row(const Strip& s, int64_t i, T* sums) const {
    for (int64_t k = 0; k < p_.c; k += kLanes<T>) {
      Vec<T> all{};
      for (int64_t j = 0; j < p_.w; ++j) all += load(h_at(s, i, j) + k);
      const Vec<T> of_col[] = {all - load(h_at(s, i, p_.w - 1) + k), all,
                               all - load(h_at(s, i, 0) + k)};
      for (int64_t tap = 0; tap < 9; ++tap) {
        if (tap / 3 == 0 ? i == p_.h - 1 : tap / 3 == 2 && i == 0) continue;
        T* sum = sums + tap * p_.vector() + k;
        store(sum, load(sum) + of_col[tap % 3]);
      }
    }
  }

  /// Tile t of the block, through its patch: rows of four pixels, out_row apart.
  T* patch_of(const Strip& s, int64_t t) const {
    T* to[4];
    for (int r = 0; r < 4; ++r) to[r] = p_.size.patch(s.block) + r * 4 * p_.size.out_row();
    winograd_out(p_.size, s.block, t, to, p_.size.out_row(), {});
    return to[0];
  }

  /// G and the sums of dy over a strip.
  void add_products(Strip& s, T* sums, bool add) const {
    T* of_dy = sums_of(s.image, s.strip, p_.kRowSums);
    zero(of_dy, of_dy + p_.vector());
    for_even(s.begin, s.end, p_.sums_depth, [&](int64_t row, int64_t count) {
      for (int64_t i = 4 * row; i < min_of(p_.h, 4 * (row + count)); ++i)
        for (int64_t k = 0; k < p_.c; k += kLanes<T>) {
          Vec<T> sum{};
          for (int64_t j = 0; j < p_.w; ++j) sum += get(dy_ + offset(s, i, j), k);
          store(of_dy + k, load(of_dy + k) + sum);
        }
      multiply(
          s, row, count, p_.pixel(), [&](int64_t i, int64_t j) { return h_at(s, i, j); },
          [&](const T*(&rows)[4], int64_t i, int64_t j) {
            if (p_.c == p_.pixel() && i + 4 <= p_.h && j + 4 <= p_.w) {
              for (int64_t r = 0; r < 4; ++r) rows[r] = dy_ + offset(s, i + r, j);
              return p_.c;
            }
            T* patch = p_.sums.patch(s.grads);
            zero(patch, patch + 16 * p_.pixel());
            for (int64_t r = 0; r < 4; ++r) rows[r] = patch + r * 4 * p_.pixel();
            inside(i, j, [&](int64_t r, int64_t c) {
              const T* dy = dy_ + offset(s, i + r, j + c);
              T* to = patch + (r * 4 + c) * p_.pixel();
              for (int64_t k = 0; k < p_.c; ++k) to[k] = dy[k];
            });
            return p_.pixel();
          },
          sums, add || row > s.begin);
    });
  }

  /// The attention of `count` images from `first` on, and what they add to dw2.
  void attentions(int64_t first, int64_t count) const {
    const int64_t c = p_.c;
    sum_products(first * p_.strips, count * p_.strips, count * p_.pieces,
                 [&](Strip& s, T* sums, bool add) { add_products(s, sums, add); });
    const auto of_image = [&](int64_t k) { return products_ + k * p_.products(); };
    parallel_chunks(call_, count * c, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        winograd_weights_back(p_.sums, sums_ + i / c * p_.pieces * p_.sums.sums_size(), p_.pieces,
                              i % c, of_image(i / c));
    });
    for (int64_t k = 0; k < count; ++k) {
      add_strips(first + k, p_.kStripSums);
      attention(first + k, of_image(k));
    }
    parallel_chunks(call_, 9 * c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t k = 0; k < count; ++k) {
          const Attention<T> t = attention_of(first + k);
          const T sum = sums_of(first + k, 0, row / c)[row % c], *g = of_image(k) + row * c;
          T* dw = d_.w2 + row * c;
          for (int64_t i = 0; i < c; ++i) dw[i] += t.a[i] * g[i] + t.mean_grad[i] * sum;
        }
    });
  }

  /// From G: the sums of z and z dy are linear in h.
  void attention(int64_t image, const T* g) const {
    const int64_t c = p_.c;
    const T *w2 = call_.in[5].template as<T>(), *b2 = call_.in[6].template as<T>();
    const Attention<T> t = attention_of(image);
    for (int64_t i = 0; i < c; ++i) {
      t.z[i] = static_cast<T>(p_.h * p_.w) * b2[i];
      t.z_dy[i] = b2[i] * t.dy[i];
    }
    for (int64_t row = 0; row < 9 * c; ++row) {
      const T sum = sums_of(image, 0, row / c)[row % c], *w = w2 + row * c;
      for (int64_t i = 0; i < c; ++i) {
        t.z[i] += w[i] * sum;
        t.z_dy[i] += w[i] * g[row * c + i];
      }
    }
    attend_back(call_, t, d_);
  }

  /// h becomes dq; sums: of dq.
  void hidden_grad(Strip& s) const {
    T* sums = sums_of(s.image, s.strip, 0);
    zero(sums, sums + p_.c);
    T* of_step = s.more;
    steps(s, [&](int64_t row, int64_t count) {
      scale_up_to(s, 4 * (row + count) + 1);
      zero(of_step, of_step + p_.c);
      convolve(
          s, row, count, w2_, p_.pixel(),
          [&](int64_t i, int64_t j) { return ring_at(s, i, j, p_.pixel()); },
          [&](int64_t t, int64_t i, int64_t j) {
            const T* patch = patch_of(s, t);
            for (int64_t k = 0; k < p_.c; k += kLanes<T>) {
              Vec<T> sum{};
              inside(i, j, [&](int64_t r, int64_t c) {
                const Vec<T> dh = load(patch + (r * 4 + c) * p_.size.out_row() + k);
                T* h = h_at(s, i + r, j + c) + k;
                const Vec<T> dq = load(h) > 0 ? dh : p_.slope * dh;
                store(h, dq);
                sum += dq;
              });
              put(of_step, k, get(of_step, k) + sum);
            }
          });
      for (int64_t i = 0; i < p_.c; ++i) sums[i] += of_step[i];
    });
  }

  void add_w1(Strip& s, T* sums, bool add) const {
    for_even(s.begin, s.end, p_.sums_depth, [&](int64_t row, int64_t count) {
      normalize_up_to(s, 4 * (row + count) + 1);
      multiply(
          s, row, count, p_.c, [&](int64_t i, int64_t j) { return ring_at(s, i, j, p_.c); },
          [&](const T*(&rows)[4], int64_t i, int64_t j) {
            for (int r = 0; r < 4; ++r) rows[r] = h_at(s, i + r, j);
            return p_.pixel();
          },
          sums, add || row > s.begin);
    });
  }

  /// dx of a strip; sums: of dgamma and dbeta.
  void input_grad(Strip& s) const {
    T* sums = sums_of(s.image, s.strip, 0);
    zero(sums, sums + 2 * p_.vector());
    T* gamma_beta = s.in;  // free by now
    zero(gamma_beta, gamma_beta + 2 * p_.c);
    steps(s, [&](int64_t row, int64_t count) {
      convolve(
          s, row, count, w1_, p_.pixel(), [&](int64_t i, int64_t j) { return h_at(s, i, j); },
          [&](int64_t t, int64_t i, int64_t j) {
            const T* patch = patch_of(s, t);
            inside(i, j, [&](int64_t r, int64_t c) {
              const T* dn = patch + (r * 4 + c) * p_.size.out_row();
              T* to = s.step + ((i - 4 * row + r) * p_.w + j + c) * p_.c;
              for (int64_t k = 0; k < p_.c; ++k) to[k] = dn[k];
            });
          });
      const int64_t rows = min_of(4 * count, p_.h - 4 * row), at = offset(s, 4 * row, 0);
      normalize_back(call_, x_ + at, s.step, dx_ + at, rows * p_.w, gamma_beta, s.more);
      for (int64_t i = at; i < at + rows * p_.w * p_.c; ++i) dx_[i] += dy_[i];
    });
    for (int64_t i = 0; i < p_.c; ++i) {
      sums[i] = gamma_beta[i];
      sums[p_.vector() + i] = gamma_beta[p_.c + i];
    }
  }

  const RcabGradLayout<T> p_;
  const Call& call_;
  const T *x_, *dy_;
  T* dx_;
  const Flat<T> d_;
  T *h_, *w1_, *w2_, *sums_, *products_, *b1_, *attentions_, *strip_sums_, *slots_;
};

}  // namespace

template <class T>
void fast_rcab_grad(const Call& call) {
  Grad<T>(call).run();
}

template <class T>
int64_t fast_rcab_grad_scratch(const Call& call) {
  return RcabGradLayout<T>(call).scratch();
}

template void fast_rcab_grad<float>(const Call&);
template int64_t fast_rcab_grad_scratch<float>(const Call&);
#if SATIN_BASELINE
template void fast_rcab_grad<double>(const Call&);
template int64_t fast_rcab_grad_scratch<double>(const Call&);
#endif

}  // namespace satin::cpu::SATIN_ISA
