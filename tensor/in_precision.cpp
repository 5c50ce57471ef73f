#include "tensor/rewrite.h"
#include "tensor/schedule.h"

namespace satin {
namespace {

bool multiplies(Op op) {
  return op == Op::matmul || op == Op::conv2d || op == Op::conv2d_input_grad ||
         op == Op::conv2d_weight_grad || op == Op::concat_linear || op == Op::multi_axis_gmlp ||
         op == Op::multi_axis_gmlp_grad || op == Op::rcab || op == Op::rcab_grad;
}

}  // namespace

Tensors in_precision(const Tensors& outputs, Precision precision) {
  if (precision == Precision::f32) return outputs;
  return rewritten(outputs, [precision](const NodePtr& node, const Tensors& inputs) -> Tensors {
    if (!multiplies(node->op) || node->outputs[0].dtype != DType::f32) return {};
    const ModuleScope scope(*node);
    return outputs_of(with_precision(*node, inputs, precision));
  });
}

}  // namespace satin
