// Images computed by bands of rows: the bits of the whole, in less memory; and what stays whole.
#include <algorithm>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "opcheck.h"
#include "tensor/binary.h"
#include "tensor/concat_linear.h"
#include "tensor/conv2d.h"
#include "tensor/program.h"
#include "tensor/unary.h"

namespace satin {
namespace {

using testing::Bytes;
using testing::Random;

/// An image doubled in size, joined with others of several sizes, mapped to few channels.
struct Pair {
  Tensors inputs;
  Tensor y, doubled;

  explicit Pair(int64_t batch, int64_t h = 140, int64_t w = 132) {
    const auto given = [&](const Shape& shape) { return inputs.emplace_back(input(shape)); };
    const Tensor x = given({batch, h, w, 40}), weight = given({2, 2, 32, 40}), bias = given({32}),
                 same = given({batch, 2 * h, 2 * w, 3}), quarter = given({batch, h / 2, w / 2, 5}),
                 larger = given({batch, 4 * h, 4 * w, 1}), map = given({41, 8}), b = given({8});
    doubled = relu(conv_transpose2d(x, weight, {.stride = 2}, bias));
    y = concat_linear({same, doubled, quarter, larger}, map, b, {2 * h, 2 * w});
  }

  std::vector<Bytes> values() const {
    Random random(11);
    std::vector<Bytes> all;
    for (const Tensor& t : inputs) {
      std::vector<double> v(static_cast<size_t>(t.size()));
      for (double& e : v) e = random.uniform(-1, 1);
      all.push_back(testing::encode(v, DType::f32));
    }
    return all;
  }
};

int64_t count(const Plan& plan, Op op) {
  return std::count_if(plan.steps.begin(), plan.steps.end(),
                       [&](const Plan::Step& s) { return s.node->op == op; });
}

TEST_CASE("pieces: bands give the bits of the whole image, without ever holding it") {
  const Pair pair(1);
  const Options whole{.pieces = false};
  const Plan with = plan_of({pair.y}, cpu::backend()),
             without = plan_of({pair.y}, cpu::backend(), whole);
  CHECK(count(without, Op::concat_linear) == 1);
  CHECK(count(with, Op::concat_linear) > 1);
  CHECK(count(with, Op::conv2d_input_grad) == count(with, Op::concat_linear));
  for (const Plan::Step& s : with.steps)  // bands lie where the result is
    if (s.node->op == Op::concat || s.node->op == Op::slice) CHECK(!s.moves_data);
  for (const Plan::Buffer& b : with.buffers) CHECK(b.bytes <= pair.doubled.bytes() / 2);
  CHECK(with.arena_bytes < without.arena_bytes);
  const bool equal =
      testing::run_program({pair.y}, pair.inputs, pair.values(), cpu::backend()) ==
      testing::run_program({pair.y}, pair.inputs, pair.values(), cpu::backend(), {}, whole);
  CHECK(equal);
}

TEST_CASE("pieces: small images, batches and images that others read stay whole") {
  const Pair small(1, 8, 8), batch(2), read(1);
  CHECK(count(plan_of({small.y}, cpu::backend()), Op::concat_linear) == 1);
  CHECK(count(plan_of({batch.y}, cpu::backend()), Op::concat_linear) == 1);
  CHECK(count(plan_of({read.y, neg(read.doubled)}, cpu::backend()), Op::concat_linear) == 1);
}

}  // namespace
}  // namespace satin
