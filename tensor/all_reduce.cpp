#include "tensor/all_reduce.h"

namespace satin {

Tensor all_reduce(const Tensor& x) {
  if (!x) fail(Op::all_reduce, "x is an empty Tensor");
  return make_tensor(Op::all_reduce, NoAttrs{}, {x}, x.shape());
}

}  // namespace satin
