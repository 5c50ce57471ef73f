// Sums over rows of  left' right  in bf16, for gradients in weights (bf16_weight_grad.cpp).
#pragma once

#include "cpu/bf16.h"
#include "tensor/matmul.h"

namespace satin::cpu::SATIN_ISA::bf16 {

/// [taps, k, n] sums, kept for every piece of the rows: fixed runs of `units` of them.
struct RowSums {
  static constexpr int64_t kMostPieces = 16, kWorkers = 16;

  int64_t k, n, rows, taps, pieces;  ///< rows: at once, whole steps
  float* sums;
  struct Worker {
    Half *left, *right;  ///< rows of whole steps
    Half *turned, *pairs, *some;
  } worker[kWorkers];

  RowSums(int64_t k_, int64_t n_, int64_t rows_, int64_t taps_, int64_t units, Memory& from);

  /// body(worker, piece, first unit, last unit) with the piece's sums at 0.
  template <class Body>
  void every_piece(const Call& call, int64_t units, Body body) const {
    parallel_workers(call, kWorkers, pieces, [&](int64_t i, int64_t piece) {
      const Session session;
      for (int64_t s = 0; s < size(); ++s) sums[piece * size() + s] = 0;
      body(worker[i], piece, units * piece / pieces, units * (piece + 1) / pieces);
    });
  }
  /// The right rows are there: makes them a right side.
  void pair_up(const Worker& w, int64_t steps) const;
  /// The left rows are there: adds the product.
  void add(const Worker& w, int64_t steps, int64_t tap, int64_t piece) const;
  /// All pieces together.
  void give(const Call& call, float* to) const;

 private:
  int64_t size() const { return taps * up_to(k, kSide) * up_to(n, kSide); }
};

/// The calls of matmul that are a gradient in weights: a' b, summed over the batch.
bool is_matmul_over_rows(const Call& call);
void matmul_over_rows(const Call& call);
int64_t matmul_over_rows_scratch(const Call& call);

}  // namespace satin::cpu::SATIN_ISA::bf16
