// Packed weights: values of the graph like any other.
#pragma once

#include "tensor/backend.h"

namespace satin {

struct PackWeightAttrs {
  int op;            ///< whose kernel reads the result
  int form;          ///< which of that kernel's layouts (Packing::form)
  int64_t elements;  ///< of the result
  int64_t bf16 = 0;  ///< 1: holds bf16, whatever the dtype of the result says; a whole word, as
                     ///< attributes are compared byte by byte and padding would differ
};

/// The weights of an operation in the order in which a backend's kernel reads them
/// weights: f32, f64 (the kernel packs and computes in the same dtype)
/// result: [elements], opaque: it has a meaning for that kernel only
/// gradient: none; pack_weights() below places it after derivatives are taken
Tensor pack_weight(const Tensors& weights, PackWeightAttrs attrs);

/// The graph in which every kernel of `backend` that likes its weights packed reads them so.
/// Weights are what depends on no input of the graph: what is computed from inputs is packed by the
/// kernel itself, run by run.
Tensors pack_weights(const Tensors& outputs, const Backend& backend);

}  // namespace satin
