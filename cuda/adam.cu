// One step of Adam on the flat tensor of all parameters: one launch for a whole network.
//
// Who owns what.  A thread takes every n-th element, 16 or so, so that the corrections in f64,
// worked out once a thread, cost little beside them.
//
// Bytes: 28 an element (four tensors read, three written); about 15 flops: bound by memory.  For
// MGPNet's 3.7 million: 104 MB.  Not yet measured on a device.
#include "cuda/kernel.h"
#include "tensor/adam.h"

namespace satin::cuda {
namespace {

struct Tensors7 {
  const float *p, *grad, *m, *v, *lr, *t, *scale;
  float *p2, *m2, *v2;
};

__global__ void adam_kernel(Tensors7 x, int64_t n, AdamAttrs a) {
  // With one element an output may lie over one of the scalars: only its own thread may read them.
  if (thread_index() >= n) return;
  const float scale = *x.scale;
  const bool skip = !(scale - scale == 0);  // not finite
  // Bias corrections in f64: 1 - beta^t cancels for small t.
  const double t = *x.t;
  const auto step = static_cast<float>(*x.lr / (1 - ::pow(a.beta1, t)));
  const auto correction = static_cast<float>(1 / ::sqrt(1 - ::pow(a.beta2, t)));
  const auto b1 = static_cast<float>(a.beta1), b2 = static_cast<float>(a.beta2),
             eps = static_cast<float>(a.eps), c1 = static_cast<float>(1 - a.beta1),
             c2 = static_cast<float>(1 - a.beta2);
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const float p = x.p[i], m = x.m[i], v = x.v[i], g = scale * x.grad[i];
    const float m2 = b1 * m + c1 * g, v2 = b2 * v + c2 * g * g;
    x.m2[i] = skip ? m : m2;
    x.v2[i] = skip ? v : v2;
    x.p2[i] = skip ? p : p - step * m2 / (::sqrtf(v2) * correction + eps);
  }
}

}  // namespace

void adam_update(const Call& call) {
  const int64_t n = call.out[0].shape.size();
  if (n == 0) return;
  const auto in = [&](size_t i) { return static_cast<const float*>(call.in[i].as<float>()); };
  const Tensors7 x{in(0),
                   in(1),
                   in(2),
                   in(3),
                   in(4),
                   in(5),
                   in(6),
                   call.out[0].as<float>(),
                   call.out[1].as<float>(),
                   call.out[2].as<float>()};
  launch(call, "adam_update", over(n, 256, 4096), adam_kernel, x, n, call.as<AdamAttrs>());
}

}  // namespace satin::cuda
