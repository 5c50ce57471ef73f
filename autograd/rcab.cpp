#include "tensor/rcab.h"

#include <algorithm>

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/concat.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {

// All cotangents come from one operation, which computes between x and y again what it needs; those
// of the weights are views of one value.
Tensors vjp::rcab(const NodePtr& node, const Tensors& dy) {
  const Tensors d = satin::rcab_grad(node->inputs[0], rcab_weights(node->inputs, 1), dy[0],
                                     node->as<RcabAttrs>());
  Tensors result = {d[0]};
  int64_t at = 0;
  for (size_t i = 1; i < node->inputs.size(); ++i) {
    const Tensor& w = node->inputs[i];
    result.push_back(reshape(slice(d[1], 0, at, at + w.size()), w.shape()));
    at += w.size();
  }
  return result;
}

// What rcab_grad means: the derivative of what rcab means.
Tensors compose::rcab_grad(const Node& node) {
  Tensors inputs(node.inputs.begin(), node.inputs.end() - 1);
  // A tensor that serves twice has two cotangents all the same.
  for (auto x = inputs.begin(); x != inputs.end(); ++x)
    if (std::find(inputs.begin(), x, *x) != x) *x = *x * 1.0;
  const Tensor y = satin::rcab(inputs[0], rcab_weights(inputs, 1), node.as<RcabAttrs>());
  const Tensors d = vjp_of(composition_of(y.node()), {node.inputs.back()}, inputs);
  Tensors flat;
  for (size_t i = 1; i < d.size(); ++i) flat.push_back(reshape(d[i], {d[i].size()}));
  return {d[0], concat(flat, 0)};
}

}  // namespace satin
