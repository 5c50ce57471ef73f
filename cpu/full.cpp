#include "tensor/full.h"

#include "cpu/kernel.h"

namespace satin::cpu::SATIN_ISA {
namespace {

template <class T>
void fill(const Call& call, T value) {
  T* y = call.out[0].as<T>();
  parallel_chunks(call, call.out[0].shape.size(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = value;
  });
}

}  // namespace

void full(const Call& call) {
  const double value = call.as<FullAttrs>().value;
  switch (call.out[0].dtype) {
    case DType::f32:
      return fill(call, static_cast<float>(value));
    case DType::f64:
      return fill(call, value);
    case DType::bf16:
      return fill(call, to_bf16(to_odd(value)));
    case DType::f16:
      return fill(call, to_f16(to_odd(value)));
  }
}

}  // namespace satin::cpu::SATIN_ISA
