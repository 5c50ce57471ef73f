// Reverse-mode differentiation, from graph to graph.
#pragma once

#include "tensor/node.h"

namespace satin {

/// The cotangents of `wrt`: for each x of wrt the graph of (dy/dx)^T dy, of x's shape and dtype.
/// y: any shape; dy: the shape of y, or empty (ones, for a y of one element).
/// A value of wrt that y does not depend on gets zeros.  The result is graph again and can be
/// differentiated again.
/// errors: dy does not have the shape and dtype of y.
/// example: grad(square(x), {x}) -> 2x for a one-element x
Tensors grad(const Tensor& y, const Tensors& wrt, const Tensor& dy = {});

/// The cotangents of x from those of y, the values of x taken as independent even where one was
/// computed from another: the derivative of a piece of graph that starts at x.  y, dy: equally
/// many.
Tensors vjp_of(const Tensors& y, const Tensors& dy, const Tensors& x);

/// Whether a cotangent is the zeros that stand where no path leads.
bool is_zero(const Tensor& dy);

namespace vjp {
/// One rule per operation, in autograd/<stem>.cpp: the cotangents of node's inputs, in their order,
/// from the cotangents dy of its outputs (all present).  An empty Tensor stands for "no gradient".
/// Rules call public operations only and never ask which cotangents are needed.
using Rule = Tensors (*)(const NodePtr& node, const Tensors& dy);
#define SATIN_RULE_own(name) Tensors name(const NodePtr& node, const Tensors& dy);
#define SATIN_RULE_composed(name)
#define SATIN_RULE_none(name)
#define SATIN_OP(name, stem, in, out, attrs, dtypes, kind, rule, cost, kernel, cuda) \
  SATIN_RULE_##rule(name)
#include "tensor/ops.def"
#undef SATIN_OP
#undef SATIN_RULE_own
#undef SATIN_RULE_composed
#undef SATIN_RULE_none
}  // namespace vjp

}  // namespace satin
