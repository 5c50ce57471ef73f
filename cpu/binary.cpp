#include "tensor/binary.h"

#include "cpu/strided.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// z = f(x, y), small operands read again and again in place.
template <class T, class F>
void zip(const Call& call, F f) {
  const View &z = call.out[0], &x = call.in[0], &y = call.in[1];
  int64_t xs[kMaxRank], ys[kMaxRank];
  broadcast_strides(x.shape, z.shape, xs);
  broadcast_strides(y.shape, z.shape, ys);
  const auto zs = z.shape.strides();
  Loop<3> loop;
  for (int i = 0; i < z.shape.rank(); ++i) loop.axis(z.shape[i], {zs[i], xs[i], ys[i]});
  if (z.shape.size() == 0) return;
  // One long run is cut so that the threads share it.
  constexpr int64_t kLongest = 1 << 14;
  const int64_t n = loop.inner(), sx = loop.inner_stride(1), sy = loop.inner_stride(2);
  const auto run = [&](const int64_t(&offset)[3], int64_t begin, int64_t end) {
    T* to = z.as<T>() + offset[0];
    const T* a = x.as<T>() + offset[1];
    const T* b = y.as<T>() + offset[2];
    if (sx == 1 && sy == 1) {
      for (int64_t i = begin; i < end; ++i) to[i] = f(a[i], b[i]);
    } else if (sx == 1 && sy == 0) {
      const T constant = b[0];
      for (int64_t i = begin; i < end; ++i) to[i] = f(a[i], constant);
    } else if (sx == 0 && sy == 1) {
      const T constant = a[0];
      for (int64_t i = begin; i < end; ++i) to[i] = f(constant, b[i]);
    } else {
      for (int64_t i = begin; i < end; ++i) to[i] = f(a[i * sx], b[i * sy]);
    }
  };
  if (loop.runs() == 1) {
    parallel_chunks(call, n, kLongest, [&](int64_t begin, int64_t end) {
      run({0, 0, 0}, begin, end);
    });
  } else {
    for_each_run(call, loop, [&](const int64_t(&offset)[3]) { run(offset, 0, n); });
  }
}

}  // namespace

#define SATIN_BINARY(name)                                                                   \
  void name(const Call& call) {                                                              \
    const auto attrs = call.as<BinaryAttrs>();                                               \
    with_type(call.out[0].dtype, [&](auto t) {                                               \
      zip<decltype(t)>(call, [attrs](auto x, auto y) { return scalar::name(x, y, attrs); }); \
    });                                                                                      \
  }

SATIN_BINARY(add)
SATIN_BINARY(sub)
SATIN_BINARY(mul)
SATIN_BINARY(div)
SATIN_BINARY(maximum)
SATIN_BINARY(minimum)
SATIN_BINARY(less)
SATIN_BINARY(less_equal)
SATIN_BINARY(equal)
SATIN_BINARY(leaky_relu_grad)
SATIN_BINARY(gelu_grad)

#undef SATIN_BINARY

}  // namespace satin::cpu::SATIN_ISA
