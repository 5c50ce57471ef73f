#include "tensor/softmax.h"

#include <cmath>

#include "cpu/kernel.h"
#include "cpu/vmath.h"

namespace satin::cpu::SATIN_ISA {
namespace {

template <class T>
void plain_row(const T* x, T* y, int64_t n) {
  T largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - largest);
  for (int64_t i = 0; i < n; ++i) y[i] /= sum;
}

void fast_row(const float* x, float* y, int64_t n) {
  constexpr int kStep = kLanes<float>;
  const int64_t whole = n / kStep * kStep, rest = n - whole;
  float largest = x[0];
  vmath::F lanes = vmath::broadcast(largest);
  for (int64_t i = 0; i < whole; i += kStep) {
    const vmath::F v = load(x + i);
    lanes = v > lanes ? v : lanes;
  }
  for (int i = 0; i < kStep; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  for (int64_t i = whole; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  vmath::F sums{};
  for (int64_t i = 0; i < whole; i += kStep) {
    const vmath::F e = vmath::exp(load(x + i) - largest);
    sums += e;
    store(y + i, e);
  }
  if (rest > 0) {
    store_part(y + whole, vmath::exp(load_part(x + whole, rest) - largest), rest);
    sums += load_part(y + whole, rest);
  }
  const float sum = sum_lanes<float>(sums);
  for (int64_t i = 0; i < whole; i += kStep) store(y + i, load(y + i) / sum);
  for (int64_t i = whole; i < n; ++i) y[i] /= sum;
}

}  // namespace

void softmax(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  const int64_t n = x.shape.at(-1), rows = n > 0 ? x.shape.size() / n : 0;
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    parallel_chunks(call, rows, 1 + 2048 / (n + 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = x.as<T>() + row * n;
        T* to = y.as<T>() + row * n;
        if constexpr (sizeof(T) == sizeof(float))
          if (!wants_plain(call)) {
            fast_row(from, to, n);
            continue;
          }
        plain_row(from, to, n);
      }
    });
  });
}

}  // namespace satin::cpu::SATIN_ISA
