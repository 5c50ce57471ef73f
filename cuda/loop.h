// Loops over tensors whose axes have any strides: what permute, slice, pad and the broadcasting
// families share.  The host builds one, a kernel gets it by value.
#pragma once

#include "cuda/kernel.h"
#include "tensor/index.h"

namespace satin::cuda {

/// The axes of an output and, for each of K operands, the elements between neighbors along them.
template <int K>
struct Loop {
  int rank = 0;
  int64_t size = 1;
  int64_t extent[kMaxRank] = {};
  int64_t stride[kMaxRank][K] = {};

  /// Appends an axis inside the ones so far; joined with the last one where all operands allow it.
  void axis(int64_t n, const int64_t (&steps)[K]) {
    size *= n;
    if (n == 1) return;
    bool joins = rank > 0;
    for (int k = 0; k < K && joins; ++k) joins = stride[rank - 1][k] == steps[k] * n;
    if (joins)
      extent[rank - 1] *= n;
    else
      extent[rank++] = n;
    for (int k = 0; k < K; ++k) stride[rank - 1][k] = steps[k];
  }

  /// Where element i (row-major) lies in every operand.
  __host__ __device__ void offsets(int64_t i, int64_t (&offset)[K]) const {
    for (int k = 0; k < K; ++k) offset[k] = 0;
    for (int a = rank - 1; a >= 0; --a) {
      const int64_t next = i / extent[a], index = i - next * extent[a];
      for (int k = 0; k < K; ++k) offset[k] += index * stride[a][k];
      i = next;
    }
  }
};

/// A loop over out and, broadcast to its shape, two or three inputs.
template <int K>
Loop<K> broadcast_loop(const Call& call) {
  const Shape& out = call.out[0].shape;
  const auto out_strides = out.strides();
  int64_t strides[K][kMaxRank];
  for (int k = 1; k < K; ++k)
    broadcast_strides(call.in[static_cast<size_t>(k - 1)].shape, out, strides[k]);
  Loop<K> loop;
  for (int i = 0; i < out.rank(); ++i) {
    int64_t steps[K] = {out_strides[static_cast<size_t>(i)]};
    for (int k = 1; k < K; ++k) steps[k] = strides[k][i];
    loop.axis(out[i], steps);
  }
  return loop;
}

template <class U>
__global__ void copy_kernel(Loop<2> loop, U* y, const U* x) {
  for (int64_t i = thread_index(); i < loop.size; i += thread_count()) {
    int64_t at[2];
    loop.offsets(i, at);
    y[at[0]] = x[at[1]];
  }
}

template <class U>
__global__ void fill_kernel(U* y, int64_t n, U value) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) y[i] = value;
}

/// y + y_start = x + x_start over the loop (y, x), elements moved as bits.
inline void copy(const Call& call,
                 const View& y,
                 int64_t y_start,
                 const View& x,
                 int64_t x_start,
                 Loop<2> loop) {
  if (loop.size == 0) return;
  with_bits(y.dtype, [&](auto bits) {
    using U = decltype(bits);
    launch(call, "copy", over(loop.size), copy_kernel<U>, loop, y.as<U>() + y_start,
           static_cast<const U*>(x.as<U>()) + x_start);
  });
}

/// All bits 0: zero in every dtype.
inline void clear(const Call& call, const View& y) {
  if (y.shape.size() == 0) return;
  with_bits(y.dtype, [&](auto bits) {
    using U = decltype(bits);
    launch(call, "clear", over(y.shape.size()), fill_kernel<U>, y.as<U>(), y.shape.size(), U{0});
  });
}

}  // namespace satin::cuda
