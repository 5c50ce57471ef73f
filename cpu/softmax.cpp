#include "tensor/softmax.h"

#include <cmath>

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {

void softmax(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  const int64_t n = x.shape.at(-1), rows = n > 0 ? x.shape.size() / n : 0;
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    parallel_chunks(call, rows, 1 + 2048 / (n + 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = x.as<T>() + row * n;
        T* to = y.as<T>() + row * n;
        T largest = from[0];
        for (int64_t i = 1; i < n; ++i) largest = from[i] > largest ? from[i] : largest;
        T sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += to[i] = std::exp(from[i] - largest);
        for (int64_t i = 0; i < n; ++i) to[i] /= sum;
      }
    });
  });
}

}  // namespace satin::cpu::SATIN_ISA
