// From a graph to a changed copy of it.
#pragma once

#include <functional>

#include "tensor/node.h"

namespace satin {

/// What a node becomes, given its inputs in the new graph; empty: itself, reading those.
using Rewrite = std::function<Tensors(const NodePtr& node, const Tensors& inputs)>;

/// The graph with `rewrite` applied to every node, oldest first.  The order of building is also the
/// order of running (Node::id), so from the first change on every node is built anew.
Tensors rewritten(const Tensors& outputs, const Rewrite& rewrite);

}  // namespace satin
