// The multi-axis gMLP of MGPNet: a global and a local gMLP side by side.
#pragma once

#include "tensor/gmlp.h"

namespace satin {

/// Which branches a multi-axis gMLP has.
enum class Branches : int {
  grid_and_block,  ///< each takes half of the 2C channels, grid the first half
  grid,            ///< one global branch of width 2C (ablation "global-only")
  block,           ///< one local branch of width 2C (ablation "local-only")
};

struct MultiAxisGmlpAttrs {
  Branches branches = Branches::grid_and_block;
  int size = 16;
};

struct MultiAxisGmlpWeights {
  Tensor norm_gamma, norm_beta;  ///< [C]
  Tensor w1, b1;                 ///< [C, 2C], [2C]
  Tensor w2, b2;                 ///< [2C, C], [C]
  std::vector<GmlpWeights> branches;
};

/// y = x + W2 concat(gmlp_grid(u), gmlp_block(v)),  u, v = the halves of GELU(W1 LN(x))
/// x, y: [N, H, W, C], H and W multiples of size; f32, f64
/// gradient: multi_axis_gmlp_grad, which takes P LN(b) of all branches, [branches, groups, S, B],
/// from the forward pass: a second output of the node, computed only where something reads it
/// errors: extents that are no multiples of size; weights whose shapes do not fit
Tensor multi_axis_gmlp(const Tensor& x, const MultiAxisGmlpWeights& w, MultiAxisGmlpAttrs attrs);

/// {dx, dw} of multi_axis_gmlp: dw holds the cotangents of all weights, flat, one behind the other
/// in the order of the structs (a branch's behind b2), so that there are two outputs for any number
/// of branches
/// x, dy: [N, H, W, C]; f32, f64
/// y: multi_axis_gmlp(x, w, attrs) if it is at hand, so that what that keeps need not be computed
/// again
/// gradient: by its composition, the derivative of multi_axis_gmlp's (so second order works)
/// errors: those of multi_axis_gmlp; dy not of the shape of x
Tensors multi_axis_gmlp_grad(const Tensor& x,
                             const MultiAxisGmlpWeights& w,
                             const Tensor& dy,
                             MultiAxisGmlpAttrs attrs,
                             const Tensor& y = {});

/// The weights as a list in the operations' order, and back from position `first` of a list.
Tensors list_of(const MultiAxisGmlpWeights& w);
MultiAxisGmlpWeights multi_axis_gmlp_weights(const Tensors& list, size_t first, Branches branches);

}  // namespace satin
