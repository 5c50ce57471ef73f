// Dense convolutions in bf16, row by row: what conv2d and rcab share.
//
// Images come as rows of pixels in bf16, channels padded to whole steps with zeros, so that a tile
// reads 16 neighboring pixels of a row in place and a tap of the kernel is nothing but another
// place to read.
#pragma once

#include "cpu/bf16.h"

namespace satin::cpu::SATIN_ISA::bf16 {

inline constexpr int64_t kPixels = 2 * kSide;  ///< of a row at once
inline constexpr int64_t kL1 = 12 << 10;       ///< values that L1 holds beside others

struct Kernel2d {
  int64_t kh, kw, cin, cout, stride, dilation;

  int64_t channels() const { return up_to(cin, kDepth); }
  int64_t cols() const { return up_to(cout, kSide); }
  int64_t steps() const { return kh * kw * channels() / kDepth; }
  /// Of products for a row of results.
  int64_t row_steps(int64_t out) const {
    return ceil_div(out, kPixels) * ceil_div(cols(), 2 * kSide) * steps();
  }
  int64_t packed() const { return packed_halves(steps(), cout); }
  /// Pixels that a row of `out` results reads, whole tiles.
  int64_t reads(int64_t out) const {
    return (up_to(out, kSide) - 1) * stride + (kw - 1) * dilation + 1;
  }
  void pack(const float* w, Half* to) const;  ///< w: [KH, KW, CIN, COUT]
  /// Of the adjoint: its channels change places, its taps go backwards.  some: 16 x 32 values.
  void pack_turned(const float* w, Half* to, Half* some) const;
};

// By vectors: a training step packs all its kernels anew.
inline void Kernel2d::pack(const float* w, Half* to) const {
  constexpr int kL = kLanes<float>;
  const int64_t c = channels();
  for (int64_t j0 = 0; j0 < cout; j0 += kSide)
    for (int64_t tap = 0; tap < kh * kw; ++tap)
      for (int64_t k = 0; k < c; k += 2)
        for (int64_t j = j0; j < j0 + kSide; j += kL, to += 2 * kL) {
          const auto row = [&](int64_t i) __attribute__((always_inline)) {
            const float* from = w + (tap * cin + i) * cout + j;
            return i >= cin || j >= cout ? F{}
                   : j + kL <= cout      ? load(from)
                                         : load_part(from, cout - j);
          };
          store_pairs(to, row(k), row(k + 1));
        }
}

inline void Kernel2d::pack_turned(const float* w, Half* to, Half* some) const {
  const int64_t taps = kh * kw;
  for (int64_t j0 = 0; j0 < cin; j0 += kSide)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t k = 0; k < up_to(cout, kDepth); k += kDepth, to += kStep) {
        for (int64_t j = 0; j < kSide; ++j) {
          const bool inside = j0 + j < cin;
          const float* from = w + (inside ? ((taps - 1 - tap) * cin + j0 + j) * cout + k : 0);
          convert(some + j * kDepth, from, inside ? min_of(kDepth, cout - k) : 0, kDepth);
        }
        turn_pairs(some, kDepth, to, kDepth);
      }
}

/// Row after row of an image in memory for a few of them; rows outside the image are zeros.
struct Rows {
  Half* at;
  int64_t count, size;  ///< of rows in memory, of one in values
  Half* zeros;

  static Rows take(Memory& from, int64_t count, int64_t size) {
    Half* at = from.take<Half>(count * size);
    return {at, count, size, from.take<Half>(size)};
  }
  void clear() const {
    for (int64_t i = 0; i < count * size; ++i) at[i] = 0;
    for (int64_t i = 0; i < size; ++i) zeros[i] = 0;
  }
  Half* row(int64_t i) const { return at + i % count * size; }
};

/// A row of results.  from(k) is the row of pixels that row k of the kernel reads, from the first
/// one's first pixel on; places: steps() numbers.  Calls to(j) for where the sums of 32 pixels from
/// j on go (rows of cols() apart) and then done(j, pixels).  fetch: what comes meanwhile.
template <class From, class To, class Done>
SATIN_INLINE void convolve_row(const Kernel2d& k,
                               int64_t out,
                               const Half* right,
                               const float* bias,
                               int64_t* places,
                               From from,
                               To to,
                               Done done,
                               Fetch* fetch = nullptr) {
  const int64_t channels = k.channels();
  const Half* first = from(0);
  int64_t* place = places;
  for (int64_t i = 0; i < k.kh; ++i)
    for (int64_t j = 0; j < k.kw; ++j)
      for (int64_t c = 0; c < channels; c += kDepth)
        *place++ = from(i) - first + j * k.dilation * channels + c;
  for (int64_t j = 0; j < out; j += kPixels) {
    const int64_t pixels = min_of(kPixels, out - j);
    Block block{};
    block.a = first + j * k.stride * channels;
    block.a_row = k.stride * channels;
    block.a_at = places;
    block.b = right;
    block.steps = k.steps();
    block.c = to(j);
    block.c_row = k.cols();
    block.bias = bias;
    block.fetch = fetch;
    block.b_once = k.packed() > kL1;
    product(block, pixels, k.cols());
    done(j, pixels);
  }
}

}  // namespace satin::cpu::SATIN_ISA::bf16
