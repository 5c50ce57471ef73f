#include "tensor/matmul.h"

#include "autograd/grad.h"
#include "tensor/broadcast.h"

namespace satin {
namespace {

/// x y with the given transposes, shaped like `target`: summed over the batch where the target has
/// none.
Tensor product_for(const Tensor& target, const Tensor& x, bool tx, const Tensor& y, bool ty) {
  const bool sum = target.rank() == 2 && (x.rank() > 2 || y.rank() > 2);
  const Tensor z = matmul(x, y, {.transpose_a = tx, .transpose_b = ty, .sum_batch = sum});
  return z.shape() == target.shape() ? z : broadcast_to(z, target.shape());
}

}  // namespace

// y = a b + bias;  da = dy b^T, db = a^T dy, dbias = sum of dy over its rows.
// With transposes: y = a^T b: da = b dy^T;  y = a b^T: db = dy^T a;  both: da = b^T dy^T, db = dy^T
// a^T.
Tensors vjp::matmul(const NodePtr& node, const Tensors& dys) {
  const Tensor &a = node->inputs[0], &b = node->inputs[1], &dy = dys[0];
  const auto [ta, tb, sum_batch] = node->as<MatmulAttrs>();
  Tensors dx = {ta ? product_for(a, b, tb, dy, true) : product_for(a, dy, false, b, !tb),
                tb ? product_for(b, dy, true, a, ta) : product_for(b, a, !ta, dy, false)};
  if (node->inputs.size() == 3) dx.push_back(sum_to(dy, node->inputs[2].shape()));
  return dx;
}

}  // namespace satin
