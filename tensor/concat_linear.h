// A linear map of images of several resolutions laid side by side, without laying them there.
#pragma once

#include "tensor/node.h"

namespace satin {

struct ConcatLinearAttrs {
  int64_t h = 0, w = 0;  ///< of the result
};

/// y = concat(x0', x1', ... along channels) W + b,  xi' = xi at the size of y: pixels repeated if
/// xi is smaller (nearest), every f-th one taken if it is larger; both by whole factors, one an
/// image x: [N, Hi, Wi, Ci];  w: [sum of Ci, COUT];  b: [COUT];  y: [N, H, W, COUT];  f32, f64 A
/// repeated image meets its rows of W before it is repeated. gradient: of the composition errors:
/// no image; sizes that are not in a whole ratio; weights that do not fit
Tensor concat_linear(const Tensors& x, const Tensor& w, const Tensor& b, ConcatLinearAttrs size);

}  // namespace satin
