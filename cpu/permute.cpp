#include "tensor/permute.h"

#include "cpu/copy.h"

namespace satin::cpu::SATIN_ISA {

void permute(const Call& call) {
  const auto attrs = call.as<PermuteAttrs>();
  const View &x = call.in[0], &y = call.out[0];
  const auto xs = x.shape.strides(), ys = y.shape.strides();
  Loop<2> loop;
  for (int i = 0; i < y.shape.rank(); ++i) loop.axis(y.shape[i], {ys[i], xs[attrs.order[i]]});
  if (y.shape.size() == 0) return;
  with_bits(y.dtype, [&](auto bits) {
    copy_loop(call, loop, y.as<decltype(bits)>(), x.as<decltype(bits)>());
  });
}

}  // namespace satin::cpu::SATIN_ISA
