// The way back through a group of a gMLP branch with products in bf16; read cpu/gmlp_back.h first,
// whose names these are, and start at GradGroups::run().
//
// What a product reads is rounded once, as rows [pixel, channel].  A product over channels reads
// its left side from these rows as they are; one over pixels reads its left side turned (a row for
// a channel) and its right side in pairs of pixels: other layouts of the same numbers.  The layer
// norms' way back reads the normalized rows in bf16, too, as they multiply there.  Sums are in f32.
// dP is added up for a few groups at a time: with few channels, reading and writing its sums would
// cost more than the products.
#pragma once

#include "cpu/bf16_back.h"
#include "cpu/bf16_gmlp.h"

namespace satin::cpu::SATIN_ISA::bf16 {

/// Weights turned for the way back.
struct TurnedHalves {
  Right w2, out, wi, w1;  ///< out: Wo W2; wi reads the halves side by side, padded
  Half* p;                ///< P', like Weights::p

  TurnedHalves() = default;
  TurnedHalves(const Branch<float>& w, Memory& from)
      : w2(from, w.c, w.b),
        out(from, w.c, w.b),
        wi(from, 2 * up_to(w.b, kDepth), w.b),
        w1(from, w.b, w.c),
        p(from.take<Half>(up_to(w.pixels, kGroupRows) * apart(up_to(w.pixels, kDepth)))) {}

  /// When forward.wow2 is there.
  void pack_out(const Branch<float>& w, const Weights& forward) const {
    const int64_t row = whole_vectors<float>(w.c);
    pack_right(out.elements, w.c, w.b,
               [&](int64_t k, int64_t j) { return forward.wow2[j * row + k]; });
  }

  static constexpr int64_t kTasks = 4;

  /// Packs one of the other parts.
  void pack(const Branch<float>& w, int64_t task) const {
    const int64_t half = up_to(w.b, kDepth);
    if (task == 0)
      return pack_right(wi.elements, 2 * half, w.b, [&](int64_t k, int64_t j) {
        return k % half < w.b ? w.gmlp_gamma[j] * w.wi[j * 2 * w.b + k / half * w.b + k % half]
                              : 0.0f;
      });
    if (task == 1)
      return pack_right(w1.elements, w.b, w.c, [&](int64_t k, int64_t j) {
        return w.norm_gamma[j] * w.w1[j * 2 * w.c + w.b0 + k];
      });
    if (task == 2)
      return pack_right(w2.elements, w.c, w.b,
                        [&](int64_t k, int64_t j) { return w.w2[(w.b0 + j) * w.c + k]; });
    const int64_t row = apart(up_to(w.pixels, kDepth));
    for (int64_t i = 0; i < up_to(w.pixels, kGroupRows); ++i)
      for (int64_t k = 0; k < row; ++k)
        p[i * row + k] =
            i < w.pixels && k < w.pixels ? to_bf16(w.p[k * w.pixels + i]).bits : Half{0};
  }
};

/// What is summed over all pixels, whole tiles.
struct GradSums {
  float* p;           ///< [S, S]
  float *dy_ug, *dy;  ///< [c, 2 b]: dy' [u | gate]; [c]
  float* pb;          ///< [S, a vector]
  float *gate_gamma, *gate_beta;
  float *uh_dt2, *dt2;  ///< [b, 2 b], [2 b]: of a and of b side by side
  float *xh_dt1, *dt1;  ///< [c, b], [b]

  GradSums(const Branch<float>& w, Memory& from) {
    const int64_t b = up_to(w.b, kSide), c = up_to(w.c, kSide), s = up_to(w.pixels, kSide);
    p = from.take<float>(s * s);
    dy_ug = from.take<float>(c * 2 * b), dy = from.take<float>(c);
    pb = from.take<float>(w.pixels * kLanes<float>);
    gate_gamma = from.take<float>(b), gate_beta = from.take<float>(b);
    uh_dt2 = from.take<float>(b * 2 * b), dt2 = from.take<float>(2 * b);
    xh_dt1 = from.take<float>(c * b), dt1 = from.take<float>(b);
    all_ = from.floats();
  }

  /// Zeros, but for p, which the first product of a piece writes.
  void clear() const {
    for (float* at = dy_ug; at < p + all_; ++at) *at = 0;
  }

 private:
  int64_t all_;
};

/// Groups whose part of dP is added up together: products of eight steps, if there are so many.
inline int64_t batch_of(const Branch<float>& w) {
  return max_of(1, 8 * kDepth / up_to(w.b, kDepth));
}

/// Rows of a group; b columns unless said otherwise.
struct GradSlot {
  int64_t b, x_row, c_row, b_row, cols, pixels, batch;  ///< b aside, padded; of f32 and of halves
  float *x[2]{}, *dy[2]{};               ///< c columns; of the group at work and of the next
  float *r1{}, *r2{}, *r3{};             ///< factors of the layer norms
  Half *xh{}, *uh{}, *bh{}, *dy_rows{};  ///< xh and dy: c columns
  Half *slope1{}, *slope_a{}, *slope_b{}, *a{};
  Half *dt2{}, *dt1{};  ///< dt2: a and b side by side
  Half* dm;             ///< of a batch of groups side by side
  Half *ug_pairs{}, *dm_pairs{}, *dt2_pairs{}, *dt1_pairs{};
  Half* bn_turned;      ///< right side with channels as depth; of a batch
  Half* turned;         ///< a row for a channel
  Half *chunk, *pairs;  ///< some rows; 32 of them in pairs
  float* raw;           ///< some rows of 2 b columns behind a product, or twice of b

  GradSlot(const Branch<float>& w, Memory& from)
      : b(w.b),
        x_row(whole_vectors<float>(w.c)),
        c_row(up_to(w.c, kDepth)),
        b_row(up_to(w.b, kDepth)),
        cols(up_to(w.b, kSide)),
        pixels(up_to(w.pixels, kGroupRows)),
        batch(batch_of(w)) {
    const int64_t steps = pixels / kDepth, rows = chunk_rows(w.b), longest = max_of(c_row, b_row);
    for (float** to : {&x[0], &x[1], &dy[0], &dy[1]}) *to = from.take<float>(pixels * x_row);
    for (float** to : {&r1, &r2, &r3}) *to = from.take<float>(pixels);
    halves_ = from.taken();
    for (Half** to : {&xh, &dy_rows}) *to = from.take<Half>(pixels * c_row);
    for (Half** to : {&uh, &bh, &dt1, &slope1, &slope_a, &slope_b, &a})
      *to = from.take<Half>(pixels * b_row);
    dt2 = from.take<Half>(pixels * 2 * b_row);
    dm = from.take<Half>(pixels * dm_row());
    for (Half** to : {&ug_pairs, &dt2_pairs}) *to = from.take<Half>(packed_halves(steps, 2 * cols));
    for (Half** to : {&dm_pairs, &dt1_pairs}) *to = from.take<Half>(packed_halves(steps, cols));
    bn_turned = from.take<Half>(packed_halves(batch * b_row / kDepth, pixels));
    turned = from.take<Half>(up_to(max_of(w.c, w.b), kSide) * apart(pixels));
    chunk = from.take<Half>(rows * b_row);
    pairs = from.take<Half>(kDepth * longest);
    halves_ = from.taken() - halves_;
    raw = from.take<float>(rows * max_of(2 * cols, up_to(w.c, kSide)));
  }

  int64_t dm_row() const { return apart(batch * b_row); }
  float* more() const { return raw + chunk_rows(b) * cols; }

  /// Zeros where nothing else is written: right of rows and below them, if they are padded at all.
  void clear(const Branch<float>& w) const {
    if (c_row == w.c && b_row == w.b && pixels == w.pixels) return;
    for (int64_t i = 0; i < halves_ / 2; ++i) xh[i] = 0;
  }

 private:
  int64_t halves_;  ///< bytes of them all
};

/// Groups of a branch.  Its steps work on a copy of the slot and of what else their loops read:
/// for all the compiler knows, storing halves changes members.
struct GradGroups {
  const Branch<float>& w;
  const Weights& forward;
  const TurnedHalves& turned;
  const GradSlot& slot;
  const GradSums& sums;

  /// What comes with the next group, a few pixels at a time: as many turns as there are in the
  /// steps of a chunk.  More at once would fill the processor's queue of cache lines on their way.
  struct Next {
    Gather<float>&x, &dy;
    void some() const {
      x.some();
      dy.some();
    }
  };
  static constexpr int64_t kTurns = 16;

  /// Groups [begin, end).
  void run(const float* dy, int64_t begin, int64_t end) const {
    const Session session;
    const GradSlot s = slot;
    s.clear(w);
    const auto gather = [&](int64_t g, const float* from, float* to) {
      return Gather<float>(w.places, g, from, w.c, to, s.x_row,
                           kTurns * ceil_div(w.pixels, chunk_rows(w.b)), g < end);
    };
    gather(begin, w.x, s.x[begin % 2]).rest();
    gather(begin, dy, s.dy[begin % 2]).rest();
    for (int64_t first = begin; first < end; first += s.batch) {
      const int64_t count = min_of(s.batch, end - first);
      for (int64_t g = first; g < first + count; ++g) {
        Gather<float> next_x = gather(g + 1, w.x, s.x[(g + 1) % 2]),
                      next_dy = gather(g + 1, dy, s.dy[(g + 1) % 2]);
        group(g, g - first, count, {next_x, next_dy});
      }
      Block block{};
      block.a = s.dm, block.a_row = s.dm_row();
      block.b = s.bn_turned, block.steps = count * s.b_row / kDepth;
      block.c = sums.p, block.c_row = up_to(w.pixels, kSide);
      block.add = first > begin;
      product(block, w.pixels, up_to(w.pixels, kSide));
    }
  }

 private:
  SATIN_INLINE void multiply_by(
      const Right& right, const Half* a, int64_t a_row, int64_t rows, float* c) const {
    Block block{};
    block.a = a, block.a_row = a_row;
    block.b = right.elements, block.steps = right.depth / kDepth;
    block.c = c, block.c_row = right.cols;
    block.bias = right.bias;
    product(block, rows, right.cols);
  }

  /// raw = rows of P' times dm of all pixels.
  void mix(int64_t begin, int64_t rows) const {
    const GradSlot& s = slot;
    Block block{};
    block.a_row = apart(up_to(w.pixels, kDepth));
    block.a = turned.p + begin * block.a_row;
    block.b = s.dm_pairs, block.steps = s.pixels / kDepth;
    block.c = s.raw, block.c_row = s.cols;
    product(block, rows, s.cols);
  }

  /// Rows of all pixels, turned: a row of s.pixels values for each of `channels`.
  void turn(const Half* rows, int64_t row, int64_t channels) const {
    turn_rows(rows, row, slot.pixels, up_to(channels, kSide), slot.pairs, slot.turned,
              apart(slot.pixels));
  }

  /// sums += what was turned, of `channels`, times what all pixels hold.
  void add_over_pixels(int64_t channels, const Half* pairs, int64_t cols, float* to) const {
    Block block{};
    block.a = slot.turned, block.a_row = apart(slot.pixels);
    block.b = pairs, block.steps = slot.pixels / kDepth;
    block.c = to, block.c_row = cols;
    block.add = true;
    product(block, channels, cols);
  }

  /// Rows [begin, begin + rows), x to LN(b); k: which group of the batch.
  void to_gate(const float* x,
               int64_t begin,
               int64_t rows,
               int64_t k,
               int64_t count,
               const Next& next) const {
    const GradSlot s = slot;
    const float *gamma = forward.gate_gamma, *beta = forward.gate_beta;
    const int64_t cols = s.cols, at = begin * s.b_row, steps = s.pixels / kDepth;
    const auto to_rows = [](Half* to, int64_t row) {
      return [=](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
        store_half(to + r * row + j, h);
      };
    };
    float* raw = s.raw;
    Half *xh = s.xh + begin * s.c_row, *uh = s.uh + begin * s.b_row, *bh = s.bh + begin * s.b_row;
    normalize_rows(x + begin * s.x_row, s.x_row, rows, w.c, w.eps, to_rows(xh, s.c_row),
                   s.r1 + begin);
    next.some();
    multiply_by(forward.w1, xh, s.c_row, rows, raw);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        F slope;
        const F u = coarse_gelu_and_slope(load(raw + r * cols + j), slope);
        store(raw + r * cols + j, u);
        store_half(s.slope1 + at + r * s.b_row + j, slope);
        store_half(s.chunk + r * s.b_row + j, u);
      }
    pair_rows(s.chunk, s.b_row, rows, cols, s.ug_pairs + begin * kSide, steps);
    next.some();
    normalize_rows(raw, cols, rows, w.b, w.eps, to_rows(uh, s.b_row), s.r2 + begin);
    next.some();
    multiply_by(forward.ab, uh, s.b_row, rows, raw);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        F slope_a, slope_b;
        const F a = coarse_gelu_and_slope(load(raw + r * 2 * cols + j), slope_a),
                b = coarse_gelu_and_slope(load(raw + (r * 2 + 1) * cols + j), slope_b);
        store_half(s.a + at + r * s.b_row + j, a);
        store_half(s.slope_a + at + r * s.b_row + j, slope_a);
        store(raw + (r * 2 + 1) * cols + j, b);
        store_half(s.slope_b + at + r * s.b_row + j, slope_b);
      }
    next.some();
    normalize_rows(
        raw + cols, 2 * cols, rows, w.b, w.eps,
        [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store_half(bh + r * s.b_row + j, h);
          store_half(s.chunk + r * s.b_row + j, load(gamma + j) * h + load(beta + j));
        },
        s.r3 + begin);
    next.some();
    const int64_t of_group = s.b_row / kDepth;
    for (int64_t r = 0; r < rows; r += kSide)
      for (int64_t i = 0; i < of_group; ++i)
        turn_pairs(s.chunk + r * s.b_row + i * kDepth, s.b_row,
                   s.bn_turned + (begin + r) * count * s.b_row + (k * of_group + i) * kStep,
                   kDepth);
  }

  /// dy, a and P LN(b) of group g to the gate, dm and dt2 of a.
  void gate(
      const float* dy, int64_t g, int64_t begin, int64_t rows, int64_t k, const Next& next) const {
    const GradSlot s = slot;
    float *of_dt2 = sums.dt2, *of_pb = sums.pb;
    const int64_t cols = s.cols, at = begin * s.b_row, steps = s.pixels / kDepth;
    Half* dy_rows = s.dy_rows + begin * s.c_row;
    for (int64_t j = 0; j < s.x_row; j += kLanes<float>) {
      F sum = load(sums.dy + j);
      for (int64_t r = 0; r < rows; ++r) {
        const F d = load(dy + (begin + r) * s.x_row + j);
        sum += d;
        store_half(dy_rows + r * s.c_row + j, d);
      }
      store(sums.dy + j, sum);
    }
    next.some();
    float* dgate_rows = s.more();
    multiply_by(turned.out, dy_rows, s.c_row, rows, dgate_rows);
    const float* mixed = mixed_rows(w, g) + begin * w.b;
    if (w.b != cols) {
      for (int64_t r = 0; r < rows; ++r) copy_padded(s.raw + r * cols, mixed + r * w.b, w.b);
      mixed = s.raw;
    }
    next.some();
    const int64_t dm_row = s.dm_row();
    Half *dm_rows = s.dm + begin * dm_row + k * s.b_row, *dt2_rows = s.dt2 + begin * 2 * s.b_row;
    for (int64_t r = 0; r < rows; ++r) {
      const F pb = splat<float>(forward.pb[begin + r]);
      F dpb{};
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        const F m = load(mixed + r * cols + j) + pb, dgate = load(dgate_rows + r * cols + j),
                a = load_half(s.a + at + r * s.b_row + j), dm = dgate * a,
                d = dgate * m * load_half(s.slope_a + at + r * s.b_row + j);
        dpb += dm;
        store_half(dm_rows + r * dm_row + j, dm);
        store_half(s.chunk + r * s.b_row + j, a * m);
        store_half(dt2_rows + r * 2 * s.b_row + j, d);
        add_to(of_dt2 + j, d);
      }
      add_to(of_pb + (begin + r) * kLanes<float>, dpb);
    }
    next.some();
    pair_rows(dm_rows, dm_row, rows, cols, s.dm_pairs + begin * kSide, steps);
    pair_rows(s.chunk, s.b_row, rows, cols, s.ug_pairs + packed_halves(steps, cols) + begin * kSide,
              steps);
    pair_rows(dt2_rows, 2 * s.b_row, rows, cols, s.dt2_pairs + begin * kSide, steps);
  }

  /// dLN(b) to dt2 of b.
  void mixed(int64_t begin, int64_t rows, const Next& next) const {
    const GradSlot s = slot;
    float* of_dt2 = sums.dt2 + s.cols;
    const int64_t cols = s.cols, at = begin * s.b_row, steps = s.pixels / kDepth;
    mix(begin, rows);
    next.some();
    const Half* bh = s.bh + begin * s.b_row;
    for (int64_t j = 0; j < cols; j += kLanes<float>) {
      F gamma = load(sums.gate_gamma + j), beta = load(sums.gate_beta + j);
      for (int64_t r = 0; r < rows; ++r) {
        const F d = load(s.raw + r * cols + j);
        gamma += d * load_half(bh + r * s.b_row + j);
        beta += d;
      }
      store(sums.gate_gamma + j, gamma);
      store(sums.gate_beta + j, beta);
    }
    Half* dt2_rows = s.dt2 + begin * 2 * s.b_row + s.b_row;
    normalize_back(
        s.raw, cols, halves_at(bh, s.b_row), s.r3 + begin, forward.gate_gamma, rows,
        w.b, [&](int64_t r, int64_t j, F d) __attribute__((always_inline)) {
          const F dt = d * load_half(s.slope_b + at + r * s.b_row + j);
          store_half(dt2_rows + r * 2 * s.b_row + j, dt);
          add_to(of_dt2 + j, dt);
        });
    pair_rows(dt2_rows, 2 * s.b_row, rows, cols,
              s.dt2_pairs + packed_halves(steps, cols) + begin * kSide, steps);
  }

  /// dy to du; with dt2 to dt1.
  void middle(int64_t begin, int64_t rows, const Next& next) const {
    const GradSlot s = slot;
    float* of_dt1 = sums.dt1;
    const int64_t cols = s.cols, at = begin * s.b_row;
    float* du = s.more();
    multiply_by(turned.w2, s.dy_rows + begin * s.c_row, s.c_row, rows, du);
    multiply_by(turned.wi, s.dt2 + begin * 2 * s.b_row, 2 * s.b_row, rows, s.raw);
    next.some();
    Half* dt1_rows = s.dt1 + begin * s.b_row;
    normalize_back(
        s.raw, cols, halves_at(s.uh + begin * s.b_row, s.b_row), s.r2 + begin,
        static_cast<const float*>(nullptr), rows,
        w.b, [&](int64_t r, int64_t j, F d) __attribute__((always_inline)) {
          const F dt = (load(du + r * cols + j) + d) * load_half(s.slope1 + at + r * s.b_row + j);
          store_half(dt1_rows + r * s.b_row + j, dt);
          add_to(of_dt1 + j, dt);
        });
    pair_rows(dt1_rows, s.b_row, rows, cols, s.dt1_pairs + begin * kSide, s.pixels / kDepth);
  }

  /// dt1 to dx; the first branch adds dy.
  void out(const float* dy, int64_t begin, int64_t rows, Walk& places, const Next& next) const {
    const GradSlot s = slot;
    const int64_t cols = turned.w1.cols;
    multiply_by(turned.w1, s.dt1 + begin * s.b_row, s.b_row, rows, s.raw);
    normalize_back(
        s.raw, cols, halves_at(s.xh + begin * s.c_row, s.c_row), s.r1 + begin,
        static_cast<const float*>(nullptr), rows,
        w.c, [&](int64_t r, int64_t j, F d) __attribute__((always_inline)) {
          store(s.raw + r * cols + j, d);
        });
    next.some();
    for (int64_t r = 0; r < rows; ++r) {
      float* dx = w.y + places.take() * w.c;
      sum_row(dx, w.first ? dy + (begin + r) * s.x_row : dx, s.raw + r * cols, w.c);
    }
  }

  void group(int64_t g, int64_t k, int64_t count, const Next& next) const {
    const GradSlot& s = slot;
    const float *x = s.x[g % 2], *dy = s.dy[g % 2];
    const int64_t most = chunk_rows(w.b);
    const auto chunks = [&](auto f) {
      for (int64_t i = 0; i < w.pixels; i += most) {
        f(i, min_of(most, w.pixels - i));
        next.some();
      }
    };
    chunks([&](int64_t i, int64_t rows) { to_gate(x, i, rows, k, count, next); });
    chunks([&](int64_t i, int64_t rows) { gate(dy, g, i, rows, k, next); });
    turn(s.dy_rows, s.c_row, w.c);
    add_over_pixels(w.c, s.ug_pairs, 2 * s.cols, sums.dy_ug);
    chunks([&](int64_t i, int64_t rows) { mixed(i, rows, next); });
    turn(s.uh, s.b_row, w.b);
    add_over_pixels(w.b, s.dt2_pairs, 2 * s.cols, sums.uh_dt2);
    chunks([&](int64_t i, int64_t rows) { middle(i, rows, next); });
    turn(s.xh, s.c_row, w.c);
    add_over_pixels(w.c, s.dt1_pairs, s.cols, sums.xh_dt1);
    Walk soon(w.places, g), now(w.places, g);
    chunks([&](int64_t i, int64_t rows) {
      fetch_for_writing(soon, rows, w.y, w.c);
      out(dy, i, rows, now, next);
    });
    next.x.rest();
    next.dy.rest();
  }
};

}  // namespace satin::cpu::SATIN_ISA::bf16
