// One loop over runs of the broadcast operands; a member is the vector expression of f32 beside its
// name.  f64 and the plain path run the scalar function of the same name.
#include "tensor/binary.h"

#include "cpu/strided.h"
#include "cpu/vmath.h"
#include "tensor/scalar.h"

namespace satin::cpu::SATIN_ISA {
namespace {

using vmath::F;

/// run(z, x, y, n) for every run of n elements; small operands are read again and again in place.
/// z is contiguous within a run, x and y are too or are one value.
template <class T, class Run>
void runs(const Call& call, const Loop<3>& loop, Run run) {
  T* z = call.out[0].as<T>();
  const T *x = call.in[0].as<T>(), *y = call.in[1].as<T>();
  for_each_run(call, loop, [&](const int64_t(&offset)[3], int64_t n) {
    run(z + offset[0], x + offset[1], y + offset[2], n);
  });
}

template <class T, class Function>
void zip(const Call& call, const Loop<3>& loop, Function f) {
  const int64_t sx = loop.inner_stride(1), sy = loop.inner_stride(2);
  runs<T>(call, loop, [&](T* z, const T* x, const T* y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) z[i] = f(x[i * sx], y[i * sy]);
  });
}

/// X, Y: whether the operand has an element for each of z's, or one for the whole run.
template <bool X, bool Y, class Function>
SATIN_INLINE void zip_run(float* z, const float* x, const float* y, int64_t n, Function f) {
  constexpr int kStep = kLanes<float>;
  const F x0 = vmath::broadcast(x[0]), y0 = vmath::broadcast(y[0]);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(z + i, f(X ? load(x + i) : x0, Y ? load(y + i) : y0));
  if (i < n)
    store_part(z + i, f(X ? load_part(x + i, n - i) : x0, Y ? load_part(y + i, n - i) : y0), n - i);
}

template <class Function>
void zip_vectors(const Call& call, const Loop<3>& loop, Function f) {
  const bool each_x = loop.inner_stride(1) != 0, each_y = loop.inner_stride(2) != 0;
  runs<float>(call, loop, [&](float* z, const float* x, const float* y, int64_t n) {
    if (each_x && each_y)
      zip_run<true, true>(z, x, y, n, f);
    else if (each_x)
      zip_run<true, false>(z, x, y, n, f);
    else if (each_y)
      zip_run<false, true>(z, x, y, n, f);
    else
      zip_run<false, false>(z, x, y, n, f);
  });
}

Loop<3> loop_of(const Call& call) {
  const Shape &z = call.out[0].shape, &x = call.in[0].shape, &y = call.in[1].shape;
  int64_t xs[kMaxRank], ys[kMaxRank];
  broadcast_strides(x, z, xs);
  broadcast_strides(y, z, ys);
  const auto zs = z.strides();
  Loop<3> loop;
  for (int i = 0; i < z.rank(); ++i) loop.axis(z[i], {zs[i], xs[i], ys[i]});
  return loop;
}

}  // namespace

// `vector` is an expression in x and y, and in a where the attribute matters.
#define SATIN_BINARY(name, vector)                                                       \
  void name(const Call& call) {                                                          \
    if (call.out[0].shape.size() == 0) return;                                           \
    const Loop<3> loop = loop_of(call);                                                  \
    const auto attrs = call.as<BinaryAttrs>();                                           \
    [[maybe_unused]] const float a = static_cast<float>(attrs.a);                        \
    const auto scalar_f = [attrs](auto x, auto y) { return scalar::name(x, y, attrs); }; \
    if (is_f64(call.out[0]))                                                             \
      zip<double>(call, loop, scalar_f);                                                 \
    else if (wants_plain(call))                                                          \
      zip<float>(call, loop, scalar_f);                                                  \
    else                                                                                 \
      zip_vectors(                                                                       \
          call, loop, [a](F x, F y) __attribute__((always_inline)) { return vector; });  \
  }

SATIN_BINARY(add, x + y)
SATIN_BINARY(sub, x - y)
SATIN_BINARY(mul, x* y)
SATIN_BINARY(div, x / y)
SATIN_BINARY(maximum, (x > y) | (x != x) ? x : y)
SATIN_BINARY(minimum, (x < y) | (x != x) ? x : y)
SATIN_BINARY(less, vmath::only(x < y, vmath::broadcast(1)))
SATIN_BINARY(less_equal, vmath::only(x <= y, vmath::broadcast(1)))
SATIN_BINARY(equal, vmath::only(x == y, vmath::broadcast(1)))
SATIN_BINARY(leaky_relu_grad, x > 0 ? y : a * y)
SATIN_BINARY(gelu_grad, y* vmath::gelu_slope(x))

#undef SATIN_BINARY

}  // namespace satin::cpu::SATIN_ISA
