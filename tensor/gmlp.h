// One gMLP branch of MGPNet (Liu et al. 2021, "Pay attention to MLPs"; grid and block axes after
// MAXIM, Tu et al. 2022).
#pragma once

#include "tensor/node.h"

namespace satin {

/// How an image [N, H, W, C] is cut into independent groups of size * size pixels.
enum class GroupAxis : int {
  block,  ///< a group is a size x size window: local
  grid,   ///< the image is a size x size grid of cells; a group is one place of every cell: global
};

struct GmlpAttrs {
  GroupAxis axis = GroupAxis::block;
  int size = 16;
};

/// The parameters of a branch of C channels, S = size * size.
struct GmlpWeights {
  Tensor norm_gamma, norm_beta;  ///< [C]
  Tensor wi, bi;                 ///< [C, 2C], [2C]
  Tensor gate_gamma, gate_beta;  ///< [C]
  Tensor p, pb;                  ///< [S, S], [S]
  Tensor wo, bo;                 ///< [C, C], [C]
};

/// y = x + Wo gate(GELU(Wi LN(x))),  gate(h) = a (1 + P LN(b) + p),  a, b the halves of h's
/// channels; P mixes the pixels of every group, p is one bias per position
/// x, y: [N, H, W, C], H and W multiples of size; f32, f64
/// gradient: gmlp_grad, which takes P LN(b), [groups, S, C], from the forward pass: a second output
/// of the node, computed only where something reads it
/// errors: extents that are no multiples of size; weights whose shapes do not fit
Tensor gmlp(const Tensor& x, const GmlpWeights& w, GmlpAttrs attrs);

/// {dx, dw} of gmlp: dw holds the cotangents of all weights, flat, one behind the other in the
/// order of the struct
/// x, dy: [N, H, W, C]; f32, f64
/// y: gmlp(x, w, attrs) if it is at hand, so that what that keeps need not be computed again
/// gradient: by its composition, the derivative of gmlp's (so second order works)
/// errors: those of gmlp; dy not of the shape of x
Tensors gmlp_grad(
    const Tensor& x, const GmlpWeights& w, const Tensor& dy, GmlpAttrs attrs, const Tensor& y = {});

/// What gmlp and multi_axis_gmlp keep for their gradients besides y: P LN(b) of every branch.
/// errors: y is no result of these
Tensor mixed_of(const Tensor& y);

/// [N, H, W, C] -> [groups, size * size, C], and back.  Index arithmetic only.
Tensor to_groups(const Tensor& x, GmlpAttrs attrs);
Tensor from_groups(const Tensor& groups, const Shape& image, GmlpAttrs attrs);

/// The weights as a list in the order of the struct, and back from position `first` of a list.
Tensors list_of(const GmlpWeights& w);
GmlpWeights gmlp_weights(const Tensors& list, size_t first);

/// Throws what gmlp throws for weights that do not fit C channels.
void check_gmlp_weights(Op op, const GmlpWeights& w, int64_t channels, int size);

}  // namespace satin
