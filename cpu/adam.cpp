#include "tensor/adam.h"

#include <cmath>

#include "cpu/kernel.h"
#include "cpu/lanes.h"

namespace satin::cpu::SATIN_ISA {

void adam_update(const Call& call) {
  const auto a = call.as<AdamAttrs>();
  with_type(call.out[0].dtype, [&](auto type) {
    using T = decltype(type);
    const T *p = call.in[0].as<T>(), *grad = call.in[1].as<T>(), *m = call.in[2].as<T>(),
            *v = call.in[3].as<T>();
    T *p2 = call.out[0].as<T>(), *m2 = call.out[1].as<T>(), *v2 = call.out[2].as<T>();
    const double lr = *call.in[4].as<T>(), t = *call.in[5].as<T>();
    const T scale = *call.in[6].as<T>();
    const bool skip = !std::isfinite(scale);
    // Bias corrections in f64: 1 - beta^t cancels for small t.
    const T step = static_cast<T>(lr / (1 - std::pow(a.beta1, t)));
    const T correction = static_cast<T>(1 / std::sqrt(1 - std::pow(a.beta2, t)));
    const T b1 = static_cast<T>(a.beta1), b2 = static_cast<T>(a.beta2), eps = static_cast<T>(a.eps);
    const T c1 = static_cast<T>(1 - a.beta1), c2 = static_cast<T>(1 - a.beta2);
    const auto plain = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T g = scale * grad[i], p1 = p[i], m1 = m[i], v1 = v[i];
        const T mi = b1 * m1 + c1 * g, vi = b2 * v1 + c2 * g * g;
        m2[i] = skip ? m1 : mi;
        v2[i] = skip ? v1 : vi;
        p2[i] = skip ? p1 : p1 - step * mi / (std::sqrt(vi) * correction + eps);
      }
    };
    constexpr int kStep = kLanes<T>;
    parallel_chunks(call, call.out[0].shape.size(), 1 << 14, [&](int64_t begin, int64_t end) {
      int64_t i = begin;
      // g++ takes no vector of square roots, errno being what it is.
      if (!skip && !wants_plain(call))
        for (; i + kStep <= end; i += kStep) {
          const Vec<T> g = scale * load(grad + i);
          const Vec<T> mi = b1 * load(m + i) + c1 * g, vi = b2 * load(v + i) + c2 * g * g;
          const Vec<T> pi = load(p + i) - step * mi / (square_root<T>(vi) * correction + eps);
          store(m2 + i, mi);
          store(v2 + i, vi);
          store(p2 + i, pi);
        }
      plain(i, end);
    });
  });
}

}  // namespace satin::cpu::SATIN_ISA
