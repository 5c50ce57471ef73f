// The planner and the passes before it, on hand-made graphs and on random ones: places of live
// values never overlap, and no pass changes a bit of what kernels run one by one give.
#include "tensor/plan.h"

#include <algorithm>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "evaluate.h"
#include "nn/optimizer.h"
#include "opcheck.h"
#include "tensor/adam.h"
#include "tensor/binary.h"
#include "tensor/broadcast.h"
#include "tensor/concat.h"
#include "tensor/cost.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/permute.h"
#include "tensor/reduce.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"
#include "tensor/softmax.h"
#include "tensor/unary.h"

namespace satin {
namespace {

using testing::Bytes;
using testing::Random;

/// A graph of about `steps` operations on matrices, with views, joins, broadcasts and composites.
struct RandomGraph {
  Tensors inputs, outputs;
  std::vector<Bytes> values;

  RandomGraph(uint64_t seed, int steps) {
    Random random(seed);
    Tensors pool;
    for (int i = 0; i < 3; ++i) {
      inputs.push_back(input({4, 6}, DType::f32));
      std::vector<double> v;
      for (int64_t k = 0; k < 24; ++k) v.push_back(random.uniform(-1, 1));
      values.push_back(testing::encode(v, DType::f32));
      pool.push_back(inputs.back());
    }
    const auto any = [&] {
      return pool[static_cast<size_t>(random.below(static_cast<int64_t>(pool.size())))];
    };
    const auto matrix = [&] {  // some value as [4, 6]
      const Tensor x = any();
      if (x.shape() == Shape{4, 6}) return x;
      if (x.size() == 24) return reshape(x, {4, 6});
      return broadcast_to(reshape(sum(x), {1, 1}), {4, 6});
    };
    while (static_cast<int>(pool.size()) < steps) {
      const Tensor x = matrix();
      switch (random.below(15)) {
        case 0:
          pool.push_back(sigmoid(x));
          break;
        case 1:
          pool.push_back(relu(x) - x);
          break;
        case 2:
          pool.push_back(x * matrix());
          break;
        case 3:
          pool.push_back(maximum(x, matrix()) + 0.5);
          break;
        case 4:
          pool.push_back(slice(x, 0, random.below(3), 4));
          break;
        case 5:
          pool.push_back(slice(x, 1, 1, 6, 2));
          break;
        case 6:
          pool.push_back(reshape(x, {2, 12}));
          break;
        case 7:
          pool.push_back(permute(x, {1, 0}));
          break;
        case 8:
          pool.push_back(slice(concat({x, matrix(), x}, 0), 0, 3, 7));
          break;
        case 9:
          pool.push_back(slice(concat({matrix(), sigmoid(x)}, 1), 1, 4, 10));
          break;
        case 10:
          pool.push_back(x + sum(x, {1}, ReducedAxes::keep_as_one) * 0.1);
          break;
        case 11:
          pool.push_back(matmul(x, matrix(), {.transpose_b = true}));
          break;
        case 12:
          pool.push_back(softmax(x));
          break;
        case 13:
          pool.push_back(layer_norm(x, reshape(slice(matrix(), 0, 0, 1), {6}),
                                    constant({1, 2, 3, 4, 5, 6}, {6})));
          break;
        default:
          pool.push_back(concat({tanh(slice(x, 0, 0, 2)), sigmoid(slice(x, 0, 2, 4))}, 0));
      }
    }
    for (int i = 0; i < 4; ++i) outputs.push_back(any());
    outputs.push_back(pool.back());
    const Tensor loss = sum(square(sigmoid(matrix() * matrix())));
    for (const Tensor& d : grad(loss, inputs)) outputs.push_back(d);
  }
};

/// A concat whose pieces follow each other in memory.
bool leading_axis(const Node& concat) {
  const Shape& y = concat.outputs[0].shape;
  return std::all_of(y.begin(), y.begin() + concat.as<ConcatAttrs>().axis,
                     [](int64_t extent) { return extent == 1; });
}

/// Every step reads and writes values whose bytes nobody else needs at that time.  By brute force:
/// each byte of the arena remembers which value wrote it last; each read must find its own.
std::string misplaced(const Plan& plan) {
  constexpr int kNobody = -1;
  std::vector<int> arena(static_cast<size_t>(plan.arena_bytes), kNobody);
  std::vector<std::vector<int>> persistent(plan.buffers.size());
  for (size_t b = 0; b < plan.buffers.size(); ++b)
    if (plan.buffers[b].persistent)
      persistent[b].assign(static_cast<size_t>(plan.buffers[b].bytes), kNobody);
  const auto at = [&](int v) -> int* {
    const Plan::Place place = plan.places[v];
    const Plan::Buffer& buffer = plan.buffers[place.buffer];
    return buffer.persistent ? persistent[place.buffer].data() + place.offset
                             : arena.data() + buffer.offset + place.offset;
  };
  // Views name the bytes of what they view: value -> the ids its bytes carry.
  std::vector<std::vector<int>> ids(plan.values.size());
  int next = 0;
  const auto write = [&](int v) {
    ids[v].resize(static_cast<size_t>(plan.values[v].bytes));
    for (int64_t i = 0; i < plan.values[v].bytes; ++i) at(v)[i] = ids[v][i] = next++;
  };
  const auto read = [&](int v) { return std::equal(ids[v].begin(), ids[v].end(), at(v)); };
  const auto inside = [&](int v) {
    const Plan::Place p = plan.places[v];
    return p.buffer >= 0 && p.offset + plan.values[v].bytes <= plan.buffers[p.buffer].bytes;
  };
  for (size_t v = 0; v < plan.values.size(); ++v) {
    if (!inside(static_cast<int>(v))) return cat("value ", v, " lies outside its buffer");
    if (plan.values[v].leaf) write(static_cast<int>(v));
  }
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Plan::Step& step = plan.steps[i];
    for (const int v : step.in)
      if (!read(v))
        return cat("step ", i, " (", step.node->op, ") reads value ", v, " overwritten");
    if (step.scratch >= 0) {
      const Plan::Buffer& buffer = plan.buffers[step.scratch];
      for (int64_t k = 0; k < buffer.bytes; ++k)
        arena[static_cast<size_t>(buffer.offset + k)] = next++;
      for (const int v : step.in)
        if (!read(v)) return cat("scratch of step ", i, " lies over its input ", v);
    }
    for (const int v : step.out) {
      if (step.moves_data && step.node->op == Op::concat && leading_axis(*step.node)) {
        // Pieces that lie there already stay; the others are copied behind them.
        int* to = at(v);
        for (const int piece : step.in) to = std::copy(ids[piece].begin(), ids[piece].end(), to);
        ids[v].assign(at(v), to);
      } else if (step.moves_data) {
        write(v);
      } else {
        ids[v].assign(at(v), at(v) + plan.values[v].bytes);
      }
    }
    for (const int v : step.out)
      if (!read(v)) return cat("outputs of step ", i, " overlap");
  }
  for (const int v : plan.outputs)
    if (!plan.values[v].leaf && !read(v)) return cat("output ", v, " is overwritten");
  for (const auto& [from, to] : plan.copies)
    if (!read(from)) return cat("update ", from, " is overwritten before it is copied");
  return "";
}

TEST_CASE("plan: random graphs give the bits of kernels run one by one, however they are planned") {
  const Backend& backend = cpu::backend();
  int64_t steps = 0, tighter = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const RandomGraph g(seed, 8 + static_cast<int>(seed % 40));
    CAPTURE(seed);
    const auto expected = testing::evaluate(g.outputs, g.inputs, g.values, backend);
    CHECK(expected.fault == "");
    for (const bool recompute : {false, true}) {
      Options options;
      options.recompute = recompute;
      const Program program(g.outputs, backend, options);
      CHECK(misplaced(program.plan()) == "");
      steps += static_cast<int64_t>(program.plan().steps.size());
      const bool equal = testing::run_program(g.outputs, g.inputs, g.values, backend, {},
                                              options) == expected.outputs;
      CHECK(equal);
    }
    // As little memory as can be had.
    Options tight{.max_bytes = 1};
    tight.max_bytes = plan_of(g.outputs, backend, tight).total_bytes();
    const Program program(g.outputs, backend, tight);
    CHECK(misplaced(program.plan()) == "");
    CHECK(program.plan().total_bytes() == tight.max_bytes);
    tighter += tight.max_bytes < plan_of(g.outputs, backend).total_bytes();
    const bool equal =
        testing::run_program(g.outputs, g.inputs, g.values, backend, {}, tight) == expected.outputs;
    CHECK(equal);
    // Compositions are other arithmetic: near, not equal.
    Options composed;
    composed.fuse = false;
    const auto near = testing::run_program(g.outputs, g.inputs, g.values, backend, {}, composed);
    for (size_t o = 0; o < near.size(); ++o) {
      const auto a = testing::decode(near[o], DType::f32),
                 b = testing::decode(expected.outputs[o], DType::f32);
      for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-3));
    }
  }
  CHECK(steps > 5000);
  CHECK(tighter > 30);
}

TEST_CASE("plan: views move nothing, joined pieces are computed in place, chains reuse memory") {
  const Tensor x = input({4, 6});
  const auto plan_of = [](const Tensors& y) { return Program(y, cpu::backend()).plan(); };
  const auto moving = [](const Plan& plan) {
    return std::count_if(plan.steps.begin(), plan.steps.end(),
                         [](const Plan::Step& s) { return s.moves_data; });
  };
  CHECK(moving(plan_of({slice(reshape(x, {24}), 0, 3, 20)})) == 0);
  CHECK(moving(plan_of({slice(x, 1, 0, 3)})) == 1);
  CHECK(moving(plan_of({concat({sigmoid(x), tanh(x)}, 0)})) == 2);
  CHECK(moving(plan_of({concat({sigmoid(x), tanh(x)}, 1)})) == 3);
  CHECK(moving(plan_of({concat({x, tanh(x)}, 0)})) == 2);
  Tensor y = x;
  for (int i = 0; i < 10; ++i) y = sigmoid(y);
  CHECK(plan_of({y}).arena_bytes == 128);  // 96 bytes, rounded up: all in place
}

TEST_CASE("plan: aliases are updated once per run, old values read before") {
  const Tensor p = parameter({3}, DType::f64, "p", testing::encode({1, 2, 3}, DType::f64));
  const Tensor updated = p * 2.0, reader = p + 1.0;
  Program program({reader}, cpu::backend(), {.alias = {{updated, p}}});
  CHECK(misplaced(program.plan()) == "");
  CHECK(program.plan().copies.empty());  // computed right in the parameter
  program.run();
  CHECK(program.read<double>(reader) == std::vector<double>{2, 3, 4});
  CHECK(program.read<double>(p) == std::vector<double>{2, 4, 6});
  program.run();
  CHECK(program.read<double>(reader) == std::vector<double>{3, 5, 7});
  CHECK(program.read<double>(p) == std::vector<double>{4, 8, 12});
}

TEST_CASE("plan: an update that is copied survives the steps behind it") {
  const Tensor p = parameter({2, 2}, DType::f64, "p", testing::encode({1, 2, 3, 4}, DType::f64));
  const Tensor updated = matmul(p, p), y = neg(updated);  // y may not take over updated's memory
  Program program({y}, cpu::backend(), {.alias = {{updated, p}}});
  program.run();
  CHECK(program.read<double>(p) == std::vector<double>{7, 10, 15, 22});
  CHECK(program.read<double>(y) == std::vector<double>{-7, -10, -15, -22});
}

TEST_CASE("plan: a view of a parameter keeps the old value when the parameter is written") {
  const Tensor p = parameter({2, 2}, DType::f64, "p", testing::encode({1, 2, 3, 4}, DType::f64));
  const Tensor q = parameter({4}, DType::f64, "q");
  const Tensor view = reshape(p, {4}), part = slice(view, 0, 1, 3);
  Program program({part}, cpu::backend(), {.alias = {{p * 10.0, p}, {view, q}}});
  program.run();
  CHECK(program.read<double>(part) == std::vector<double>{2, 3});
  CHECK(program.read<double>(p) == std::vector<double>{10, 20, 30, 40});
  CHECK(program.read<double>(q) == std::vector<double>{1, 2, 3, 4});
}

TEST_CASE("plan: inputs may be copied into parameters; three outputs update three parameters") {
  const Tensor p = parameter({2}, DType::f64, "p"), x = input({2}, DType::f64);
  Program copy({p + x}, cpu::backend(), {.alias = {{x, p}}});
  const std::vector<double> values = {5, 6};
  copy.write<double>(x, values);
  copy.run();
  CHECK(copy.read<double>(p) == values);

  Tensors state;
  for (const char* name : {"w", "m", "v"}) state.push_back(parameter({2}, DType::f64, name));
  const Tensor one = constant({1}, {}, DType::f64);
  const Tensors next =
      adam_update(state[0], constant({1, 2}, {2}, DType::f64), state[1], state[2], one, one, one);
  Program step({}, cpu::backend(),
               {.alias = {{next[0], state[0]}, {next[1], state[1]}, {next[2], state[2]}}});
  CHECK(step.plan().copies.empty());
  step.run();
  CHECK(step.read<double>(state[0])[0] == doctest::Approx(-1).epsilon(1e-6));
  CHECK(step.read<double>(state[1])[1] == doctest::Approx(0.2));
}

TEST_CASE("plan: impossible aliases") {
  const Tensor p = parameter({2}, DType::f32, "p"), q = parameter({2}, DType::f32, "q"),
               x = input({2});
  const auto error = [](const Tensors& y, const std::vector<Alias>& alias,
                        const std::string& sentence) {
    opcheck::expect_error([&] { Program(y, cpu::backend(), {.alias = alias}); }, sentence);
  };
  error({}, {{x, x}}, "alias: the second member must be a parameter()");
  error({}, {{input({3}), p}}, "alias: p is [2] of f32, its update is [3] of f32");
  error({}, {{x, p}, {neg(x), p}}, "alias: p is updated twice");
  error({}, {{p, q}, {q, p}}, "is a parameter that this run updates too");
  const Tensor updated = neg(p);
  error({updated * p}, {{updated, p}},
        "alias: an updated value is needed by something that reads the old");
  error({Tensor()}, {}, "an empty Tensor");
}

/// Products with cheap tails that the backward pass reads again, 40 layers later.
struct DeepNet {
  Tensors inputs, outputs;
  std::vector<Bytes> values;

  DeepNet() {
    const Tensor x = input({256, 64});
    Tensor h = x;
    for (int i = 0; i < 40; ++i) {
      inputs.push_back(input({64, 64}));
      h = h + sigmoid(tanh(square(matmul(h, inputs.back()) * 0.05)));
    }
    outputs = grad(mean(square(h)), inputs);
    inputs.push_back(x);
    Random random(7);
    for (const Tensor& t : inputs) {
      std::vector<double> v(static_cast<size_t>(t.size()));
      for (double& e : v) e = random.uniform(-1, 1);
      values.push_back(testing::encode(v, DType::f32));
    }
  }

  std::vector<Bytes> run(const Options& options) const {
    return testing::run_program(outputs, inputs, values, cpu::backend(), {}, options);
  }
};

TEST_CASE("plan: recomputing keeps the bits and saves memory on a deep net") {
  const DeepNet net;
  Options keep;
  keep.recompute = false;
  const Program with(net.outputs, cpu::backend()), without(net.outputs, cpu::backend(), keep);
  CHECK(misplaced(with.plan()) == "");
  CHECK(with.plan().arena_bytes < without.plan().arena_bytes * 3 / 4);
  const bool equal = net.run({}) == net.run(keep);
  CHECK(equal);
}

TEST_CASE("plan: what is built early and read late runs late") {
  // y and z are read by the last step only; y follows from a small value, z would keep a large one.
  const Tensor small = input({8, 1}), large = input({256, 256});
  const Tensor y = broadcast_to(small, {8, 256}), z = sum(square(large), {1});
  Tensor h = input({8, 256});
  for (int i = 0; i < 40; ++i) h = sigmoid(h);
  const Plan plan = plan_of({matmul(h * y, reshape(z, {256, 1}))}, cpu::backend(), {.fuse = false});
  CHECK(misplaced(plan) == "");
  const auto first = [&](Op op) {
    return std::find_if(plan.steps.begin(), plan.steps.end(),
                        [&](const Plan::Step& s) { return s.node->op == op; }) -
           plan.steps.begin();
  };
  CHECK(first(Op::sum_to) < first(Op::sigmoid));
  CHECK(first(Op::mul) > first(Op::sigmoid) + 39);
}

TEST_CASE("plan: a smaller limit computes more again, keeps the bits and is kept itself") {
  const DeepNet net;
  const int64_t usual = plan_of(net.outputs, cpu::backend()).total_bytes();
  const int64_t least = plan_of(net.outputs, cpu::backend(), {.max_bytes = 1}).total_bytes();
  CHECK(least < usual / 2);
  const auto expected = net.run({});
  const auto macs = [](const Plan& plan) {
    int64_t sum = 0;
    for (const Plan::Step& step : plan.steps) sum += cost_of(*step.node).macs;
    return sum;
  };
  int64_t before = macs(plan_of(net.outputs, cpu::backend()));
  for (const int64_t limit : {usual - 1, (usual + least) / 2, least}) {
    CAPTURE(limit);
    const Options options{.max_bytes = limit};
    const Program program(net.outputs, cpu::backend(), options);
    CHECK(misplaced(program.plan()) == "");
    CHECK(program.plan().total_bytes() <= limit);
    CHECK(macs(program.plan()) >= before);
    before = macs(program.plan());
    const bool equal = net.run(options) == expected;
    CHECK(equal);
  }
  try {
    Program(net.outputs, cpu::backend(), {.max_bytes = least - 1});
    FAIL("no error");
  } catch (const MemoryError& e) {
    CHECK(e.needed == least);
  }
}

TEST_CASE("plan: under a limit too, parameters are updated once and processes meet once") {
  Parameters parameters(
      [](Parameters& p) {
        for (int i = 0; i < 12; ++i) p.get(cat("w", i), {32, 32}, ParameterKind::linear, 32);
      },
      DType::f32);
  const Tensor x = input({256, 32});
  Tensor h = x;
  for (size_t i = 0; i < 12; ++i) h = tanh(matmul(sigmoid(h), parameters.view(i)));
  const TrainingStep step = adam_step(mean(square(h)), parameters, 0.1, {}, 2);
  const auto options = [&](int64_t limit) {
    return Options{.alias = step.alias, .max_bytes = limit};
  };
  const Plan usual = plan_of(step.outputs(), cpu::backend(), options(0));
  const int64_t least = plan_of(step.outputs(), cpu::backend(), options(1)).total_bytes();
  CHECK(least < usual.total_bytes());
  const auto count = [](const Plan& plan, Op op) {
    return std::count_if(plan.steps.begin(), plan.steps.end(),
                         [&](const Plan::Step& s) { return s.node->op == op; });
  };
  const auto train = [&](int64_t limit) {
    Program program(step.outputs(), cpu::backend(), options(limit));
    CHECK(misplaced(program.plan()) == "");
    for (const Op op : {Op::all_reduce, Op::adam_update})
      CHECK(count(program.plan(), op) == count(usual, op));
    CHECK(count(program.plan(), Op::adam_update) == 1);
    CHECK((count(program.plan(), Op::matmul) > count(usual, Op::matmul)) == (limit > 0));
    Random random(3);
    std::vector<float> weights, image;
    for (int64_t i = 0; i < parameters.size(); ++i)
      weights.push_back(static_cast<float>(random.uniform(-1, 1)));
    for (int64_t i = 0; i < x.size(); ++i)
      image.push_back(static_cast<float>(random.uniform(-1, 1)));
    program.write<float>(parameters.flat(), weights);
    const float lr = 0.01f;
    for (int i = 0; i < 3; ++i) {
      program.write<float>(x, image);
      program.write<float>(step.lr, {&lr, 1});
      program.run();
    }
    return program.read<float>(parameters.flat());
  };
  const bool equal = train(0) == train(least);
  CHECK(equal);
}

TEST_CASE("plan: a limit is refused with the bytes it would take") {
  const Tensor x = input({100, 100}), y = matmul(x, x);
  int64_t needed = 0;
  try {
    Program(Tensors{y}, cpu::backend(), {.max_bytes = 1000});
  } catch (const MemoryError& e) {
    needed = e.needed;
    CHECK(std::string(e.what()).find("the limit is 1000") != std::string::npos);
  }
  REQUIRE(needed >= 2 * 40000);
  CHECK(Program(Tensors{y}, cpu::backend(), {.max_bytes = needed}).plan().total_bytes() == needed);
  CHECK_THROWS_AS(Program(Tensors{y}, cpu::backend(), {.max_bytes = needed - 1}), MemoryError);
}

TEST_CASE("plan: empty and rank-0 values") {
  const Tensor e = input({0, 3}), s = input({});
  const Tensors y = {neg(e), sum(e), square(s), reshape(s, {1, 1}), concat({e, e}, 0)};
  for (const bool fuse : {false, true}) {
    Options options;
    options.fuse = fuse;
    const auto v = testing::values_of(y, {e, s}, {{}, {3}}, options);
    CHECK(v[0].empty());
    CHECK(v[1] == std::vector<double>{0});
    CHECK(v[2] == std::vector<double>{9});
    CHECK(v[3] == std::vector<double>{3});
    CHECK(v[4].empty());
  }
}

TEST_CASE("program: access that does not fit is refused") {
  const Tensor x = input({2}), y = neg(x);
  Program program({y}, cpu::backend());
  const std::vector<float> three = {1, 2, 3};
  const std::vector<double> wide = {1, 2};
  opcheck::expect_error([&] { program.write<float>(x, three); },
                        "Program: 3 elements of 4 bytes for a value of [2] f32");
  opcheck::expect_error([&] { program.write<double>(x, wide); }, "2 elements of 8 bytes");
  opcheck::expect_error([&] { program.read<float>(input({2})); }, "neither an output nor an input");
  opcheck::expect_error([&] { program.read<float>(Tensor()); }, "an empty Tensor");
}

}  // namespace
}  // namespace satin
