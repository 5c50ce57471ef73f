#include "tensor/cast.h"

namespace satin {

Tensor cast(const Tensor& x, DType to) {
  if (x && x.dtype() == to) return x;
  const NodePtr node =
      make_node(Op::cast, Attrs(CastAttrs{to}), {x}, {{x ? x.shape() : Shape{}, to}});
  return {node, 0};
}

}  // namespace satin
