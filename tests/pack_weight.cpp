// Packed weights and what else is computed once.  That they change no bit of any operation is a
// check of opcheck ("weights"); here is when they are computed, who shares them, and what they
// cost.
#include "tensor/pack_weight.h"

#include <algorithm>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "evaluate.h"
#include "opcheck.h"
#include "tensor/adam.h"
#include "tensor/binary.h"
#include "tensor/matmul.h"
#include "tensor/rcab.h"
#include "tensor/reduce.h"
#include "tensor/reshape.h"
#include "tensor/unary.h"

namespace satin {
namespace {

// Its cases are those of the rows whose kernels pack: the check "weights".
const opcheck::Register kCovered(Op::pack_weight);

std::vector<float> numbers(int64_t n, uint64_t seed) {
  testing::Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(random.uniform(-1, 1));
  return x;
}

int64_t count(const Program& program, Op op) {
  return std::count_if(program.plan().steps.begin(), program.plan().steps.end(),
                       [&](const Plan::Step& step) { return step.node->op == op; });
}

/// Enough rows for every path to want the weight packed.
constexpr int64_t kRows = 600;

struct Layer {
  Tensor w = parameter({40, 70}, DType::f32, "w");
  Tensor x = input({kRows, 40});
  Tensor y = matmul(x, w);

  std::vector<float> run(Program& program, const std::vector<float>& at) const {
    program.write<float>(x, at);
    program.run();
    return program.read<float>(y);
  }
};

TEST_CASE("pack_weight: computed once, and again after the weight was written") {
  const Layer layer;
  const auto x = numbers(layer.x.size(), 1);
  Program program({layer.y}, cpu::backend());
  Program plain({layer.y}, cpu::backend(), {.pack = false, .hoist = false});
  CHECK(count(program, Op::pack_weight) == 0);
  for (const uint64_t seed : {2, 3}) {
    const auto w = numbers(layer.w.size(), seed);
    program.write<float>(layer.w, w);
    plain.write<float>(layer.w, w);
    CHECK(layer.run(program, x) == layer.run(plain, x));
    const int64_t before = testing::allocations();
    program.run();
    CHECK(testing::allocations() == before);
  }
}

TEST_CASE("pack_weight: Programs of a model share what is packed") {
  const Layer layer;
  const Tensor more = input({2 * kRows, 40});
  Store store(cpu::backend());
  Program one({layer.y}, cpu::backend(), {.store = &store});
  const int64_t bytes = store.bytes();
  CHECK(bytes >= 2 * layer.w.bytes());
  Program two({matmul(more, layer.w)}, cpu::backend(), {.store = &store});
  CHECK(store.bytes() == bytes);
}

TEST_CASE("pack_weight: a run that updates the weight packs it anew") {
  const Layer layer;
  const auto x = numbers(layer.x.size(), 1), w = numbers(layer.w.size(), 2);
  Store store(cpu::backend());
  store.write(layer.w, w.data());
  Program reader({layer.y}, cpu::backend(), {.store = &store});
  Program writer({layer.y}, cpu::backend(), {.alias = {{layer.w * 0.5, layer.w}}, .store = &store});
  CHECK(count(writer, Op::pack_weight) == 1);
  const auto y = layer.run(reader, x);
  CHECK(layer.run(writer, x) == y);
  auto half = y;
  for (float& v : half) v *= 0.5f;  // exact
  CHECK(layer.run(reader, x) == half);
  CHECK(layer.run(writer, x) == half);
}

TEST_CASE("packing and hoisting keep the order of steps, and so the memory") {
  // The backward pass computes parts of these blocks anew, right where it needs them.
  constexpr int64_t kC = 16;
  const auto weight = [](const Shape& shape) { return parameter(shape, DType::f32, "w"); };
  Tensor x = input({2, 24, 24, kC});
  Tensors weights;
  for (int i = 0; i < 5; ++i) {
    const RcabWeights w = {weight({kC}),         weight({kC}),           weight({3, 3, kC, kC}),
                           weight({kC}),         weight({3, 3, kC, kC}), weight({kC}),
                           weight({kC, kC / 4}), weight({kC / 4}),       weight({kC / 4, kC}),
                           weight({kC})};
    weights.insert(weights.end(), {w.w1, w.w2, w.k1, w.k2});
    x = rcab(x, w);
  }
  const Tensors gradients = grad(mean(square(x)) * 2.0 + mean(abs(x)), weights);
  std::vector<Alias> alias;
  for (size_t i = 0; i < weights.size(); ++i)
    alias.push_back({weights[i] - gradients[i] * 0.1, weights[i]});
  const auto bytes = [&](bool on) {
    return plan_of({}, cpu::backend(), {.alias = alias, .pack = on, .hoist = on}).arena_bytes;
  };
  CHECK(bytes(true) <= bytes(false) + bytes(false) / 20);
}

TEST_CASE("hoisting: outputs, updated parameters and larger values stay in the run") {
  const Tensor p = parameter({4}, DType::f32, "p"), q = parameter({4}, DType::f32, "q");
  const Tensor x = input({4});
  const Tensor twice = p * 2.0, y = x + (twice + q);
  Program program({y, twice}, cpu::backend());
  CHECK(count(program, Op::mul) == 1);  // an output
  CHECK(count(program, Op::add) == 1);  // twice + q is ready
  program.write<float>(p, std::vector<float>{1, 2, 3, 4});
  program.write<float>(q, std::vector<float>{1, 1, 1, 1});
  program.write<float>(x, std::vector<float>{0, 0, 0, 10});
  program.run();
  CHECK(program.read<float>(y) == std::vector<float>{3, 5, 7, 19});
  CHECK(program.read<float>(twice) == std::vector<float>{2, 4, 6, 8});

  Program updating({y}, cpu::backend(), {.alias = {{p + 1.0, p}}});
  CHECK(count(updating, Op::mul) == 1);
  const Tensor outer = reshape(p, {4, 1}) * reshape(q, {1, 4});
  Program large({input({4, 4}) + outer}, cpu::backend());
  CHECK(count(large, Op::mul) == 1);
}

}  // namespace
}  // namespace satin
