#include "tensor/softmax.h"

namespace satin {

Tensor softmax(const Tensor& x) {
  if (!x || x.rank() < 1) fail(Op::softmax, "x needs an axis to sum over");
  return make_tensor(Op::softmax, NoAttrs{}, {x}, x.shape());
}

}  // namespace satin
