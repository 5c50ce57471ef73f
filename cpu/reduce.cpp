#include "tensor/reduce.h"

#include "cpu/strided.h"

namespace satin::cpu::SATIN_ISA {

void amax(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  Loop<1> kept, reduced;
  const auto xs = x.shape.strides();
  for (int i = 0; i < x.shape.rank(); ++i)
    (y.shape[i] == x.shape[i] ? kept : reduced).axis(x.shape[i], {xs[i]});
  with_type(y.dtype, [&](auto t) {
    using T = decltype(t);
    const int64_t terms = y.shape.size() > 0 ? x.shape.size() / y.shape.size() : 0;
    parallel_chunks(call, y.shape.size(), 1 + 4096 / (terms + 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* from = x.as<T>() + offset_of(kept, i);
        T largest = from[0];
        for (int64_t k = 1; k < terms; ++k) {
          const T value = from[offset_of(reduced, k)];
          if (value > largest || value != value) largest = value;
          if (largest != largest) break;
        }
        y.as<T>()[i] = largest;
      }
    });
  });
}

}  // namespace satin::cpu::SATIN_ISA
