#include "tensor/gmlp.h"

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/cost.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/permute.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"
#include "tensor/unary.h"

namespace satin {
namespace {

void check(Op op, const Tensor& x, const GmlpWeights& w, int size) {
  if (!x || x.rank() != 4) fail(op, "x must be an image [N,H,W,C]");
  if (size < 1 || x.shape()[1] % size != 0 || x.shape()[2] % size != 0)
    fail(op, cat("x is ", x.shape(), ": both sides must be multiples of ", size));
  check_gmlp_weights(op, w, x.shape()[3], size);
}

}  // namespace

void check_gmlp_weights(Op op, const GmlpWeights& w, int64_t channels, int size) {
  const int64_t c = channels, s = static_cast<int64_t>(size) * size;
  const Shape expected[] = {{c}, {c}, {c, 2 * c}, {2 * c}, {c}, {c}, {s, s}, {s}, {c, c}, {c}};
  const char* names[] = {"norm_gamma", "norm_beta", "wi", "bi", "gate_gamma",
                         "gate_beta",  "p",         "pb", "wo", "bo"};
  const Tensors list = list_of(w);
  for (size_t i = 0; i < list.size(); ++i)
    if (!list[i] || list[i].shape() != expected[i])
      fail(op, cat("weight ", names[i], " is ", list[i] ? list[i].shape() : Shape{}, ", ", c,
                   " channels in groups of ", s, " pixels need ", expected[i]));
}

Tensors list_of(const GmlpWeights& w) {
  return {w.norm_gamma, w.norm_beta, w.wi, w.bi, w.gate_gamma, w.gate_beta, w.p, w.pb, w.wo, w.bo};
}

GmlpWeights gmlp_weights(const Tensors& list, size_t first) {
  const Tensor* t = &list.at(first);
  return {t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]};
}

Tensor mixed_of(const Tensor& y) {
  const Op op = y.node().op;
  if ((op != Op::gmlp && op != Op::multi_axis_gmlp) || y.output() != 0)
    fail(op, "keeps no P LN(b): y must be a result of gmlp or multi_axis_gmlp");
  return {y.node_ptr(), 1};
}

Tensor to_groups(const Tensor& x, GmlpAttrs attrs) {
  const int64_t n = x.shape()[0], h = x.shape()[1], w = x.shape()[2], c = x.shape()[3],
                s = attrs.size;
  const Tensor cells = attrs.axis == GroupAxis::block
                           ? permute(reshape(x, {n, h / s, s, w / s, s, c}), {0, 1, 3, 2, 4, 5})
                           : permute(reshape(x, {n, s, h / s, s, w / s, c}), {0, 2, 4, 1, 3, 5});
  return reshape(cells, {n * (h / s) * (w / s), s * s, c});
}

Tensor from_groups(const Tensor& groups, const Shape& image, GmlpAttrs attrs) {
  const int64_t n = image[0], h = image[1], w = image[2], c = image[3], s = attrs.size;
  const Tensor cells = reshape(groups, {n, h / s, w / s, s, s, c});
  return reshape(attrs.axis == GroupAxis::block ? permute(cells, {0, 1, 3, 2, 4, 5})
                                                : permute(cells, {0, 3, 1, 4, 2, 5}),
                 image);
}

Tensor gmlp(const Tensor& x, const GmlpWeights& w, GmlpAttrs attrs) {
  check(Op::gmlp, x, w, attrs.size);
  Tensors inputs = list_of(w);
  inputs.insert(inputs.begin(), x);
  const int64_t c = x.shape()[3], s = static_cast<int64_t>(attrs.size) * attrs.size;
  return {make_node(Op::gmlp, Attrs(attrs), inputs,
                    {{x.shape(), x.dtype()}, {{x.size() / (s * c), s, c}, x.dtype()}}),
          0};
}

Tensors gmlp_grad(
    const Tensor& x, const GmlpWeights& w, const Tensor& dy, GmlpAttrs attrs, const Tensor& y) {
  check(Op::gmlp_grad, x, w, attrs.size);
  return make_flat_grad(Op::gmlp_grad, Attrs(attrs), x, list_of(w), dy,
                        mixed_of(y ? y : gmlp(x, w, attrs)));
}

// P LN(b) comes from the forward pass.
int64_t cost::gmlp_grad(const Node& node) {
  const Tensor& mixed = node.inputs[node.operands() - 2];
  return macs_of_composition(node) - mixed.size() * mixed.shape()[1];
}

Tensors compose::gmlp(const Node& node) {
  const Tensor& image = node.inputs[0];
  const auto attrs = node.as<GmlpAttrs>();
  const GmlpWeights w = gmlp_weights(node.inputs, 1);
  const int64_t c = image.shape()[3], s = static_cast<int64_t>(attrs.size) * attrs.size;

  const Tensor x = to_groups(image, attrs);  // [G, S, C]
  const Tensor h = gelu(matmul(layer_norm(x, w.norm_gamma, w.norm_beta), w.wi, {}, w.bi));
  const Tensor a = slice(h, -1, 0, c), b = slice(h, -1, c, 2 * c);
  const Tensor mixed =
      matmul(w.p, layer_norm(b, w.gate_gamma, w.gate_beta));  // P acts on the pixels
  const Tensor gate = a * (mixed + reshape(w.pb + 1.0, {s, 1}));
  return {from_groups(x + matmul(gate, w.wo, {}, w.bo), image.shape(), attrs), mixed};
}

}  // namespace satin
