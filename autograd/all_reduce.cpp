#include "tensor/all_reduce.h"

#include "autograd/grad.h"

namespace satin {

// y_r = sum over s of x_s in every process r;  dx_s = sum over r of dy_r
Tensors vjp::all_reduce(const NodePtr&, const Tensors& dy) { return {satin::all_reduce(dy[0])}; }

}  // namespace satin
