// concat: tensors one after the other along an axis.
#pragma once

#include "tensor/node.h"

namespace satin {

struct ConcatAttrs {
  int axis = 0;
};

/// y = the pieces x0, x1, ... joined along `axis`
/// x: at least one tensor, equal extents but along `axis`; any dtype
/// gradient: dx_i = the slice of dy where x_i went
/// errors: no pieces, ranks or other extents that differ
/// example: concat({{1, 2}, {3}}, 0) -> {1, 2, 3}
Tensor concat(const Tensors& x, int axis);

}  // namespace satin
