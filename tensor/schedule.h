// Schedule: a graph made linear.  Values are numbered, steps run one after the other, and nothing
// has an address yet.  The passes of a Program (lower, pieces, linearize, delay, recompute) end
// here; plan.h gives every value its place.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "tensor/backend.h"

namespace satin {

/// `updated` is written back into `parameter` by every run.
struct Alias {
  Tensor updated;
  Tensor parameter;
};

struct Schedule {
  struct Value {
    Shape shape;
    DType dtype = DType::f32;
    int64_t bytes = 0;
    NodePtr leaf;  ///< null for what a step computes
  };
  struct Step {
    NodePtr node;
    std::vector<int> in;
    std::vector<int> out;
  };

  std::vector<Value> values;
  std::vector<Step> steps;
  std::vector<int> outputs;
  std::vector<std::pair<int, int>> alias;  ///< (updated, parameter)
  std::map<const Node*, Tensor>
      hoisted;  ///< leaves that hold what is computed once, and what that is
};

/// Replaces composite nodes by their compositions (all of them, or only those for which the backend
/// has no kernel when `fuse`) and lets element-wise operations read broadcast inputs in place.
/// backend null: whatever the CPU has.
Tensors lower(const Tensors& outputs, bool fuse, const Backend* backend = nullptr);

/// The graph with its products in that precision (in_precision.cpp).
Tensors in_precision(const Tensors& outputs, Precision precision);

/// Computes images that are larger than what reads them, and read by that alone, a band of rows at
/// a time.
Tensors in_pieces(const Tensors& outputs);

/// Orders the nodes that `outputs` and the aliases need, oldest first, and every reader of a
/// parameter before the step that overwrites it.  Throws Error when that is impossible.
Schedule linearize(const Tensors& outputs, const std::vector<Alias>& alias);

/// Moves steps whose results are first read much later to where they are read, wherever that keeps
/// no more bytes alive at any time.
void delay_steps(Schedule& schedule);

/// Lets cheap values (no multiply-adds) that are read again much later be computed again there
/// instead of being kept, wherever that keeps fewer bytes alive.  The arithmetic is the same, so
/// are the bits.
void recompute_cheap_values(Schedule& schedule);

}  // namespace satin
