// Matrix products.
#pragma once

#include "tensor/node.h"

namespace satin {

struct MatmulAttrs {
  bool transpose_a = false;
  bool transpose_b = false;
  bool sum_batch = false;
};

/// y = a b [+ bias]; with sum_batch, y = sum over the batch of a b.
/// a: [..., M, K] ([..., K, M] if transpose_a), b: [..., K, N] ([..., N, K] if transpose_b).  The
/// leading
///   axes are the batch: equal on both sides, or absent (rank 2) on one side, whose matrix then
///   serves every element of the batch.  bias: [N], or empty.  f32, f64.
/// y: [..., M, N]; with sum_batch [M, N].
/// gradient: da = dy b^T, db = a^T dy, summed over the batch where an operand has none; closed
/// under
///   differentiation (sum_batch and a missing batch are each other's adjoints).
/// numerics: products are summed in an order fixed by the shapes; f32 NMSE below 1e-11 against f64.
/// errors: inner extents or batches that differ; a rank below 2; a bias that is not [N]; bias with
/// sum_batch. example: matmul({{1, 2}, {3, 4}}, {{1, 0}, {0, 1}}) -> {{1, 2}, {3, 4}}
Tensor matmul(const Tensor& a, const Tensor& b, MatmulAttrs attrs = {}, const Tensor& bias = {});

}  // namespace satin
