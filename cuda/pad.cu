// pad gathers.  Its adjoint gathers too: every element of x sums the padded elements that were
// copied from it, in rising order, so that no two threads write to one place.
// A thread takes every n-th element of what is written.  Bytes: 8 an element, and a division or two
// an axis: bound by memory for whole pictures.  Not yet measured on a device.
#include "cuda/kernel.h"
#include "tensor/index.h"
#include "tensor/pad.h"

namespace satin::cuda {
namespace {

/// Axes of extent 1 go before those there are: loops over all kMaxRank are unrolled, and what a
/// thread keeps per axis stays in registers.
struct Geometry {
  PadMode mode;
  int64_t x[kMaxRank], y[kMaxRank], before[kMaxRank];
};

Geometry geometry_of(const PadAttrs& a, const Shape& x, const Shape& y) {
  Geometry g{};
  g.mode = a.mode;
  for (int i = 0; i < kMaxRank; ++i) {
    const int axis = i - (kMaxRank - x.rank());
    g.x[i] = axis < 0 ? 1 : x[axis];
    g.y[i] = axis < 0 ? 1 : y[axis];
    g.before[i] = axis < 0 ? 0 : a.before[axis];
  }
  return g;
}

__global__ void pad_kernel(Geometry g, int64_t size, float* y, const float* x) {
  for (int64_t i = thread_index(); i < size; i += thread_count()) {
    int64_t rest = i, from = 0, step = 1;
    bool inside = true;
    SATIN_UNROLL for (int a = kMaxRank - 1; a >= 0; --a) {
      const int64_t s = pad_source(rest % g.y[a] - g.before[a], g.x[a], g.mode);
      rest /= g.y[a];
      inside = inside && s >= 0;
      from += s * step;
      step *= g.x[a];
    }
    y[i] = inside ? x[from] : 0;
  }
}

/// The next padded position after `i` (-1: the first) that copies element s of an axis; g.y[a] when
/// there is none.
SATIN_DEVICE int64_t next_copy(const Geometry& g, int a, int64_t s, int64_t i) {
  const int64_t inside = s + g.before[a];
  if (g.mode == PadMode::zero) return i < inside ? inside : g.y[a];
  if (g.mode == PadMode::reflect && g.x[a] > 1) {
    // Copies lie at inside + k period and at their mirror images.
    const int64_t period = 2 * (g.x[a] - 1);
    const int64_t after = i + 1, mirror = g.before[a] - s;
    const int64_t one = after + ((inside - after) % period + period) % period;
    const int64_t two = after + ((mirror - after) % period + period) % period;
    const int64_t next = one < two ? one : two;
    return next < g.y[a] ? next : g.y[a];
  }
  for (int64_t p = i + 1; p < g.y[a]; ++p)
    if (pad_source(p - g.before[a], g.x[a], g.mode) == s) return p;
  return g.y[a];
}

__global__ void pad_adjoint_kernel(Geometry g, int64_t size, float* x, const float* y) {
  for (int64_t i = thread_index(); i < size; i += thread_count()) {
    int64_t index[kMaxRank], at[kMaxRank], rest = i;
    SATIN_UNROLL for (int a = kMaxRank - 1; a >= 0; --a) {
      index[a] = rest % g.x[a];
      rest /= g.x[a];
      at[a] = next_copy(g, a, index[a], -1);
    }
    float sum = 0;
    for (;;) {
      int64_t from = 0;
      SATIN_UNROLL for (int a = 0; a < kMaxRank; ++a) from = from * g.y[a] + at[a];
      sum += y[from];
      bool carry = true;  // to the next axis out
      SATIN_UNROLL for (int a = kMaxRank - 1; a >= 0; --a) {
        if (!carry) continue;
        at[a] = next_copy(g, a, index[a], at[a]);
        carry = at[a] >= g.y[a];
        if (carry) at[a] = next_copy(g, a, index[a], -1);
      }
      if (carry) break;
    }
    x[i] = sum;
  }
}

}  // namespace

void pad(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  const int64_t n = y.shape.size();
  if (n == 0) return;
  launch(call, "pad", over(n), pad_kernel, geometry_of(call.as<PadAttrs>(), x.shape, y.shape), n,
         y.as<float>(), x.as<float>());
}

void pad_adjoint(const Call& call) {
  const View &y = call.in[0], &x = call.out[0];
  const int64_t n = x.shape.size();
  if (n == 0) return;
  launch(call, "pad_adjoint", over(n), pad_adjoint_kernel,
         geometry_of(call.as<PadAttrs>(), x.shape, y.shape), n, x.as<float>(), y.as<float>());
}

}  // namespace satin::cuda
