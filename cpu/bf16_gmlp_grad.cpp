// The derivative of the multi-axis gMLP with products in bf16; read cpu/multi_axis_gmlp_grad.cpp
// first, whose formulas and names these are.  The way back through a group is bf16_gmlp_back.h;
// here is what goes before and after all groups.
#include "cpu/bf16_gmlp_back.h"
#include "cpu/gmlp_weight_grad.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

/// From the sums over all pixels to the cotangents of the weights, in f32.
struct GradFinish {
  const Branch<float>& w;
  const GradSums& sums;
  const BranchWeights<float*> d;

  static constexpr int64_t kPieces = 4, kTasks = 3 + 2 * kPieces;

  void run(int64_t task) const {
    if (task == 0) return vectors();
    const int64_t b = up_to(w.b, kSide);
    if (task == 1) return w1_grad<float>(w, d, sums.xh_dt1, b, sums.dt1).run();
    if (task == 2) {
      const float *h[] = {sums.uh_dt2, sums.uh_dt2 + b}, *sum[] = {sums.dt2, sums.dt2 + b};
      return wi_grad<float>(w, d, h, 2 * b, sum).run();
    }
    task -= 3;
    if (task < kPieces) return gate_weights(w.b * task / kPieces, w.b * (task + 1) / kPieces);
    task -= kPieces;
    out_weights(w.c * task / kPieces, w.c * (task + 1) / kPieces);
  }

 private:
  void vectors() const {
    const float* w2 = w.w2 + w.b0 * w.c;
    for (int64_t i = 0; i < w.b; ++i) {
      d.gate_gamma[i] = sums.gate_gamma[i];
      d.gate_beta[i] = sums.gate_beta[i];
      d.bo[i] = dot(sums.dy, w2 + i * w.c, w.c);
    }
    for (int64_t i = 0; w.first && i < w.c; ++i) d.b2[i] = sums.dy[i];
    const int64_t row = up_to(w.pixels, kSide);
    for (int64_t i = 0; i < w.pixels; ++i) {
      d.pb[i] = sum_lanes<float>(load(sums.pb + i * kLanes<float>));
      for (int64_t j = 0; j < w.pixels; ++j) d.p[i * w.pixels + j] = sums.p[i * row + j];
    }
  }

  F part(const float* of_b, int64_t i) const {
    return i + kLanes<float> <= w.b ? load(of_b + i) : load_part(of_b + i, w.b - i);
  }
  /// Lanes to `to`, `step` apart, those of channels from i on that exist.
  void scatter(F x, int64_t i, float* to, int64_t step) const {
    for (int64_t l = 0; l < min_of(kLanes<float>, w.b - i); ++l) to[(i + l) * step] = x[l];
  }
  /// Rows [begin, end) of dWo' = W2 dy'gate.
  void gate_weights(int64_t begin, int64_t end) const {
    const int64_t row = 2 * up_to(w.b, kSide);
    for (int64_t k = begin; k < end; ++k)
      for (int64_t i = 0; i < w.b; i += kLanes<float>) {
        F sum{};
        for (int64_t j = 0; j < w.c; ++j)
          sum += w.w2[(w.b0 + k) * w.c + j] * load(sums.dy_ug + j * row + row / 2 + i);
        scatter(sum, i, d.wo + k, w.b);
      }
  }
  /// Rows [begin, end) of dW2' = dy'u + dy'gate Wo + dy'bo.
  void out_weights(int64_t begin, int64_t end) const {
    const int64_t row = 2 * up_to(w.b, kSide);
    for (int64_t j = begin; j < end; ++j)
      for (int64_t i = 0; i < w.b; i += kLanes<float>) {
        const float *dy_u = sums.dy_ug + j * row, *dy_gate = dy_u + row / 2;
        F sum = load(dy_u + i) + sums.dy[j] * part(w.bo, i);
        for (int64_t k = 0; k < w.b; ++k) sum += dy_gate[k] * part(w.wo + k * w.b, i);
        scatter(sum, i, d.w2 + w.b0 * w.c + j, w.c);
      }
  }
};

// --- the call
// -------------------------------------------------------------------------------------

/// Scratch of a branch: packed weights, slots of the workers, sums of the pieces, sums of all.
struct GradScratch {
  int64_t pieces, workers, weights, slot, sums;  ///< the last three in bytes

  explicit GradScratch(const Branch<float>& w)
      : pieces(summed_pieces_of(w.places.count())), workers(workers_of(w.places.count())) {
    Memory of_weights, of_slot, of_sums;
    const Weights forward(w, of_weights, false);
    const TurnedHalves turned(w, of_weights);
    const GradSlot rows(w, of_slot);
    const GradSums all(w, of_sums);
    weights = of_weights.taken(), slot = of_slot.taken(), sums = of_sums.taken();
  }
  int64_t bytes() const { return weights + workers * slot + (pieces + 1) * sums; }
};

void run_branch(const Call& call, int k) {
  const Branch<float> w(call, k);
  const GradScratch scratch(w);
  char* at = static_cast<char*>(call.scratch);
  Memory from(at);
  const Weights forward(w, from, false);
  const TurnedHalves turned(w, from);
  parallel_for(call, Weights::kTasks + TurnedHalves::kTasks, [&](int64_t task) {
    if (task >= Weights::kTasks) return turned.pack(w, task - Weights::kTasks);
    forward.pack(w, task);
    if (task == Weights::kOut) turned.pack_out(w, forward);
  });
  char *slots = at + scratch.weights, *partial = slots + scratch.workers * scratch.slot;
  char* all = partial + scratch.pieces * scratch.sums;
  const int64_t groups = w.places.count(), pieces = scratch.pieces;
  parallel_workers(call, scratch.workers, pieces, [&](int64_t worker, int64_t piece) {
    Memory of_slot(slots + worker * scratch.slot), of_sums(partial + piece * scratch.sums);
    const GradSlot slot(w, of_slot);
    const GradSums sums(w, of_sums);
    sums.clear();
    GradGroups{w, forward, turned, slot, sums}.run(
        call.in.back().as<float>(), groups * piece / pieces, groups * (piece + 1) / pieces);
  });
  float* sum = reinterpret_cast<float*>(all);
  const float* parts = reinterpret_cast<const float*>(partial);
  parallel_chunks(call, scratch.sums / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] = parts[i];
    for (int64_t piece = 1; piece < pieces; ++piece)
      for (int64_t i = begin; i < end; ++i) sum[i] += parts[piece * (scratch.sums / 4) + i];
  });
  Memory of_all(all);
  const GradSums sums(w, of_all);
  const GradFinish finish{w, sums, cotangents<float>(call, k)};
  parallel_for(call, GradFinish::kTasks, [&](int64_t task) { finish.run(task); });
}

}  // namespace

bool takes_multi_axis_gmlp_grad(const Call& call) { return call.out[0].shape.size() > 0; }

void multi_axis_gmlp_grad(const Call& call) {
  for (int k = 0; k < branches_of(weights_in(call)); ++k) run_branch(call, k);
}

int64_t multi_axis_gmlp_grad_scratch(const Call& call) {
  return GradScratch(Branch<float>(call, 0)).bytes();
}

/// Its weights are packed in every run: they change in every step.
Packing multi_axis_gmlp_grad_packing(const Call&) { return {}; }
void multi_axis_gmlp_grad_pack(const Call&) {}

}  // namespace satin::cpu::SATIN_ISA::bf16
