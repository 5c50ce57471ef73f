#include "tensor/layer_norm.h"

#include <cmath>

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {
namespace {

template <class T>
struct Moments {
  T mean, rstd;
};

template <class T>
Moments<T> moments(const T* x, int64_t c, T eps) {
  T sum = 0;
  for (int64_t i = 0; i < c; ++i) sum += x[i];
  const T mean = sum / T(c);
  T squares = 0;
  for (int64_t i = 0; i < c; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, T(1) / std::sqrt(squares / T(c) + eps)};
}

constexpr int64_t kRows = 1024;  // rows whose dgamma and dbeta are summed together

template <class T>
void backward(const Call& call) {
  const T *x = call.in[0].as<T>(), *gamma = call.in[1].as<T>(), *dy = call.in[2].as<T>();
  T *dx = call.out[0].as<T>(), *dgamma = call.out[1].as<T>(), *dbeta = call.out[2].as<T>();
  const int64_t c = call.in[1].shape[0], rows = call.in[0].shape.size() / c,
                pieces = (rows + kRows - 1) / kRows;
  const T eps = static_cast<T>(call.as<LayerNormAttrs>().eps);
  T* partial = static_cast<T*>(call.scratch);  // [pieces][2][c]
  parallel_for(call, pieces, [&](int64_t piece) {
    T *pg = partial + piece * 2 * c, *pb = pg + c;
    for (int64_t i = 0; i < 2 * c; ++i) pg[i] = 0;
    const int64_t end = (piece + 1) * kRows < rows ? (piece + 1) * kRows : rows;
    for (int64_t row = piece * kRows; row < end; ++row) {
      const T *xr = x + row * c, *dr = dy + row * c;
      const Moments<T> m = moments(xr, c, eps);
      T sum_g = 0, sum_gh = 0;
      for (int64_t i = 0; i < c; ++i) {
        const T h = (xr[i] - m.mean) * m.rstd, g = gamma[i] * dr[i];
        sum_g += g;
        sum_gh += g * h;
        pg[i] += dr[i] * h;
        pb[i] += dr[i];
      }
      sum_g /= T(c);
      sum_gh /= T(c);
      for (int64_t i = 0; i < c; ++i)
        dx[row * c + i] = m.rstd * (gamma[i] * dr[i] - sum_g - (xr[i] - m.mean) * m.rstd * sum_gh);
    }
  });
  for (int64_t i = 0; i < c; ++i) {
    T g = 0, b = 0;
    for (int64_t p = 0; p < pieces; ++p) {
      g += partial[p * 2 * c + i];
      b += partial[p * 2 * c + c + i];
    }
    dgamma[i] = g;
    dbeta[i] = b;
  }
}

}  // namespace

void layer_norm(const Call& call) {
  const int64_t c = call.in[1].shape[0], rows = call.in[0].shape.size() / c;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T *x = call.in[0].as<T>(), *gamma = call.in[1].as<T>(), *beta = call.in[2].as<T>();
    T* y = call.out[0].as<T>();
    const T eps = static_cast<T>(call.as<LayerNormAttrs>().eps);
    parallel_chunks(call, rows, 1 + 16384 / c, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const Moments<T> m = moments(x + row * c, c, eps);
        for (int64_t i = 0; i < c; ++i)
          y[row * c + i] = gamma[i] * ((x[row * c + i] - m.mean) * m.rstd) + beta[i];
      }
    });
  });
}

void layer_norm_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) { backward<decltype(t)>(call); });
}

int64_t layer_norm_grad_scratch(const Call& call) {
  const int64_t c = call.in[1].shape[0], rows = call.in[0].shape.size() / c;
  return (rows + kRows - 1) / kRows * 2 * c * static_cast<int64_t>(size_of(call.out[0].dtype));
}

}  // namespace satin::cpu::SATIN_ISA
