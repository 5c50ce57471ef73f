#include "tensor/permute.h"

#include "autograd/grad.h"

namespace satin {

// y = axes of x in an order;  dx = axes of dy in the inverse order
Tensors vjp::permute(const NodePtr& node, const Tensors& dy) {
  const auto attrs = node->as<PermuteAttrs>();
  std::vector<int> inverse(static_cast<size_t>(dy[0].rank()));
  for (int i = 0; i < dy[0].rank(); ++i) inverse[attrs.order[i]] = i;
  return {satin::permute(dy[0], inverse)};
}

}  // namespace satin
