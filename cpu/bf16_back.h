// What the gradients of multi_axis_gmlp and rcab in bf16 share around normalize_back.
#pragma once

#include "cpu/bf16.h"

namespace satin::cpu::SATIN_ISA::bf16 {

SATIN_INLINE void add_to(float* sum, F x) { store(sum, load(sum) + x); }

/// Reads vectors of rows of bf16 that lie `row` apart, for normalize_back.
SATIN_INLINE auto halves_at(const Half* h, int64_t row) {
  return [=](int64_t r, int64_t j) __attribute__((always_inline)) {
    return load_half(h + r * row + j);
  };
}

}  // namespace satin::cpu::SATIN_ISA::bf16
