#include "tensor/multi_axis_gmlp.h"

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/concat.h"
#include "tensor/cost.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"
#include "tensor/unary.h"

namespace satin {
namespace {

void check(Op op, const Tensor& x, const MultiAxisGmlpWeights& w, MultiAxisGmlpAttrs attrs) {
  if (!x || x.rank() != 4 || attrs.size < 1 || x.shape()[1] % attrs.size != 0 ||
      x.shape()[2] % attrs.size != 0)
    fail(op, cat("x is ", x ? x.shape() : Shape{},
                 ": it must be [N,H,W,C], both sides multiples of ", attrs.size));
  const int64_t c = x.shape()[3];
  const Tensor* list[] = {&w.norm_gamma, &w.norm_beta, &w.w1, &w.b1, &w.w2, &w.b2};
  const Shape expected[] = {{c}, {c}, {c, 2 * c}, {2 * c}, {2 * c, c}, {c}};
  const char* names[] = {"norm_gamma", "norm_beta", "w1", "b1", "w2", "b2"};
  for (int i = 0; i < 6; ++i)
    if (!*list[i] || list[i]->shape() != expected[i])
      fail(op, cat("weight ", names[i], " must be ", expected[i], " for ", c, " channels"));
  const bool both = attrs.branches == Branches::grid_and_block;
  if (w.branches.size() != (both ? 2u : 1u))
    fail(op, cat(w.branches.size(), " sets of branch weights for ", both ? 2 : 1, " branches"));
  for (const GmlpWeights& branch : w.branches)
    check_gmlp_weights(op, branch, both ? c : 2 * c, attrs.size);
}

}  // namespace

Tensors list_of(const MultiAxisGmlpWeights& w) {
  Tensors list = {w.norm_gamma, w.norm_beta, w.w1, w.b1, w.w2, w.b2};
  for (const GmlpWeights& branch : w.branches) {
    const Tensors more = list_of(branch);
    list.insert(list.end(), more.begin(), more.end());
  }
  return list;
}

MultiAxisGmlpWeights multi_axis_gmlp_weights(const Tensors& list, size_t first, Branches branches) {
  const Tensor* t = &list.at(first);
  MultiAxisGmlpWeights w{t[0], t[1], t[2], t[3], t[4], t[5], {gmlp_weights(list, first + 6)}};
  if (branches == Branches::grid_and_block) w.branches.push_back(gmlp_weights(list, first + 16));
  return w;
}

Tensor multi_axis_gmlp(const Tensor& x, const MultiAxisGmlpWeights& w, MultiAxisGmlpAttrs attrs) {
  check(Op::multi_axis_gmlp, x, w, attrs);
  Tensors inputs = list_of(w);
  inputs.insert(inputs.begin(), x);
  const Shape& p = w.branches[0].p.shape();
  const int64_t branches = std::ssize(w.branches), b = w.branches[0].wo.shape()[0];
  const Shape mixed = {branches, x.size() / (x.shape()[3] * p[0]), p[0], b};
  return {make_node(Op::multi_axis_gmlp, Attrs(attrs), inputs,
                    {{x.shape(), x.dtype()}, {mixed, x.dtype()}}),
          0};
}

Tensors multi_axis_gmlp_grad(const Tensor& x,
                             const MultiAxisGmlpWeights& w,
                             const Tensor& dy,
                             MultiAxisGmlpAttrs attrs,
                             const Tensor& y) {
  check(Op::multi_axis_gmlp_grad, x, w, attrs);
  return make_flat_grad(Op::multi_axis_gmlp_grad, Attrs(attrs), x, list_of(w), dy,
                        mixed_of(y ? y : multi_axis_gmlp(x, w, attrs)));
}

// P LN(b) comes from the forward pass.
int64_t cost::multi_axis_gmlp_grad(const Node& node) {
  const Tensor& mixed = node.inputs[node.operands() - 2];
  return macs_of_composition(node) - mixed.size() * mixed.shape()[2];
}

Tensors compose::multi_axis_gmlp(const Node& node) {
  const Tensors& in = node.inputs;
  const Tensor &x = in[0], &w1 = in[3], &b1 = in[4], &w2 = in[5], &b2 = in[6];
  const auto [branches, size] = node.as<MultiAxisGmlpAttrs>();
  const int64_t c = x.shape()[3];

  const Tensor h = gelu(matmul(layer_norm(x, in[1], in[2]), w1, {}, b1));
  const Shape& kept = node.outputs[1].shape;
  if (branches != Branches::grid_and_block) {
    const GroupAxis axis = branches == Branches::grid ? GroupAxis::grid : GroupAxis::block;
    const Tensor u = gmlp(h, gmlp_weights(in, 7), {axis, size});
    return {x + matmul(u, w2, {}, b2), reshape(mixed_of(u), kept)};
  }
  const Tensor u = gmlp(slice(h, -1, 0, c), gmlp_weights(in, 7), {GroupAxis::grid, size});
  const Tensor v = gmlp(slice(h, -1, c, 2 * c), gmlp_weights(in, 17), {GroupAxis::block, size});
  // W2 concat(u, v) without the concat: W2 is cut into the rows that meet u and those that meet v.
  return {x + matmul(u, slice(w2, 0, 0, c), {}, b2) + matmul(v, slice(w2, 0, c, 2 * c)),
          reshape(concat({mixed_of(u), mixed_of(v)}, 0), kept)};
}

}  // namespace satin
