#include "tensor/pad.h"

#include "cpu/copy.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// The element of x (row-major offset) behind row `row` of y, rows being all axes but the last; -1:
/// zeros.
int64_t source_row(int64_t row, const PadAttrs& a, const Shape& x, const Shape& y) {
  int64_t offset = 0, step = x.at(-1);
  for (int i = y.rank() - 2; i >= 0; --i) {
    const int64_t s = pad_source(row % y[i] - a.before[i], x[i], a.mode);
    row /= y[i];
    if (s < 0) return -1;
    offset += s * step;
    step *= x[i];
  }
  return offset;
}

}  // namespace

void pad(const Call& call) {
  const auto a = call.as<PadAttrs>();
  const View &x = call.in[0], &y = call.out[0];
  const int last = y.shape.rank() - 1;
  if (y.shape.size() == 0) return;
  if (last < 0) {
    with_type(y.dtype, [&](auto t) { *y.as<decltype(t)>() = *x.as<decltype(t)>(); });
    return;
  }
  const int64_t n = y.shape[last], rows = y.shape.size() / n;
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    parallel_chunks(call, rows, 1 + 16384 / n, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t from = source_row(row, a, x.shape, y.shape);
        T* to = y.as<T>() + row * n;
        for (int64_t i = 0; i < n; ++i) {
          const int64_t s = pad_source(i - a.before[last], x.shape[last], a.mode);
          to[i] = from < 0 || s < 0 ? T(0) : x.as<T>()[from + s];
        }
      }
    });
  });
}

void pad_adjoint(const Call& call) {
  const auto a = call.as<PadAttrs>();
  const View &y = call.in[0], &x = call.out[0];
  const int last = y.shape.rank() - 1;
  clear(call, x);
  if (y.shape.size() == 0) return;
  if (last < 0) {
    with_type(y.dtype, [&](auto t) { *x.as<decltype(t)>() = *y.as<decltype(t)>(); });
    return;
  }
  // Several rows of y may add into one of x: one thread, in the order of y.
  const int64_t n = y.shape[last], rows = y.shape.size() / n;
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t to = source_row(row, a, x.shape, y.shape);
      for (int64_t i = 0; to >= 0 && i < n; ++i) {
        const int64_t s = pad_source(i - a.before[last], x.shape[last], a.mode);
        if (s >= 0) x.as<T>()[to + s] += y.as<T>()[row * n + i];
      }
    }
  });
}

}  // namespace satin::cpu::SATIN_ISA
