#include "nn/optimizer.h"

#include "autograd/grad.h"
#include "tensor/all_reduce.h"
#include "tensor/binary.h"
#include "tensor/concat.h"
#include "tensor/reduce.h"
#include "tensor/reshape.h"
#include "tensor/unary.h"

namespace satin {

TrainingStep adam_step(
    const Tensor& loss, const Parameters& parameters, double clip, AdamAttrs adam, int ranks) {
  TrainingStep step;
  const DType t = loss.dtype();
  step.loss = reshape(loss, Shape{});
  step.lr = input({}, t, "lr");
  step.steps = parameter({}, t, "steps");
  step.m = parameter(parameters.flat().shape(), t, "adam.m");
  step.v = parameter(parameters.flat().shape(), t, "adam.v");

  // Gradients of the views, joined in the order of the views: the planner lets each backward rule
  // write right into its place.
  Tensors pieces;
  for (const Tensor& d : grad(loss, parameters.views())) pieces.push_back(reshape(d, {d.size()}));
  const ModuleScope scope("adam");
  step.gradient = concat(pieces, 0);
  if (ranks > 1) {
    step.loss = all_reduce(step.loss) * (1.0 / ranks);
    step.gradient = all_reduce(step.gradient) * (1.0 / ranks);
  }
  step.grad_norm = l2_norm(step.gradient);

  // 0 while everything is finite, NaN otherwise: x - x is NaN for an infinite x too.
  const Tensor poison = (step.grad_norm - step.grad_norm) + (step.loss - step.loss);
  const Tensor one = scalar_like(loss, 1.0);
  const Tensor scale = minimum(one, scalar_like(loss, clip) / (step.grad_norm + 1e-6)) + poison;
  const Tensor steps = step.steps + equal(poison, scalar_like(loss, 0.0));
  const Tensors updated =
      adam_update(parameters.flat(), step.gradient, step.m, step.v, step.lr, steps, scale, adam);
  step.alias = {{updated[0], parameters.flat()},
                {updated[1], step.m},
                {updated[2], step.v},
                {steps, step.steps}};
  return step;
}

double step_schedule(double lr,
                     const std::vector<int64_t>& steps,
                     double gamma,
                     int64_t iteration) {
  for (const int64_t step : steps)
    if (iteration >= step) lr *= gamma;
  return lr;
}

}  // namespace satin
