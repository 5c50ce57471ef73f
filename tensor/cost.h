// What a node costs: multiply-adds and bytes, known from shapes alone.
#pragma once

#include <functional>

#include "tensor/node.h"

namespace satin {

struct Cost {
  int64_t macs = 0;   ///< multiply-adds of matrix products and convolutions
  int64_t bytes = 0;  ///< every input read once, every output written once, spare ones left out
};

Cost cost_of(const Node& node);

/// The multiply-adds of what a composite node means.
int64_t macs_of_composition(const Node& node);

/// The sum over everything that `outputs` need.
Cost cost_of(const Tensors& outputs);

/// Everything that `outputs` need, leaves included, oldest first; not what is behind nodes at which
/// `stop` holds.
std::vector<NodePtr> nodes_of(const Tensors& outputs,
                              const std::function<bool(const NodePtr&)>& stop = {});

namespace cost {
#define SATIN_COST_own(name) int64_t name(const Node& node);
#define SATIN_COST_moved(name)
#define SATIN_COST_composed(name)
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_COST_##cost(name)
#include "tensor/ops.def"
#undef SATIN_OP
#undef SATIN_COST_own
}  // namespace cost

}  // namespace satin
