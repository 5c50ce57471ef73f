#include "tensor/matmul.h"

#include "tensor/cost.h"

namespace satin {
namespace {

/// The extents of one product, and of the batch.
struct Extents {
  int64_t m, k, n;
  Shape batch;
};

Shape batch_of(const Shape& s) {
  return Shape(s.extents().first(static_cast<size_t>(s.rank() - 2)));
}

Extents extents_of(const Shape& a, const Shape& b, const MatmulAttrs& attrs) {
  const int64_t m = a.at(attrs.transpose_a ? -1 : -2), ka = a.at(attrs.transpose_a ? -2 : -1);
  const int64_t n = b.at(attrs.transpose_b ? -2 : -1), kb = b.at(attrs.transpose_b ? -1 : -2);
  if (ka != kb)
    fail(Op::matmul, cat("the inner extents are ", ka, " and ", kb, "; a is ", a,
                         attrs.transpose_a ? " transposed" : "", ", b is ", b,
                         attrs.transpose_b ? " transposed" : ""));
  if (a.rank() > 2 && b.rank() > 2 && batch_of(a) != batch_of(b))
    fail(Op::matmul, cat("the batches differ: a is ", a, ", b is ", b));
  return {m, ka, n, batch_of(a.rank() > 2 ? a : b)};
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, MatmulAttrs attrs, const Tensor& bias) {
  if (!a || !b) fail(Op::matmul, "an operand is an empty Tensor");
  if (a.rank() < 2 || b.rank() < 2)
    fail(Op::matmul, cat("operands need two axes or more; a is ", a.shape(), ", b is ", b.shape()));
  const Extents e = extents_of(a.shape(), b.shape(), attrs);
  Tensors inputs = {a, b};
  if (bias) {
    if (bias.shape() != Shape{e.n})
      fail(Op::matmul, cat("the bias is ", bias.shape(), ", y has ", e.n, " columns"));
    if (attrs.sum_batch) fail(Op::matmul, "a bias and sum_batch together: add the bias afterwards");
    inputs.push_back(bias);
  }
  std::vector<int64_t> extents;
  if (!attrs.sum_batch) extents.assign(e.batch.begin(), e.batch.end());
  extents.insert(extents.end(), {e.m, e.n});
  return make_tensor(Op::matmul, attrs, inputs, Shape(extents));
}

int64_t cost::matmul(const Node& node) {
  const Shape& a = node.inputs[0].shape();
  const Extents e = extents_of(a, node.inputs[1].shape(), node.as<MatmulAttrs>());
  return e.m * e.k * e.n * e.batch.size();
}

}  // namespace satin
