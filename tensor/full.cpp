#include "tensor/full.h"

namespace satin {

Tensor full(const Shape& shape, double value, DType dtype) {
  return {make_node(Op::full, Attrs(FullAttrs{value}), {}, {{shape, dtype}}), 0};
}

}  // namespace satin
