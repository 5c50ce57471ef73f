// A thread takes every n-th element.  Bytes: 4 an f32 written: bound by memory.  Not yet measured
// on a device.
#include "cuda/loop.h"
#include "tensor/full.h"

namespace satin::cuda {

void full(const Call& call) {
  const View& y = call.out[0];
  const double value = call.as<FullAttrs>().value;
  const int64_t n = y.shape.size();
  if (n == 0) return;
  const auto fill = [&](auto bits) {
    using U = decltype(bits);
    launch(call, "full", over(n), fill_kernel<U>, y.as<U>(), n, bits);
  };
  switch (y.dtype) {
    case DType::f64:
      return fill(std::bit_cast<uint64_t>(value));
    case DType::f32:
      return fill(std::bit_cast<uint32_t>(static_cast<float>(value)));
    case DType::bf16:
      return fill(to_bf16(to_odd(value)).bits);
    case DType::f16:
      return fill(to_f16(to_odd(value)).bits);
  }
}

}  // namespace satin::cuda
