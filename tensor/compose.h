// Compositions: what a composite operation means, in public operations.
#pragma once

#include "tensor/node.h"

namespace satin {

namespace compose {
// One function per composite row, in tensor/<stem>.cpp (autograd/<stem>.cpp where the composition
// is itself a derivative): the outputs of `node`, built from node.inputs.
#define SATIN_COMPOSE_primitive(name)
#define SATIN_COMPOSE_pointwise(name)
#define SATIN_COMPOSE_view(name)
#define SATIN_COMPOSE_composite(name) Tensors name(const Node& node);
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_COMPOSE_##kind(name)
#include "tensor/ops.def"
#undef SATIN_OP
#undef SATIN_COMPOSE_composite
}  // namespace compose

/// The outputs of a composite node computed by its composition.  node.op must be composite.
Tensors composition_of(const Node& node);

/// The node of the gradient of a composite that reads x and weights: {dx, dw}, dw the cotangents of
/// all weights, flat, one behind the other.  Its inputs are x, the weights, what the composite kept
/// for it (or nothing), and dy.
/// errors: dy not of the shape of x
Tensors make_flat_grad(Op op,
                       Attrs attrs,
                       const Tensor& x,
                       Tensors weights,
                       const Tensor& dy,
                       const Tensor& kept = {});

}  // namespace satin
