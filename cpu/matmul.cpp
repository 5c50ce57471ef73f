#include "tensor/matmul.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {

void matmul(const Call& call) {
  const auto [ta, tb, sum_batch] = call.as<MatmulAttrs>();
  const Shape &as = call.in[0].shape, &bs = call.in[1].shape;
  const int64_t m = as.at(ta ? -1 : -2), k = as.at(ta ? -2 : -1), n = bs.at(tb ? -2 : -1);
  const auto batch_of = [](const Shape& s) {
    int64_t count = 1;
    for (int i = 0; i + 2 < s.rank(); ++i) count *= s[i];
    return count;
  };
  const int64_t batch_a = batch_of(as), batch_b = batch_of(bs),
                batch = as.rank() > 2 ? batch_a : batch_b;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T *a = call.in[0].as<T>(), *b = call.in[1].as<T>(),
            *bias = call.in.size() > 2 ? call.in[2].as<T>() : nullptr;
    T* y = call.out[0].as<T>();
    parallel_for(call, (sum_batch ? 1 : batch) * m, [&](int64_t row) {
      const int64_t i = row % m;
      for (int64_t j = 0; j < n; ++j) {
        T sum = bias ? bias[j] : T(0);
        for (int64_t g = sum_batch ? 0 : row / m; g < (sum_batch ? batch : row / m + 1); ++g) {
          const T* ag = a + (batch_a > 1 ? g : 0) * m * k;
          const T* bg = b + (batch_b > 1 ? g : 0) * k * n;
          for (int64_t q = 0; q < k; ++q)
            sum += (ta ? ag[q * m + i] : ag[i * k + q]) * (tb ? bg[j * k + q] : bg[q * n + j]);
        }
        y[row * n + j] = sum;
      }
    });
  });
}
int64_t matmul_scratch(const Call&) { return 0; }

}  // namespace satin::cpu::SATIN_ISA
