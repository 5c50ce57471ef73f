// The training step as a graph: gradients of all parameters, their global norm, clipping, Adam.
#pragma once

#include "nn/parameters.h"
#include "tensor/adam.h"

namespace satin {

/// What a training step computes and updates.  Learning rate and step count are device scalars, so
/// one compiled step serves a whole training.
struct TrainingStep {
  Tensor loss;       ///< [] before the update
  Tensor grad_norm;  ///< [] before clipping
  Tensor lr;         ///< input, []
  Tensor steps;      ///< parameter, []: updates made so far
  Tensor m, v;       ///< parameters: Adam's moments, laid out as Parameters::flat()
  Tensor gradient;   ///< laid out as Parameters::flat()
  std::vector<Alias> alias;

  /// Outputs and aliases for a Program.
  Tensors outputs() const { return {loss, grad_norm}; }
};

/// The step that minimizes `loss` (one element): the gradient is scaled by min(1, clip / (norm +
/// 1e-6)), then Adam.  A loss or norm that is not finite leaves weights, moments and step count as
/// they were.  With several ranks (processes of Exec::communicator) loss and gradient are the means
/// over all of them, so that all make the same update.
TrainingStep adam_step(const Tensor& loss,
                       const Parameters& parameters,
                       double clip,
                       AdamAttrs adam = {},
                       int ranks = 1);

/// lr * gamma^(number of `steps` that are <= iteration): iteration counts updates from 0.
double step_schedule(double lr, const std::vector<int64_t>& steps, double gamma, int64_t iteration);

}  // namespace satin
