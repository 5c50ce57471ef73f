// The derivative of rcab in one kernel (docs/derivations/rcab.md).  With n = LN(x),
// h = LeakyReLU(conv1(n)), z = conv2(h), a the attention and m the mean of z:
//
//   G = h x dy  and  S = sums of h    give the means of z and of z dy without z, and later dw2
//   dz = dy a + dm / pixels           dw2 = a G + S dm / pixels
//   dh = conv2^T(dz)                  dq = dh LeakyReLU'(h)
//   dn = conv1^T(dq)                  dw1 = n x dq                dx = dy + LN'(dn)
//
// Two passes over a picture, with five of Winograd's products, of which three are convolutions:
//
//   1. n, tiles of h, G and the sums; of h only the signs are kept
//   2. dz, tiles of dq, dw1, dn, dx
//
// n, dy, dz and dq live in rings of rows with zeros around them, so that all convolutions read them
// without edges; a tile of h or of dq is multiplied where it arises.  Far memory is what this
// saves: x and dy are read twice and dx is written.  The products for G are those of dy's
// neighborhoods with tiles of h, which gives G with taps turned around and channels exchanged: then
// no strip needs another one's h.  An image is cut into strips as in rcab.cpp; a strip computes the
// row of tiles of dq above and below it itself.  G is a matter of one image, so images go through
// the first pass in rounds of a few; for dw1 strips are gathered in fixed groups.
//
// The sign of h tells LeakyReLU' for slopes from 0 on; for others the plain loops (rcab.cpp) run.
#include "cpu/lanes.h"
#include "cpu/rcab_back.h"

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
        signs_(static_cast<uint16_t*>(call.scratch)),
        w1_(static_cast<T*>(call.scratch) + p_.signs()),
        w2_(w1_ + p_.size.weights_size()),
        sums_(w2_ + p_.size.weights_size()),
        products_(sums_ + p_.sets * p_.size.sums_size()),
        b1_(products_ + 2 * p_.round * p_.products()),
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
    pack_panel(b1_, call_.in[4].template as<T>(), 0, 1, 1, static_cast<int>(c), p_.pixel());
    winograd_weights(call_, p_.size, w1, straight, w1_);
    for (int64_t image = 0; image < p_.n; image += p_.round)
      attentions(image, min_of(p_.round, p_.n - image));
    winograd_weights(call_, p_.size, w1, turned, w1_);
    winograd_weights(call_, p_.size, w2, turned, w2_);
    sum_products(0, p_.n * p_.strips, p_.sets,
                 [&](Strip& s, T* sums, bool add) { backward(s, sums, add); });
    parallel_chunks(call_, c, 4, [&](int64_t begin, int64_t end) {
      for (int64_t ci = begin; ci < end; ++ci)
        winograd_weights_back(p_.size, sums_, p_.sets, ci, d_.w1);
    });
    for (int64_t image = 0; image < p_.n; ++image) {
      add_strips(image, 3);
      for (int64_t i = 0; i < c; ++i) {
        d_.b1[i] += sums_of(image, 0, 0)[i];
        d_.gamma[i] += sums_of(image, 0, 1)[i];
        d_.beta[i] += sums_of(image, 0, 2)[i];
      }
    }
  }

 private:
  /// Rows of an image, padded, from `from` on; the last ones are kept.
  struct Ring {
    T* at;
    int64_t pixel;  ///< from one to the next
    int64_t done;   ///< the first row that is not there yet
  };

  /// Tile rows [begin, end) of an image, and memory to compute in.
  struct Strip {
    int64_t image, strip, begin, end;
    Ring normal, cotangent, of_dq;  ///< of dy or dz
    T *block, *grads, *step, *more;
  };

  Strip strip_of(int64_t i, int64_t worker) const {
    const int64_t image = i / p_.strips, strip = i % p_.strips;
    Strip s{};
    s.image = image, s.strip = strip;
    s.begin = p_.tile_rows * strip / p_.strips;
    s.end = p_.tile_rows * (strip + 1) / p_.strips;
    T* slot = slots_ + worker * p_.slot();
    s.normal = {slot, p_.c, 4 * s.begin - 1};
    s.cotangent = {slot + p_.ring(), p_.pixel(), 4 * s.begin - 1};
    s.of_dq = {slot + 2 * p_.ring(), p_.pixel(), 0};
    s.block = slot + 3 * p_.ring();
    s.grads = s.block + p_.size.block_size();
    s.step = s.grads + p_.size.block_size();
    s.more = s.step + p_.step();
    return s;
  }

  /// What body(strip, sums, whether to add) sums up over `count` strips, in groups.
  template <class Body>
  void sum_products(int64_t begin, int64_t count, int64_t groups, Body body) const {
    parallel_workers(call_, p_.workers(), groups, [&](int64_t worker, int64_t group) {
      const int64_t first = count * group / groups;
      for (int64_t i = first; i < count * (group + 1) / groups; ++i) {
        Strip s = strip_of(begin + i, worker);
        body(s, sums_ + group * p_.size.sums_size(), i > first);
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

  /// Pixel (i, j) of a ring: (-1, -1) is the first of the image.
  T* at(const Ring& r, int64_t i, int64_t j) const {
    return r.at + (i + p_.ring_rows()) % p_.ring_rows() * p_.row() + (j + 1) * r.pixel;
  }
  int64_t offset(const Strip& s, int64_t i, int64_t j) const {
    return ((s.image * p_.h + i) * p_.w + j) * p_.c;
  }
  uint16_t* signs_of(const Strip& s, int64_t i, int64_t j) const {
    return signs_ + ((s.image * p_.tile_rows + i / 4) * p_.tile_cols + j / 4) * p_.tile_signs();
  }

  /// Rows of x or dy that are needed next: they come into the cache while products are computed.
  Coming<T> rows_of(const T* picture, const Strip& s, int64_t i, int64_t count) const {
    return {picture + offset(s, i, 0), max_of(0, min_of(count, p_.h - i)) * p_.w * p_.c};
  }

  /// A convolution of `count` rows of tiles, block by block: out(t, i, j) takes tile t of the
  /// block, at pixel (i, j), out, and done(n) follows the n tiles of a block.
  template <class Out, class Done>
  void convolve(const Strip& s,
                int64_t row,
                int64_t count,
                const T* weights,
                const Ring& from,
                const Coming<T>& next,
                Out out,
                Done done) const {
    constexpr int64_t kPoints = Winograd<T>::kPoints;
    const int64_t all = count * p_.tile_cols;
    for_even(0, all, p_.size.tiles, [&](int64_t begin, int64_t n) {
      const auto i_of = [&](int64_t t) { return 4 * (row + (begin + t) / p_.tile_cols); };
      const auto j_of = [&](int64_t t) { return 4 * ((begin + t) % p_.tile_cols); };
      for (int64_t t = 0; t < n; ++t) window_in(s.block, t, from, i_of(t), j_of(t));
      for (int64_t k = 0; k < kPoints; ++k) {
        Ahead ahead;
        next.part(begin, n, all).part(k, 1, kPoints).add(ahead);
        if (p_.size.many() && k + 1 < kPoints)
          ahead.add(weights + (k + 1) * p_.size.point(), p_.size.point());
        winograd_product(p_.size, s.block, weights, k, n, ahead);
      }
      for (int64_t t = 0; t < n; ++t) out(t, i_of(t), j_of(t));
      done(n);
    });
  }

  /// The 6x6 pixels around the tile at (i, j) of a ring into a block.
  void window_in(T* block, int64_t t, const Ring& from, int64_t i, int64_t j) const {
    const T* rows[6];
    for (int r = 0; r < 6; ++r) rows[r] = at(from, i - 1 + r, j - 1);
    winograd_in(p_.size, block, t, rows, from.pixel);
  }

  /// A vector of channels from k on, of which some may be none.
  Vec<T> get(const T* p, int64_t k) const {
    return k + kLanes<T> <= p_.c ? load(p + k) : load_part(p + k, p_.c - k);
  }

  /// Rows up to `end` of LN(x).
  void normalize_up_to(Strip& s, int64_t end) const {
    for (int64_t& i = s.normal.done; i < end; ++i) {
      T* to = at(s.normal, i, -1);
      if (i < 0 || i >= p_.h) {
        zero(to, to + p_.row());
        continue;
      }
      zero(to, to + p_.c);
      normalize(call_, x_ + offset(s, i, 0), to + p_.c, p_.w);
      zero(to + (p_.w + 1) * p_.c, to + p_.row());
    }
  }

  /// Rows up to `end` of to(dy, channel); done(row) follows each of the image.
  template <class To, class Done>
  void cotangent_up_to(Strip& s, int64_t end, To to, Done done) const {
    const int64_t pixel = p_.pixel(), c = p_.c, w = p_.w;
    for (int64_t& i = s.cotangent.done; i < end; ++i) {
      T* row = at(s.cotangent, i, -1);
      if (i < 0 || i >= p_.h) {
        zero(row, row + p_.row());
        continue;
      }
      zero(row, row + pixel);
      const T* dy = dy_ + offset(s, i, 0);
      for (int64_t j = 0; j < w; ++j)
        for (int64_t k = 0; k < pixel; k += kLanes<T>)
          store(row + (j + 1) * pixel + k, to(get(dy + j * c, k), k));
      zero(row + (w + 1) * pixel, row + p_.row());
      done(i);
    }
  }

  /// Tile t of the block through the patch, with zeros outside the image.
  T* patch_of(const Strip& s, int64_t t, int64_t i, int64_t j, const Epilogue<T>& e) const {
    const int64_t pixel = p_.size.out_row();
    T* patch = p_.size.patch(s.block);
    T* to[4];
    for (int r = 0; r < 4; ++r) to[r] = patch + r * 4 * pixel;
    winograd_out(p_.size, s.block, t, to, pixel, e);
    if (i + 4 > p_.h || j + 4 > p_.w)
      for (int64_t r = 0; r < 4; ++r)
        for (int64_t c = 0; c < 4; ++c)
          if (i + r >= p_.h || j + c >= p_.w)
            zero(to[r] + c * pixel, to[r] + c * pixel + p_.pixel());
    return patch;
  }

  void grad_in(const Strip& s, int64_t t, const T* patch) const {
    const int64_t pixel = p_.size.out_row();
    const T* const rows[4] = {patch, patch + 4 * pixel, patch + 8 * pixel, patch + 12 * pixel};
    winograd_grad_in(p_.size, s.grads, t, rows, pixel);
  }

  // --- the first pass ---------------------------------------------------------------------------

  /// The signs of h, G and the sums of a strip.
  void forward(Strip& s, T* sums, bool add) const {
    const HiddenSums<T> of_h{p_, sums_of(s.image, s.strip, 0), p_.vector()};
    zero(of_h.at, of_h.at + p_.kStripSums * p_.vector());
    for_even(s.begin, s.end, p_.depth, [&](int64_t row, int64_t count) {
      const int64_t end = 4 * (row + count) + 1;
      normalize_up_to(s, end);
      cotangent_up_to(
          s, end, [](Vec<T> dy, int64_t) { return dy; }, [&](int64_t i) { add_dy(s, i); });
      const Coming<T> next = rows_of(dy_, s, end, 4 * p_.depth);
      const int64_t all = count * p_.tile_cols;
      int64_t ready = 0;
      convolve(
          s, row, count, w1_, s.normal, rows_of(x_, s, end, 4 * p_.depth),
          [&](int64_t t, int64_t i, int64_t j) {
            const T* patch = patch_of(s, t, i, j, {.bias = b1_, .slope = p_.slope});
            of_h.add(patch, p_.size.out_row(), i, j, signs_of(s, i, j));
            grad_in(s, t, patch);
            window_in(s.block, t, s.cotangent, i, j);
          },
          [&](int64_t n) {
            winograd_add_products(p_.size, sums, s.block, s.grads, n, add,
                                  next.part(ready, n, all));
            add = true, ready += n;
          });
    });
    of_h.to_taps();
  }

  /// Row i of dy to its sum if it is the strip's.
  void add_dy(const Strip& s, int64_t i) const {
    if (i < 4 * s.begin || i >= 4 * s.end) return;
    T* of_dy = sums_of(s.image, s.strip, p_.kRowSums);
    const int64_t pixel = p_.pixel(), w = p_.w;
    for (int64_t k = 0; k < pixel; k += kLanes<T>) {
      const T* dy = at(s.cotangent, i, 0) + k;
      Vec<T> even{}, odd{};
      for (int64_t j = 0; j < w; j += 2, dy += 2 * pixel) {  // zeros behind the row
        even += load(dy);
        odd += load(dy + pixel);
      }
      store(of_dy + k, load(of_dy + k) + (even + odd));
    }
  }

  /// The attention of `count` images from `first` on, and what they add to dw2.
  void attentions(int64_t first, int64_t count) const {
    const int64_t c = p_.c;
    sum_products(first * p_.strips, count * p_.strips, count * p_.pieces,
                 [&](Strip& s, T* sums, bool add) { forward(s, sums, add); });
    const auto of_image = [&](int64_t k) { return products_ + k * p_.products(); };
    parallel_chunks(call_, count * c, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        winograd_weights_back(p_.size, sums_ + i / c * p_.pieces * p_.size.sums_size(), p_.pieces,
                              i % c, of_image(p_.round + i / c));
    });
    parallel_for(call_, 9 * count, [&](int64_t i) {
      turn_products(of_image(p_.round + i / 9), of_image(i / 9), i % 9, c);
    });
    for (int64_t k = 0; k < count; ++k) {
      add_strips(first + k, p_.kStripSums);
      sum_z(
          call_, attention_of(first + k), [&](int64_t row) { return of_image(k) + row * c; },
          [&](int64_t row) { return sums_of(first + k, 0, row / c)[row % c]; });
      attend_back(call_, attention_of(first + k), d_);
    }
    parallel_chunks(call_, 9 * c, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t k = 0; k < count; ++k)
          add_w2_row(attention_of(first + k), of_image(k) + row * c,
                     sums_of(first + k, 0, row / c)[row % c], d_.w2 + row * c, c);
    });
  }

  // --- the second pass --------------------------------------------------------------------------

  /// dx, and dw1 and the sums of dq, dgamma and dbeta.
  void backward(Strip& s, T* sums, bool add) const {
    T* of_dq = sums_of(s.image, s.strip, 0);
    zero(of_dq, of_dq + 3 * p_.vector());
    const int64_t limit = min_of(p_.tile_rows, s.end + 1);
    int64_t done = max_of(0, s.begin - 1);  // tile rows of dq
    s.normal.done = s.cotangent.done = 4 * done - 1;
    if (done == 0) zero(at(s.of_dq, -1, -1), at(s.of_dq, -1, -1) + p_.row());
    for_even(s.begin, s.end, p_.depth, [&](int64_t row, int64_t count) {
      while (done < min_of(limit, row + count + 1)) {
        const bool own = done >= s.begin && done < s.end;
        const int64_t most = min_of(limit, row + count + 1), end = done < s.begin ? s.begin
                                                                   : own ? min_of(s.end, most)
                                                                         : most;
        hidden_grad(s, done, end - done, own, sums, add);
        done = end;
      }
      if (row + count == p_.tile_rows) {
        T* below = at(s.of_dq, 4 * p_.tile_rows, -1);
        zero(below, below + p_.row());
      }
      input_grad(s, row, count);
    });
  }

  /// Tile rows of dq; their sums and what they add to dw1 if they are the strip's own.
  void hidden_grad(Strip& s, int64_t row, int64_t count, bool own, T* sums, bool& add) const {
    const Attention<T> a = attention_of(s.image);
    const int64_t pixel = p_.size.out_row(), end = 4 * (row + count) + 1;
    T* of_dq = sums_of(s.image, s.strip, 0);
    int64_t ready = 0;
    normalize_up_to(s, end);
    cotangent_up_to(
        s, end, [&](Vec<T> dy, int64_t k) { return dy * get(a.a, k) + get(a.mean_grad, k); },
        [](int64_t) {});
    for (int64_t i = 4 * row; i < 4 * (row + count); ++i) {
      T* to = at(s.of_dq, i, -1);
      zero(to, to + p_.pixel());
      zero(to + (4 * p_.tile_cols + 1) * p_.pixel(), to + p_.row());
    }
    convolve(
        s, row, count, w2_, s.cotangent, rows_of(dy_, s, end, 4 * p_.depth),
        [&](int64_t t, int64_t i, int64_t j) {
          T* patch = patch_of(s, t, i, j, {});
          const uint16_t* signs = signs_of(s, i, j);
          for (int64_t k = 0; k < p_.pixel(); k += kLanes<T>, signs += 16) {
            Vec<T> sum{};
            for (int64_t r = 0; r < 4; ++r) {
              T* to = at(s.of_dq, i + r, j) + k;
              for (int64_t c = 0; c < 4; ++c) {
                T* dh = patch + (r * 4 + c) * pixel + k;
                const Vec<T> v = load(dh), dq = choose<T>(signs[r * 4 + c], v, p_.slope * v);
                store(dh, dq);
                store(to + c * p_.pixel(), dq);
                sum += dq;
              }
            }
            if (own) store(of_dq + k, load(of_dq + k) + sum);
          }
          if (!own) return;
          grad_in(s, t, patch);
          window_in(s.block, t, s.normal, i, j);
        },
        [&](int64_t n) {
          if (!own) return;
          winograd_add_products(
              p_.size, sums, s.block, s.grads, n, add,
              rows_of(dx_, s, 4 * row, 4 * count).part(ready, n, count * p_.tile_cols));
          ready += n;
          add = true;
        });
  }

  /// dx of some tile rows, and to the sums of dgamma and dbeta.
  void input_grad(Strip& s, int64_t row, int64_t count) const {
    const int64_t c = p_.c;
    convolve(
        s, row, count, w1_, s.of_dq, rows_of(x_, s, 4 * (row + count) + 5, 4 * p_.depth),
        [&](int64_t t, int64_t i, int64_t j) {
          T* to = s.step + ((i - 4 * row) * p_.w + j) * c;
          if (c == p_.pixel() && i + 4 <= p_.h && j + 4 <= p_.w) {
            T* const rows[4] = {to, to + p_.w * c, to + 2 * p_.w * c, to + 3 * p_.w * c};
            return winograd_out(p_.size, s.block, t, rows, c, {});
          }
          const T* patch = patch_of(s, t, i, j, {});
          for (int64_t r = 0; r < min_of(4, p_.h - i); ++r)
            for (int64_t l = 0; l < min_of(4, p_.w - j); ++l)
              for (int64_t k = 0; k < c; ++k)
                to[(r * p_.w + l) * c + k] = patch[(r * 4 + l) * p_.size.out_row() + k];
        },
        [](int64_t) {});
    const int64_t pixels = min_of(4 * count, p_.h - 4 * row) * p_.w, first = offset(s, 4 * row, 0);
    T *gamma_beta = s.more, *gamma = sums_of(s.image, s.strip, 1),
      *beta = sums_of(s.image, s.strip, 2);
    zero(gamma_beta, gamma_beta + 2 * c);
    normalize_back(call_, x_ + first, s.step, s.step, pixels, gamma_beta, s.more + 2 * p_.pixel());
    for (int64_t i = 0; i < c; ++i) gamma[i] += gamma_beta[i], beta[i] += gamma_beta[c + i];
    const T* dy = dy_ + first;
    T* dx = dx_ + first;
    int64_t i = 0;
    for (; i + kLanes<T> <= pixels * c; i += kLanes<T>)
      store(dx + i, load(dy + i) + load(s.step + i));
    for (; i < pixels * c; ++i) dx[i] = dy[i] + s.step[i];
  }

  const RcabGradLayout<T> p_;
  const Call& call_;
  const T *x_, *dy_;
  T* dx_;
  const Flat<T> d_;
  uint16_t* signs_;
  T *w1_, *w2_, *sums_, *products_, *b1_, *attentions_, *strip_sums_, *slots_;
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
