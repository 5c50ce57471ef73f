#include "tensor/where.h"

#include "cpu/strided.h"

namespace satin::cpu::SATIN_ISA {

void where(const Call& call) {
  const View &z = call.out[0], &c = call.in[0], &x = call.in[1], &y = call.in[2];
  if (z.shape.size() == 0) return;
  int64_t cs[kMaxRank], xs[kMaxRank], ys[kMaxRank];
  broadcast_strides(c.shape, z.shape, cs);
  broadcast_strides(x.shape, z.shape, xs);
  broadcast_strides(y.shape, z.shape, ys);
  const auto zs = z.shape.strides();
  Loop<4> loop;
  for (int i = 0; i < z.shape.rank(); ++i) loop.axis(z.shape[i], {zs[i], cs[i], xs[i], ys[i]});
  with_type(z.dtype, [&](auto t) {
    using T = decltype(t);
    for_each_run(call, loop, [&](const int64_t(&o)[4], int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        z.as<T>()[o[0] + i * loop.inner_stride(0)] =
            c.as<T>()[o[1] + i * loop.inner_stride(1)] != 0
                ? x.as<T>()[o[2] + i * loop.inner_stride(2)]
                : y.as<T>()[o[3] + i * loop.inner_stride(3)];
    });
  });
}

}  // namespace satin::cpu::SATIN_ISA
