#include "tensor/concat.h"

#include "autograd/grad.h"
#include "tensor/slice.h"

namespace satin {

// y = x0, x1, ... joined;  dx_i = the part of dy where x_i went
Tensors vjp::concat(const NodePtr& node, const Tensors& dy) {
  const int axis = node->as<ConcatAttrs>().axis;
  Tensors dx;
  int64_t begin = 0;
  for (const Tensor& x : node->inputs) {
    const int64_t end = begin + x.shape()[axis];
    dx.push_back(satin::slice(dy[0], axis, begin, end));
    begin = end;
  }
  return dx;
}

}  // namespace satin
