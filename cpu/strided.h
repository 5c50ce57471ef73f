// Loops over tensors whose axes have any strides: the index arithmetic that permute, slice, pad and
// the broadcasting families share.  Included by kernel files only.
#pragma once

#include "cpu/kernel.h"
#include "tensor/index.h"

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

/// Steps through the runs of a loop in order; a division per run would cost more than a short run.
template <int K>
struct RunWalker {
  const Loop<K>& loop;
  int64_t index[kMaxRank] = {};
  int64_t offset[K];

  RunWalker(const Loop<K>& l, int64_t run) : loop(l) {
    loop.start(run, offset);
    for (int a = loop.rank - 2; a >= 0; --a) {
      index[a] = run % loop.extent[a];
      run /= loop.extent[a];
    }
  }
  void next() {
    for (int a = loop.rank - 2; a >= 0; --a) {
      for (int k = 0; k < K; ++k) offset[k] += loop.stride[k][a];
      if (++index[a] < loop.extent[a]) return;
      index[a] = 0;
      for (int k = 0; k < K; ++k) offset[k] -= loop.stride[k][a] * loop.extent[a];
    }
  }
};

/// body(offsets, n) for every run of n elements, in parallel pieces of about 16k elements; longer
/// runs are cut.
template <int K, class Body>
inline void for_each_run(const Call& call, const Loop<K>& loop, Body body) {
  constexpr int64_t kPiece = 1 << 14;
  const int64_t inner = loop.inner();
  if (inner == 0) return;
  if (inner > 2 * kPiece) {
    const int64_t pieces = (inner + kPiece - 1) / kPiece;
    parallel_for(call, loop.runs() * pieces, [&](int64_t task) {
      const int64_t begin = task % pieces * kPiece,
                    end = begin + kPiece < inner ? begin + kPiece : inner;
      int64_t offset[K];
      loop.start(task / pieces, offset);
      for (int k = 0; k < K; ++k) offset[k] += begin * loop.inner_stride(k);
      body(offset, end - begin);
    });
    return;
  }
  parallel_chunks(call, loop.runs(), (kPiece + inner - 1) / inner, [&](int64_t begin, int64_t end) {
    RunWalker<K> walker(loop, begin);
    for (int64_t i = begin; i < end; ++i, walker.next()) body(walker.offset, inner);
  });
}

/// The offset of element i of a loop.
inline int64_t offset_of(const Loop<1>& loop, int64_t i) {
  int64_t offset = 0;
  for (int a = loop.rank - 1; a >= 0; --a) {
    offset += (i % loop.extent[a]) * loop.stride[0][a];
    i /= loop.extent[a];
  }
  return offset;
}

}  // namespace satin::cpu::SATIN_ISA
