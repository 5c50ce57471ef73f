// Products in bf16: values rounded to bf16 where they are produced, multiplied tile by tile, added
// in f32.
//
//   c[i, j] = bias[j] + sum over steps s of  sum over k < 32 of  a[i, a_at(s) + k] * b(s)[k, j]
//
// A tile is what AMX holds: 16 rows of 16 sums, and 32 values of k a step.  Everything is padded to
// that: rows and columns to 16, k to 32 with zeros.  b lies in panels of 16 columns, step behind
// step, pairs of k side by side: element (k, j) of a step at (k / 2) * 32 + j * 2 + k % 2.  Without
// AMX (on baseline, to compare with) a scalar twin on vectors does the same, sum by sum, to the
// same bits: products of bf16 are exact in f32, and the order of sums is the processor's (even and
// odd k of a step each a chain from 0, then both together onto c).  Only numbers below 2^-126
// differ: AMX takes them as 0.
#pragma once

#include "cpu/gmlp_group.h"

namespace satin::cpu::SATIN_ISA::bf16 {

using Half = uint16_t;  ///< the bits of a bf16
using F = Vec<float>;
using I = VecTypes<float>::Index;

inline constexpr int64_t kSide = 16, kDepth = 32, kStep = kSide * kDepth;

inline constexpr int64_t up_to(int64_t n, int64_t whole) { return ceil_div(n, whole) * whole; }
inline constexpr int64_t steps_of(int64_t k) { return ceil_div(k, kDepth); }

/// Elements of the packed right side of a product.
inline constexpr int64_t packed_halves(int64_t steps, int64_t cols) {
  return steps * up_to(cols, kSide) * kDepth;
}

/// Far memory that is needed soon, on its way into the cache while products are computed: a few
/// lines with every step, which is more than twice as fast as reading them when they are needed.
class Fetch {
 public:
  explicit Fetch(int64_t steps) : steps_(max_of(1, steps)) {}  ///< over which it is spread
  void to_read(const float* from, int64_t count) { read_ = lines(const_cast<float*>(from), count); }
  void to_write(float* to, int64_t count) { write_ = lines(to, count); }

  SATIN_INLINE void step() {
    for (int64_t i = 0; i < read_.a_step && read_.at < read_.end; ++i, read_.at += kLine)
      prefetch(read_.at);
    for (int64_t i = 0; i < write_.a_step && write_.at < write_.end; ++i, write_.at += kLine)
      prefetch_for_writing(write_.at);
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(float);
  struct Lines {
    float *at, *end;
    int64_t a_step;
  };
  Lines lines(float* from, int64_t count) const {
    return {from, from + count, ceil_div(ceil_div(count, kLine), steps_)};
  }
  int64_t steps_;
  Lines read_{}, write_{};
};

/// A block of a product: up to 32 x 32 sums.
struct Block {
  const Half* a;
  int64_t a_row;
  const int64_t* a_at = nullptr;  ///< where the steps begin in a row of a; null: 32 apart
  const Half* b;                  ///< of the first panel; the next lies steps * kStep on
  const int64_t* b_at = nullptr;  ///< where the steps begin in a panel; null: kStep apart
  int64_t b_panel = 0;            ///< from one panel to the next; 0: steps * kStep
  int64_t steps;
  float* c;
  int64_t c_row;
  const float* bias = nullptr;  ///< whole panels; null: 0
  bool add = false;             ///< onto c as it is, instead of bias
  int rows, cols;               ///< in tiles: 1 or 2
  Fetch* fetch = nullptr;       ///< what comes meanwhile
  bool b_once = false;          ///< b is too much for L1, which is left to a
};

/// Whether products of `rows` rows with k x n numbers multiply so little for what they read and
/// write, or would pad so much, that f32 is faster (measured: below 22 multiply-adds a value).  Few
/// rows cost nothing either way; that they are taken lets small tests see all.
inline constexpr bool moves_more(int64_t k, int64_t n, int64_t rows) {
  return k * n < 22 * (k + n) && rows >= 4096;
}

/// Computes a block.  Needs a Session.
void multiply(const Block& block) noexcept;

/// While one is alive, its thread has the matrix unit's tiles at hand.
class Session {
 public:
  Session() noexcept;
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

/// c [rows, cols] = a b + bias, all whole tiles.
SATIN_INLINE void product(const Block& whole, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i += 2 * kSide)
    for (int64_t j = 0; j < cols; j += 2 * kSide) {
      Block block = whole;
      block.a += i * block.a_row;
      block.b += j * block.steps * kDepth;
      block.c += i * block.c_row + j;
      if (block.bias) block.bias += j;
      block.rows = rows - i > kSide ? 2 : 1;
      block.cols = cols - j > kSide ? 2 : 1;
      multiply(block);
    }
}

// --- rounding to nearest even ------------------------------------------------------------------

/// bf16 in the upper half of every lane, 0 in the lower; NaN stays NaN.
SATIN_INLINE I rounded(F x) {
  const I bits = reinterpret_cast<I>(x);
  const I up = (bits + 0x7fff + ((bits >> 16) & 1)) & static_cast<int32_t>(0xffff0000);
  const I is_number = x == x;
  return (up & is_number) | (((bits | 0x400000) & static_cast<int32_t>(0xffff0000)) & ~is_number);
}

/// A vector of values, as bf16.
SATIN_INLINE void store_half(Half* to, F x) {
#if defined(__AVX512BF16__)
  using V = short __attribute__((vector_size(32)));
  using Unaligned = short __attribute__((vector_size(32), aligned(2), may_alias));
  V y;
  asm("vcvtneps2bf16 %1, %0" : "=v"(y) : "v"(x));
  *reinterpret_cast<Unaligned*>(to) = y;
#else
  const I bits = rounded(x);
  for (int i = 0; i < kLanes<float>; ++i)
    to[i] = static_cast<Half>(static_cast<uint32_t>(bits[i]) >> 16);
#endif
}

/// And back.
SATIN_INLINE F load_half(const Half* from) {
  using H = Half __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
#if defined(__AVX512BF16__)
  I bits;  // g++ 12 widens in halves otherwise
  asm("vpmovzxwd %1, %0" : "=v"(bits) : "m"(*reinterpret_cast<const H*>(from)));
  return reinterpret_cast<F>(bits << 16);
#else
  return reinterpret_cast<F>(__builtin_convertvector(*reinterpret_cast<const H*>(from), I) << 16);
#endif
}

/// Two rows of the right side, k even and k odd, side by side.
SATIN_INLINE void store_pairs(Half* to, F even, F odd) {
  using Unaligned = int32_t __attribute__((vector_size(kVectorBytes), aligned(2), may_alias));
#if defined(__AVX512BF16__)
  using V = short __attribute__((vector_size(64)));
  V apart, order;
  for (short i = 0; i < 32; ++i) order[i] = static_cast<short>(i / 2 + i % 2 * 16);
  asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(apart) : "v"(odd), "v"(even));
  *reinterpret_cast<Unaligned*>(to) = reinterpret_cast<I>(__builtin_shuffle(apart, order));
#else
  const I low = (rounded(even) >> 16) & 0xffff;
  *reinterpret_cast<Unaligned*>(to) = low | rounded(odd);
#endif
}

/// n values rounded, and zeros up to `padded`: whole steps.
SATIN_INLINE void convert(Half* to, const float* from, int64_t n, int64_t padded) {
  int64_t i = 0;
  for (; i + kLanes<float> <= n; i += kLanes<float>) store_half(to + i, load(from + i));
  if (i < n) {
    store_half(to + i, load_part(from + i, n - i));
    i += kLanes<float>;
  }
  for (; i < padded; i += kLanes<float>) store_half(to + i, F{});
}

// --- rows turned: products over pixels, where a row of the left side is a channel ----------------

/// Rows of halves, two by two, as the right side of a product over them: `rows` of them (`row`
/// apart, whole steps long), `cols` of each, a multiple of 16, to step 0 of panels of `steps`.
SATIN_INLINE void pair_rows(
    const Half* from, int64_t row, int64_t rows, int64_t cols, Half* to, int64_t steps) {
  const int64_t panel = steps * kStep;
  for (int64_t r = 0; r < rows; r += 2, from += 2 * row) {
    Half* pairs = to + r / kDepth * kStep + r % kDepth * kSide;
#if defined(__AVX512BF16__)
    using V = short __attribute__((vector_size(64)));
    using Unaligned = short __attribute__((vector_size(64), aligned(2), may_alias));
    V low, high;
    for (short i = 0; i < 32; ++i) {
      low[i] = static_cast<short>(i / 2 + i % 2 * 32);
      high[i] = static_cast<short>(low[i] + 16);
    }
    for (int64_t j = 0; j < cols; j += 2 * kSide) {
      const V even = *reinterpret_cast<const Unaligned*>(from + j),
              odd = r + 1 < rows ? *reinterpret_cast<const Unaligned*>(from + row + j) : V{};
      Half* at = pairs + j / kSide * panel;
      *reinterpret_cast<Unaligned*>(at) = __builtin_shuffle(even, odd, low);
      if (j + kSide < cols)
        *reinterpret_cast<Unaligned*>(at + panel) = __builtin_shuffle(even, odd, high);
    }
#else
    for (int64_t j = 0; j < cols; ++j) {
      Half* at = pairs + j / kSide * panel + j % kSide * 2;
      at[0] = from[j];
      at[1] = r + 1 < rows ? from[row + j] : Half{0};
    }
#endif
  }
}

/// 16 rows of 32 values, `row` apart, as pairs: pair k of row i goes to pair i of row k of `to`,
/// `to_row` apart.
SATIN_INLINE void turn_pairs(const Half* from, int64_t row, Half* to, int64_t to_row) {
#if defined(__AVX512BF16__)
  F v[kSide];
  SATIN_UNROLL
  for (int i = 0; i < kSide; ++i) v[i] = load(reinterpret_cast<const float*>(from + i * row));
  transpose<float>(v);
  SATIN_UNROLL
  for (int i = 0; i < kSide; ++i) store(reinterpret_cast<float*>(to + i * to_row), v[i]);
#else
  for (int64_t i = 0; i < kSide; ++i)
    for (int64_t k = 0; k < kSide; ++k)
      for (int64_t odd = 0; odd < 2; ++odd)
        to[k * to_row + 2 * i + odd] = from[i * row + 2 * k + odd];
#endif
}

/// `rows` rows of halves, a multiple of 32, turned: a row of `to` for each of `cols` columns, a
/// multiple of 16.  some: 32 rows of cols.
SATIN_INLINE void turn_rows(const Half* from,
                            int64_t row,
                            int64_t rows,
                            int64_t cols,
                            Half* some,
                            Half* to,
                            int64_t to_row) {
  for (int64_t i = 0; i < rows; i += kDepth) {
    pair_rows(from + i * row, row, kDepth, cols, some, 1);
    for (int64_t j = 0; j < cols; j += kSide)
      turn_pairs(some + j * kDepth, kDepth, to + j * to_row + i, to_row);
  }
}

/// The right side of a product from value(k, j), k in [0, depth), j in [0, cols): panels with zeros
/// around it.
template <class Value>
void pack_right(Half* to, int64_t depth, int64_t cols, Value value) {
  for (int64_t j0 = 0; j0 < cols; j0 += kSide)
    for (int64_t k = 0; k < up_to(depth, kDepth); k += 2)
      for (int64_t j = j0; j < j0 + kSide; ++j)
        for (int64_t odd = 0; odd < 2; ++odd)
          *to++ = k + odd < depth && j < cols ? to_bf16(value(k + odd, j)).bits : Half{0};
}

inline void pad_bias(float* to, const float* bias, int64_t cols) {
  for (int64_t j = 0; j < up_to(cols, kSide); ++j) to[j] = bias && j < cols ? bias[j] : 0;
}

/// Hands out pieces of scratch, in bytes; from null it measures what is needed.
class Memory {
 public:
  Memory() = default;
  explicit Memory(void* from) : from_(static_cast<char*>(from)), measures_(false) {}
  template <class T>
  T* take(int64_t elements) {
    T* piece = measures_ ? nullptr : reinterpret_cast<T*>(from_ + at_);
    at_ += up_to(elements * static_cast<int64_t>(sizeof(T)), 64);
    return piece;
  }
  int64_t taken() const { return at_; }
  int64_t floats() const { return at_ / 4; }

 private:
  char* from_ = nullptr;
  bool measures_ = true;
  int64_t at_ = 0;
};

// --- the kernels, in the bf16_*.cpp
// -----------------------------------------------------------------

#define SATIN_BF16_KERNEL(name)             \
  bool takes_##name(const Call& call);      \
  void name(const Call& call);              \
  int64_t name##_scratch(const Call& call); \
  Packing name##_packing(const Call& call); \
  void name##_pack(const Call& call);
SATIN_BF16_KERNEL(matmul)
SATIN_BF16_KERNEL(conv2d)
SATIN_BF16_KERNEL(conv2d_input_grad)
SATIN_BF16_KERNEL(conv2d_weight_grad)
SATIN_BF16_KERNEL(concat_linear)
SATIN_BF16_KERNEL(multi_axis_gmlp)
SATIN_BF16_KERNEL(multi_axis_gmlp_grad)
SATIN_BF16_KERNEL(rcab)
SATIN_BF16_KERNEL(rcab_grad)
#undef SATIN_BF16_KERNEL

}  // namespace satin::cpu::SATIN_ISA::bf16
