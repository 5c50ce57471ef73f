#include "tensor/multi_axis_gmlp.h"

#include <algorithm>

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/concat.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {

// All cotangents come from one pass over x and dy; those of the weights are views of one value
// (docs/derivations/gmlp_gate.md has the gate's, worked out by hand).
Tensors vjp::multi_axis_gmlp(const NodePtr& node, const Tensors& dy) {
  const auto attrs = node->as<MultiAxisGmlpAttrs>();
  const Tensors d = satin::multi_axis_gmlp_grad(
      node->inputs[0], multi_axis_gmlp_weights(node->inputs, 1, attrs.branches), dy[0], attrs);
  Tensors result = {d[0]};
  int64_t at = 0;
  for (size_t i = 1; i < node->inputs.size(); ++i) {
    const Tensor& w = node->inputs[i];
    result.push_back(reshape(slice(d[1], 0, at, at + w.size()), w.shape()));
    at += w.size();
  }
  return result;
}

// What multi_axis_gmlp_grad means: the derivative of what multi_axis_gmlp means.
Tensors compose::multi_axis_gmlp_grad(const Node& node) {
  const auto attrs = node.as<MultiAxisGmlpAttrs>();
  Tensors inputs(node.inputs.begin(), node.inputs.end() - 1);
  // A tensor that serves twice has two cotangents all the same.
  for (auto x = inputs.begin(); x != inputs.end(); ++x)
    if (std::find(inputs.begin(), x, *x) != x) *x = *x * 1.0;
  const Tensor y =
      satin::multi_axis_gmlp(inputs[0], multi_axis_gmlp_weights(inputs, 1, attrs.branches), attrs);
  const Tensors d = vjp_of(composition_of(y.node()), {node.inputs.back()}, inputs);
  Tensors flat;
  for (size_t i = 1; i < d.size(); ++i) flat.push_back(reshape(d[i], {d[i].size()}));
  return {d[0], concat(flat, 0)};
}

}  // namespace satin
