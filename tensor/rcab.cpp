#include "tensor/rcab.h"

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/conv2d.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/reduce.h"
#include "tensor/reshape.h"
#include "tensor/unary.h"

namespace satin {

Tensor rcab(const Tensor& x, const RcabWeights& w, RcabAttrs attrs) {
  if (!x || x.rank() != 4) fail(Op::rcab, "x must be an image [N,H,W,C]");
  const int64_t c = x.shape()[3];
  const int64_t r = w.k1 && w.k1.rank() == 2 ? w.k1.shape()[1] : 1;
  const Tensors list = {w.norm_gamma, w.norm_beta, w.w1,  w.b1, w.w2,
                        w.b2,         w.k1,        w.kb1, w.k2, w.kb2};
  const Shape expected[] = {{c}, {c},    {3, 3, c, c}, {c},    {3, 3, c, c},
                            {c}, {c, r}, {r},          {r, c}, {c}};
  const char* names[] = {"norm_gamma", "norm_beta", "w1",  "b1", "w2",
                         "b2",         "k1",        "kb1", "k2", "kb2"};
  for (size_t i = 0; i < list.size(); ++i)
    if (!list[i] || list[i].shape() != expected[i])
      fail(Op::rcab, cat("weight ", names[i], " must be ", expected[i], " for ", c, " channels"));
  Tensors inputs = list;
  inputs.insert(inputs.begin(), x);
  return make_tensor(Op::rcab, attrs, inputs, x.shape());
}

Tensors compose::rcab(const Node& node) {
  const Tensors& in = node.inputs;
  const Tensor& x = in[0];
  const int64_t n = x.shape()[0], c = x.shape()[3];
  const Conv2dAttrs same{.pad = 1};
  const Tensor h = leaky_relu(conv2d(layer_norm(x, in[1], in[2]), in[3], same, in[4]),
                              node.as<RcabAttrs>().slope);
  const Tensor z = conv2d(h, in[5], same, in[6]);
  const Tensor pooled = mean(z, {1, 2});  // [N, C]
  const Tensor attention =
      sigmoid(matmul(relu(matmul(pooled, in[7], {}, in[8])), in[9], {}, in[10]));
  return {x + z * reshape(attention, {n, 1, 1, c})};
}

}  // namespace satin
