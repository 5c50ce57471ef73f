#include "tensor/conv2d.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {
namespace {

/// f(x offset, w offset, d offset) for every term of L.
template <class F>
void nest(const Conv2dAttrs& a, const Shape& d, F f) {
  const Shape &x = a.input, &w = a.kernel;
  const int64_t cg = w[2], og = w[3] / a.groups;
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t oh = 0; oh < d[1]; ++oh)
      for (int64_t ow = 0; ow < d[2]; ++ow)
        for (int64_t kh = 0; kh < w[0]; ++kh)
          for (int64_t kw = 0; kw < w[1]; ++kw) {
            const int64_t i = oh * a.stride + kh * a.dilation - a.pad,
                          j = ow * a.stride + kw * a.dilation - a.pad;
            if (i < 0 || j < 0 || i >= x[1] || j >= x[2]) continue;
            for (int64_t ci = 0; ci < cg; ++ci)
              for (int64_t co = 0; co < w[3]; ++co)
                f(((n * x[1] + i) * x[2] + j) * x[3] + co / og * cg + ci,
                  ((kh * w[1] + kw) * cg + ci) * w[3] + co,
                  ((n * d[1] + oh) * d[2] + ow) * w[3] + co);
          }
}

}  // namespace

void conv2d(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T *x = call.in[0].as<T>(), *w = call.in[1].as<T>();
    T* d = call.out[0].as<T>();
    const int64_t c = call.out[0].shape[3];
    for (int64_t i = 0; i < call.out[0].shape.size(); ++i)
      d[i] = call.in.size() > 2 ? call.in[2].as<T>()[i % c] : T(0);
    nest(call.as<Conv2dAttrs>(), call.out[0].shape,
         [&](int64_t i, int64_t j, int64_t k) { d[k] += x[i] * w[j]; });
  });
}
void conv2d_input_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T *d = call.in[0].as<T>(), *w = call.in[1].as<T>();
    T* x = call.out[0].as<T>();
    for (int64_t i = 0; i < call.out[0].shape.size(); ++i) x[i] = 0;
    nest(call.as<Conv2dAttrs>(), call.in[0].shape,
         [&](int64_t i, int64_t j, int64_t k) { x[i] += d[k] * w[j]; });
  });
}
void conv2d_weight_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T *x = call.in[0].as<T>(), *d = call.in[1].as<T>();
    T* w = call.out[0].as<T>();
    for (int64_t i = 0; i < call.out[0].shape.size(); ++i) w[i] = 0;
    nest(call.as<Conv2dAttrs>(), call.in[1].shape,
         [&](int64_t i, int64_t j, int64_t k) { w[j] += x[i] * d[k]; });
  });
}
int64_t conv2d_scratch(const Call&) { return 0; }
int64_t conv2d_input_grad_scratch(const Call&) { return 0; }
int64_t conv2d_weight_grad_scratch(const Call&) { return 0; }

}  // namespace satin::cpu::SATIN_ISA
