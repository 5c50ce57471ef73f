// reshape: the same elements in the same order under another shape.
#pragma once

#include "tensor/node.h"

namespace satin {

/// y has the elements of x in row-major order
/// x: any shape, any dtype.  y: shape, with as many elements; one extent may be -1 (worked out)
/// gradient: dx = reshape(dy, shape of x)
/// errors: element counts that differ; more than one -1
/// example: reshape({{1, 2}, {3, 4}}, {4}) -> {1, 2, 3, 4}
Tensor reshape(const Tensor& x, std::initializer_list<int64_t> extents);
Tensor reshape(const Tensor& x, const Shape& shape);

}  // namespace satin
