// Loops over tensors whose axes have any strides: the index arithmetic that permute, slice, pad and
// the broadcasting families share.  Included by kernel files only.
#pragma once

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {

/// The axes of an output and, for each of K operands, the elements between neighbours along them.
/// Axes of extent 1 are dropped and axes that are contiguous in all operands are joined, so that
/// the innermost run is as long as it can be.
template <int K>
struct Loop {
  int rank = 0;
  int64_t extent[kMaxRank] = {};
  int64_t stride[K][kMaxRank] = {};

  /// Appends an axis inside the ones so far.
  void axis(int64_t n, const int64_t (&steps)[K]) {
    if (n == 1) return;
    if (rank > 0) {
      bool joins = true;
      for (int k = 0; k < K; ++k) joins = joins && stride[k][rank - 1] == steps[k] * n;
      if (joins) {
        extent[rank - 1] *= n;
        for (int k = 0; k < K; ++k) stride[k][rank - 1] = steps[k];
        return;
      }
    }
    extent[rank] = n;
    for (int k = 0; k < K; ++k) stride[k][rank] = steps[k];
    ++rank;
  }

  int64_t inner() const { return rank > 0 ? extent[rank - 1] : 1; }
  int64_t inner_stride(int k) const { return rank > 0 ? stride[k][rank - 1] : 0; }
  /// The number of innermost runs.
  int64_t runs() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < rank; ++i) n *= extent[i];
    return n;
  }
  /// Where run i starts in every operand.
  void start(int64_t i, int64_t (&offset)[K]) const {
    for (int k = 0; k < K; ++k) offset[k] = 0;
    for (int a = rank - 2; a >= 0; --a) {
      const int64_t index = i % extent[a];
      i /= extent[a];
      for (int k = 0; k < K; ++k) offset[k] += index * stride[k][a];
    }
  }
};

/// body(offsets) for every run of the loop, in parallel pieces of about 16k elements.
template <int K, class Body>
inline void for_each_run(const Call& call, const Loop<K>& loop, Body body) {
  const int64_t inner = loop.inner();
  const int64_t grain = inner > 0 ? (16384 + inner - 1) / inner : 1;
  if (inner == 0) return;
  parallel_chunks(call, loop.runs(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t offset[K];
      loop.start(i, offset);
      body(offset);
    }
  });
}

/// The strides of `s` seen as `out`: 0 along repeated axes.
inline void broadcast_strides(const Shape& s, const Shape& out, int64_t (&strides)[kMaxRank]) {
  int64_t step = 1;
  for (int i = 0; i < kMaxRank; ++i) strides[i] = 0;
  for (int i = s.rank() - 1; i >= 0; --i) {
    strides[i + out.rank() - s.rank()] = s[i] == 1 ? 0 : step;
    step *= s[i];
  }
}

}  // namespace satin::cpu::SATIN_ISA
