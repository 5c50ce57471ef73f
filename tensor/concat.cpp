#include "tensor/concat.h"

namespace satin {

Tensor concat(const Tensors& x, int axis) {
  if (x.empty()) fail(Op::concat, "no pieces to join");
  for (const Tensor& piece : x)
    if (!piece) fail(Op::concat, "a piece is an empty Tensor");
  const Shape& first = x[0].shape();
  axis = normalize_axis(axis, first.rank(), "concat");
  int64_t extent = 0;
  for (const Tensor& piece : x) {
    if (piece.rank() != first.rank() || piece.shape().with(axis, first[axis]) != first)
      fail(Op::concat, cat("pieces ", first, " and ", piece.shape(),
                           " differ elsewhere than along axis ", axis));
    extent += piece.shape()[axis];
  }
  if (x.size() == 1) return x[0];
  return make_tensor(Op::concat, ConcatAttrs{axis}, x, first.with(axis, extent));
}

}  // namespace satin
