#include "tensor/concat_linear.h"

#include "tensor/binary.h"
#include "tensor/broadcast.h"
#include "tensor/compose.h"
#include "tensor/cost.h"
#include "tensor/matmul.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {
namespace {

constexpr Op kOp = Op::concat_linear;

bool whole_ratio(int64_t a, int64_t b) { return a > 0 && b > 0 && (a % b == 0 || b % a == 0); }

Tensor taken(const Tensor& x, int64_t h, int64_t w) {
  Tensor y = x;
  if (y.shape()[1] > h) y = slice(y, 1, 0, y.shape()[1], y.shape()[1] / h);
  if (y.shape()[2] > w) y = slice(y, 2, 0, y.shape()[2], y.shape()[2] / w);
  return y;
}

Tensor repeated(const Tensor& x, int64_t h, int64_t w) {
  const Shape s = x.shape();
  if (s[1] == h && s[2] == w) return x;
  const Tensor cells = broadcast_to(reshape(x, {s[0], s[1], 1, s[2], 1, s[3]}),
                                    {s[0], s[1], h / s[1], s[2], w / s[2], s[3]});
  return reshape(cells, {s[0], h, w, s[3]});
}

}  // namespace

Tensor concat_linear(const Tensors& x, const Tensor& w, const Tensor& b, ConcatLinearAttrs size) {
  if (x.empty()) fail(kOp, "no images");
  int64_t channels = 0;
  for (const Tensor& image : x) {
    if (!image || image.rank() != 4) fail(kOp, "every x must be an image [N,H,W,C]");
    const Shape& s = image.shape();
    if (s[0] != x[0].shape()[0])
      fail(kOp, cat("images ", x[0].shape(), " and ", s, " differ in their first extent"));
    const bool up = s[1] <= size.h && s[2] <= size.w, down = s[1] >= size.h && s[2] >= size.w;
    if (!whole_ratio(s[1], size.h) || !whole_ratio(s[2], size.w) || !(up || down))
      fail(kOp, cat("image ", s, " cannot be brought to ", size.h, " x ", size.w,
                    ": both sides must grow, or both shrink, by whole factors"));
    channels += s[3];
  }
  if (!w || w.rank() != 2 || w.shape()[0] != channels)
    fail(kOp,
         cat("the images have ", channels, " channels in all, w is ", w ? w.shape() : Shape{}));
  if (!b || b.shape() != Shape{w.shape()[1]})
    fail(kOp, cat("w is ", w.shape(), ", b is ", b ? b.shape() : Shape{}));
  Tensors inputs = x;
  inputs.insert(inputs.end(), {w, b});
  return make_tensor(kOp, size, inputs, {x[0].shape()[0], size.h, size.w, w.shape()[1]});
}

Tensors compose::concat_linear(const Node& node) {
  const auto [h, w] = node.as<ConcatLinearAttrs>();
  const size_t images = node.inputs.size() - 2;
  const Tensor &weight = node.inputs[images], &bias = node.inputs[images + 1];
  Tensor sum;
  int64_t row = 0;
  for (size_t i = 0; i < images; ++i) {
    const Tensor x = taken(node.inputs[i], h, w);
    const int64_t next = row + x.shape()[3];
    const Tensor y =
        repeated(matmul(x, slice(weight, 0, row, next), {}, i == 0 ? bias : Tensor()), h, w);
    sum = sum ? sum + y : y;
    row = next;
  }
  return {sum};
}

// As if the images lay side by side.
int64_t cost::concat_linear(const Node& node) {
  return node.outputs[0].shape.size() * node.inputs[node.operands() - 2].shape()[0];
}

}  // namespace satin
