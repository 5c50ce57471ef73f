#include "autograd/flat_grad.h"

#include <algorithm>

#include "autograd/grad.h"
#include "tensor/binary.h"
#include "tensor/compose.h"
#include "tensor/concat.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {

Tensors split_flat_grad(const NodePtr& node, const Tensors& d) {
  Tensors result = {d[0]};
  int64_t at = 0;
  for (size_t i = 1; i < node->inputs.size(); ++i) {
    const Tensor& w = node->inputs[i];
    result.push_back(reshape(slice(d[1], 0, at, at + w.size()), w.shape()));
    at += w.size();
  }
  return result;
}

Tensors compose_flat_grad(const Node& node,
                          const std::function<Tensor(const Tensors&)>& composite,
                          int kept) {
  Tensors inputs(node.inputs.begin(), node.inputs.end() - 1 - kept);
  // A tensor that serves twice has two cotangents all the same.
  for (auto x = inputs.begin(); x != inputs.end(); ++x)
    if (std::find(inputs.begin(), x, *x) != x) *x = *x * 1.0;
  const Tensor y = composition_of(composite(inputs).node())[0];
  const Tensors d = vjp_of({y}, {node.inputs.back()}, inputs);
  Tensors flat;
  for (size_t i = 1; i < d.size(); ++i) flat.push_back(reshape(d[i], {d[i].size()}));
  return {d[0], concat(flat, 0)};
}

}  // namespace satin
