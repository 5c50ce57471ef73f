// The plain loops, row by row; below them the fast ones, as many rows at once as a vector has
// lanes. A row's sums are kept as vectors and all rows' are added across in one go (sum_across),
// which costs three instructions a row; added row by row they would cost more than the rest.  Three
// passes over a group of rows all hit the nearest cache.
#include "tensor/layer_norm.h"

#include <cmath>

#include "cpu/kernel.h"
#include "cpu/lanes.h"

namespace satin::cpu::SATIN_ISA {
namespace {

constexpr int64_t kRows = 1024;  // rows whose dgamma and dbeta are summed together

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

template <class T>
struct NormProblem {
  explicit NormProblem(const Call& call)
      : c(call.in[1].shape[0]),
        rows(call.in[0].shape.size() / c),
        eps(static_cast<T>(call.as<LayerNormAttrs>().eps)),
        x(call.in[0].as<T>()),
        gamma(call.in[1].as<T>()) {}
  int64_t c, rows;
  T eps;
  const T *x, *gamma;
};

template <class T>
struct Forward : NormProblem<T> {
  explicit Forward(const Call& call)
      : NormProblem<T>(call), beta(call.in[2].as<T>()), y(call.out[0].as<T>()) {}
  const T* beta;
  T* y;
};

template <class T>
struct Backward : NormProblem<T> {
  explicit Backward(const Call& call)
      : NormProblem<T>(call), dy(call.in[2].as<T>()), dx(call.out[0].as<T>()) {}
  const T* dy;
  T* dx;
};

template <class T>
void plain_rows(const Forward<T>& p, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const T* x = p.x + row * p.c;
    const Moments<T> m = moments(x, p.c, p.eps);
    for (int64_t i = 0; i < p.c; ++i)
      p.y[row * p.c + i] = p.gamma[i] * ((x[i] - m.mean) * m.rstd) + p.beta[i];
  }
}

/// Adds to dgamma and dbeta.
template <class T>
void plain_rows(const Backward<T>& p, int64_t begin, int64_t end, T* dgamma, T* dbeta) {
  for (int64_t row = begin; row < end; ++row) {
    const T *x = p.x + row * p.c, *dy = p.dy + row * p.c;
    const Moments<T> m = moments(x, p.c, p.eps);
    T sum_g = 0, sum_gh = 0;
    for (int64_t i = 0; i < p.c; ++i) {
      const T h = (x[i] - m.mean) * m.rstd, g = p.gamma[i] * dy[i];
      sum_g += g;
      sum_gh += g * h;
      dgamma[i] += dy[i] * h;
      dbeta[i] += dy[i];
    }
    sum_g /= T(p.c);
    sum_gh /= T(p.c);
    for (int64_t i = 0; i < p.c; ++i) {
      const T h = (x[i] - m.mean) * m.rstd;
      p.dx[row * p.c + i] = m.rstd * (p.gamma[i] * dy[i] - sum_g - h * sum_gh);
    }
  }
}

// --- the fast ones: C a multiple of the lanes; V its number of vectors if known, else 0 ----------

/// The means and 1 / standard deviations of kLanes rows; `row(r)` is where row r starts.
template <class T, int V, class Row>
SATIN_INLINE void group_moments(Row row, int64_t c, T eps, T* mean, T* rstd) {
  constexpr int kStep = kLanes<T>;
  const int64_t n = V > 0 ? V * kStep : c;
  Vec<T> sums[kStep];
  for (int r = 0; r < kStep; ++r) {
    const T* x = row(r);
    Vec<T> sum{};
    for (int64_t i = 0; i < n; i += kStep) sum += load(x + i);
    sums[r] = sum;
  }
  const Vec<T> means = sum_across<T>(sums) / static_cast<T>(n);
  store(mean, means);
  for (int r = 0; r < kStep; ++r) {
    const T* x = row(r);
    const Vec<T> m = splat<T>(mean[r]);
    Vec<T> sum{};
    for (int64_t i = 0; i < n; i += kStep) {
      const Vec<T> d = load(x + i) - m;
      sum += d * d;
    }
    sums[r] = sum;
  }
  store(rstd, static_cast<T>(1) / square_root<T>(sum_across<T>(sums) / static_cast<T>(n) + eps));
}

template <class T, int V>
void fast_rows(const Forward<T>& p, int64_t begin, int64_t end) {
  constexpr int kStep = kLanes<T>;
  const int64_t n = V > 0 ? V * kStep : p.c;
  T mean[kStep], rstd[kStep];
  for (int64_t first = begin; first < end; first += kStep) {
    const int count = static_cast<int>(end - first < kStep ? end - first : kStep);
    // A last group that is not full reads its last row again.
    group_moments<T, V>([&](int r) { return p.x + (first + (r < count ? r : count - 1)) * n; }, n,
                        p.eps, mean, rstd);
    for (int r = 0; r < count; ++r) {
      const T* x = p.x + (first + r) * n;
      T* y = p.y + (first + r) * n;
      const Vec<T> m = splat<T>(mean[r]), s = splat<T>(rstd[r]);
      for (int64_t i = 0; i < n; i += kStep)
        store(y + i, load(p.gamma + i) * ((load(x + i) - m) * s) + load(p.beta + i));
    }
  }
}

template <class T, int V>
void fast_rows(const Backward<T>& p, int64_t begin, int64_t end, T* dgamma, T* dbeta) {
  constexpr int kStep = kLanes<T>;
  const int64_t n = V > 0 ? V * kStep : p.c;
  T mean[kStep], rstd[kStep], mean_g[kStep], mean_gh[kStep];
  constexpr bool kInRegisters = V > 0 && V <= 4;  // a group's dgamma and dbeta
  Vec<T> sums_g[kStep], sums_gh[kStep];
  for (int64_t first = begin; first < end; first += kStep) {
    const int count = static_cast<int>(end - first < kStep ? end - first : kStep);
    group_moments<T, V>([&](int r) { return p.x + (first + (r < count ? r : count - 1)) * n; }, n,
                        p.eps, mean, rstd);
    for (int r = 0; r < kStep; ++r) sums_g[r] = sums_gh[r] = Vec<T>{};
    Vec<T> group_dgamma[kInRegisters ? V : 1] = {}, group_dbeta[kInRegisters ? V : 1] = {};
    for (int r = 0; r < count; ++r) {
      const T *x = p.x + (first + r) * n, *dy = p.dy + (first + r) * n;
      const Vec<T> m = splat<T>(mean[r]), s = splat<T>(rstd[r]);
      Vec<T> sum_g{}, sum_gh{};
      for (int64_t i = 0; i < n; i += kStep) {
        const Vec<T> d = load(dy + i), h = (load(x + i) - m) * s, g = load(p.gamma + i) * d;
        sum_g += g;
        sum_gh += g * h;
        if constexpr (kInRegisters) {
          group_dgamma[i / kStep] += d * h;
          group_dbeta[i / kStep] += d;
        } else {
          store(dgamma + i, load(dgamma + i) + d * h);
          store(dbeta + i, load(dbeta + i) + d);
        }
      }
      sums_g[r] = sum_g;
      sums_gh[r] = sum_gh;
    }
    if constexpr (kInRegisters) {
      SATIN_UNROLL
      for (int v = 0; v < V; ++v) {
        store(dgamma + v * kStep, load(dgamma + v * kStep) + group_dgamma[v]);
        store(dbeta + v * kStep, load(dbeta + v * kStep) + group_dbeta[v]);
      }
    }
    store(mean_g, sum_across<T>(sums_g) / static_cast<T>(n));
    store(mean_gh, sum_across<T>(sums_gh) / static_cast<T>(n));
    for (int r = 0; r < count; ++r) {
      const T *x = p.x + (first + r) * n, *dy = p.dy + (first + r) * n;
      T* dx = p.dx + (first + r) * n;
      const Vec<T> m = splat<T>(mean[r]), s = splat<T>(rstd[r]), a = splat<T>(mean_g[r]),
                   b = splat<T>(mean_gh[r]);
      for (int64_t i = 0; i < n; i += kStep) {
        const Vec<T> h = (load(x + i) - m) * s;
        store(dx + i, s * (load(p.gamma + i) * load(dy + i) - a - h * b));
      }
    }
  }
}

/// Runs rows [begin, end) the way that fits C.
template <class T, class P, class... More>
void some_rows(const Call& call, const P& p, int64_t begin, int64_t end, More... more) {
  constexpr int kStep = kLanes<T>;
  if (wants_plain(call) || p.c % kStep != 0) return plain_rows(p, begin, end, more...);
  switch (p.c) {
    case 32:
      return fast_rows<T, 32 / kStep>(p, begin, end, more...);
    case 64:
      return fast_rows<T, 64 / kStep>(p, begin, end, more...);
    default:
      return fast_rows<T, 0>(p, begin, end, more...);
  }
}

template <class T>
void backward(const Call& call) {
  const Backward<T> p(call);
  T *dgamma = call.out[1].as<T>(), *dbeta = call.out[2].as<T>();
  const int64_t pieces = (p.rows + kRows - 1) / kRows;
  T* partial = static_cast<T*>(call.scratch);  // [pieces][2][c]
  parallel_for(call, pieces, [&](int64_t piece) {
    T* sums = partial + piece * 2 * p.c;
    for (int64_t i = 0; i < 2 * p.c; ++i) sums[i] = 0;
    const int64_t begin = piece * kRows, end = begin + kRows < p.rows ? begin + kRows : p.rows;
    some_rows<T>(call, p, begin, end, sums, sums + p.c);
  });
  for (int64_t i = 0; i < p.c; ++i) dgamma[i] = dbeta[i] = 0;
  for (int64_t piece = 0; piece < pieces; ++piece)
    for (int64_t i = 0; i < p.c; ++i) {
      dgamma[i] += partial[piece * 2 * p.c + i];
      dbeta[i] += partial[piece * 2 * p.c + p.c + i];
    }
}

}  // namespace

void layer_norm(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Forward<T> p(call);
    parallel_chunks(call, p.rows, (16384 / p.c / kLanes<T> + 1) * kLanes<T>,
                    [&](int64_t begin, int64_t end) { some_rows<T>(call, p, begin, end); });
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
