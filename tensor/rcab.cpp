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

namespace {

void check(Op op, const Tensor& x, const RcabWeights& w) {
  if (!x || x.rank() != 4) fail(op, "x must be an image [N,H,W,C]");
  const int64_t c = x.shape()[3];
  const int64_t r = w.k1 && w.k1.rank() == 2 ? w.k1.shape()[1] : 1;
  const Tensors list = list_of(w);
  const Shape expected[] = {{c}, {c},    {3, 3, c, c}, {c},    {3, 3, c, c},
                            {c}, {c, r}, {r},          {r, c}, {c}};
  const char* names[] = {"norm_gamma", "norm_beta", "w1",  "b1", "w2",
                         "b2",         "k1",        "kb1", "k2", "kb2"};
  for (size_t i = 0; i < list.size(); ++i)
    if (!list[i] || list[i].shape() != expected[i])
      fail(op, cat("weight ", names[i], " must be ", expected[i], " for ", c, " channels"));
}

}  // namespace

Tensors list_of(const RcabWeights& w) {
  return {w.norm_gamma, w.norm_beta, w.w1, w.b1, w.w2, w.b2, w.k1, w.kb1, w.k2, w.kb2};
}

RcabWeights rcab_weights(const Tensors& list, size_t first) {
  const Tensor* t = &list.at(first);
  return {t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]};
}

Tensor rcab(const Tensor& x, const RcabWeights& w, RcabAttrs attrs) {
  check(Op::rcab, x, w);
  Tensors inputs = list_of(w);
  inputs.insert(inputs.begin(), x);
  return make_tensor(Op::rcab, attrs, inputs, x.shape());
}

Tensors rcab_grad(const Tensor& x, const RcabWeights& w, const Tensor& dy, RcabAttrs attrs) {
  check(Op::rcab_grad, x, w);
  return make_flat_grad(Op::rcab_grad, Attrs(attrs), x, list_of(w), dy);
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
