#include "tensor/multi_axis_gmlp.h"

#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
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
  return make_tensor(Op::multi_axis_gmlp, attrs, inputs, x.shape());
}

Tensors multi_axis_gmlp_grad(const Tensor& x,
                             const MultiAxisGmlpWeights& w,
                             const Tensor& dy,
                             MultiAxisGmlpAttrs attrs) {
  check(Op::multi_axis_gmlp_grad, x, w, attrs);
  return make_flat_grad(Op::multi_axis_gmlp_grad, Attrs(attrs), x, list_of(w), dy);
}

Tensors compose::multi_axis_gmlp(const Node& node) {
  const Tensors& in = node.inputs;
  const Tensor &x = in[0], &w1 = in[3], &b1 = in[4], &w2 = in[5], &b2 = in[6];
  const auto [branches, size] = node.as<MultiAxisGmlpAttrs>();
  const int64_t c = x.shape()[3];

  const Tensor h = gelu(matmul(layer_norm(x, in[1], in[2]), w1, {}, b1));
  if (branches != Branches::grid_and_block) {
    const GroupAxis axis = branches == Branches::grid ? GroupAxis::grid : GroupAxis::block;
    return {x + matmul(gmlp(h, gmlp_weights(in, 7), {axis, size}), w2, {}, b2)};
  }
  const Tensor u = gmlp(slice(h, -1, 0, c), gmlp_weights(in, 7), {GroupAxis::grid, size});
  const Tensor v = gmlp(slice(h, -1, c, 2 * c), gmlp_weights(in, 17), {GroupAxis::block, size});
  // W2 concat(u, v) without the concat: W2 is cut into the rows that meet u and those that meet v.
  return {x + matmul(u, slice(w2, 0, 0, c), {}, b2) + matmul(v, slice(w2, 0, c, 2 * c))};
}

}  // namespace satin
