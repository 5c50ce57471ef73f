// The composites of MGPNet's training step and their gradients, at its shapes (8 pictures of
// 128x128): milliseconds and nanoseconds a pixel, in f32 and in bf16.
//
//   SATIN_ISA=avx512 build/rel/bench/satin_bench_composites [THREADS] [NAME] [f32|bf16]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "satin/satin.h"
#include "tensor/compose.h"

namespace {

using namespace satin;

struct Case {
  std::string name;
  Tensors outputs;
  Tensors leaves;
  int64_t pixels;
};

Tensor leaf(const Shape& shape) { return parameter(shape, DType::f32, "leaf"); }

MultiAxisGmlpWeights gmlp_weights_of(int64_t c, int64_t s) {
  MultiAxisGmlpWeights w{leaf({c}), leaf({c}), leaf({c, 2 * c}), leaf({2 * c}), leaf({2 * c, c}),
                         leaf({c}), {}};
  for (int i = 0; i < 2; ++i)
    w.branches.push_back({leaf({c}), leaf({c}), leaf({c, 2 * c}), leaf({2 * c}), leaf({c}),
                          leaf({c}), leaf({s, s}), leaf({s}), leaf({c, c}), leaf({c})});
  return w;
}

RcabWeights rcab_weights_of(int64_t c) {
  return {leaf({c}), leaf({c}),        leaf({3, 3, c, c}), leaf({c}),        leaf({3, 3, c, c}),
          leaf({c}), leaf({c, c / 4}), leaf({c / 4}),      leaf({c / 4, c}), leaf({c})};
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t c : {32, 64, 128}) {
    const int64_t side = 128 * 32 / c, pixels = 8 * side * side, size = c == 128 ? 8 : 16;
    const Tensor x = leaf({8, side, side, c}), dy = leaf({8, side, side, c});
    const std::string channels = " C=" + std::to_string(c);
    const auto add = [&](const char* name, const Tensors& outputs, const Tensors& weights,
                         bool grad) {
      Tensors leaves{x};
      leaves.insert(leaves.end(), weights.begin(), weights.end());
      if (grad) leaves.push_back(dy);
      all.push_back({name + channels, outputs, leaves, pixels});
    };
    const MultiAxisGmlpWeights w = gmlp_weights_of(c, size * size);
    const MultiAxisGmlpAttrs attrs{.size = static_cast<int>(size)};
    const Tensor y = multi_axis_gmlp(x, w, attrs);
    add("multi_axis_gmlp", {y}, list_of(w), false);
    add("multi_axis_gmlp, kept", {y, mixed_of(y)}, list_of(w), false);  // as a training step has it
    // As in a training step, where the forward pass has kept P LN(b): not part of the time.
    const Tensor mixed = leaf(mixed_of(y).shape());
    Tensors weights = list_of(w);
    const Tensors grad =
        make_flat_grad(Op::multi_axis_gmlp_grad, Attrs(attrs), x, weights, dy, mixed);
    weights.push_back(mixed);
    add("multi_axis_gmlp_grad", grad, weights, true);
    const RcabWeights r = rcab_weights_of(c);
    add("rcab", {rcab(x, r)}, list_of(r), false);
    add("rcab_grad", rcab_grad(x, r, dy), list_of(r), true);
  }
  return all;
}

/// The best of some turns, in seconds.
double seconds_of(const Case& c, Precision precision, ThreadPool& pool) {
  Program program(c.outputs, cpu::backend(), {.precision = precision});
  for (const Tensor& t : c.leaves) {
    std::vector<float> values(static_cast<size_t>(t.size()));
    const float scale = t.shape().rank() == 4 ? 1.0f : 0.2f;
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = scale * (static_cast<float>(i * 2654435761u % 8191) / 4096 - 1);
    program.write<float>(t, values);
  }
  Exec exec;
  exec.pool = &pool;
  double best = 1e9;
  for (int turn = 0; turn < 9; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    program.run(exec);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  const std::string wanted = argc > 2 ? argv[2] : "";
  const std::string only = argc > 3 ? argv[3] : "";
  std::printf("%s, %d threads\n", std::string(cpu::backend().name()).c_str(), pool.threads());
  for (const Case& c : cases()) {
    if (c.name.find(wanted) == std::string::npos) continue;
    std::printf("%-28s", c.name.c_str());
    for (const auto& [name, precision] :
         {std::pair{"f32", Precision::f32}, std::pair{"bf16", Precision::bf16}}) {
      if (!only.empty() && only != name) continue;
      const double seconds = seconds_of(c, precision, pool);
      std::printf("   %s %8.2f ms %8.1f ns a pixel", name, 1e3 * seconds,
                  1e9 * seconds / static_cast<double>(c.pixels));
    }
    std::printf("\n");
  }
}
