// all_reduce: nothing without a communicator; with one, several ranks train as one would.
#include "tensor/all_reduce.h"

#include <barrier>
#include <thread>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "nn/optimizer.h"
#include "opcheck.h"
#include "tensor/binary.h"
#include "tensor/matmul.h"
#include "tensor/reduce.h"
#include "tensor/unary.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Cases;

OPCHECK(all_reduce) {
  Cases cases;
  const auto add = [&](const Shape& shape) {
    cases.push_back({.in = {{.shape = shape, .linear = true}},
                     .build = [](const Tensors& x) { return Tensors{all_reduce(x[0])}; },
                     .oracle = [](const Arrays& x) { return x; },
                     .f32 = {opcheck::Bound::ulp, 0},
                     .exact = true});
  };
  add({2});
  cases[0].given = {{1, 2}};
  cases[0].expected = {1, 2};
  for (const Shape& shape : opcheck::usual_shapes()) add(shape);
  return cases;
}

/// Ranks that are threads of this process.
class Threads {
 public:
  explicit Threads(int ranks) : data_(static_cast<size_t>(ranks)), barrier_(ranks) {}

  class Rank : public Communicator {
   public:
    Rank(Threads& all, size_t rank) : all_(all), rank_(rank) {}
    void all_reduce(void* data, int64_t n, DType dtype) override {
      REQUIRE(dtype == DType::f64);
      all_.data_[rank_] = static_cast<double*>(data);
      all_.barrier_.arrive_and_wait();
      std::vector<double> sum(static_cast<size_t>(n));
      for (const double* x : all_.data_)
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += x[i];
      all_.barrier_.arrive_and_wait();
      std::copy(sum.begin(), sum.end(), static_cast<double*>(data));
    }

   private:
    Threads& all_;
    size_t rank_;
  };

 private:
  std::vector<double*> data_;
  std::barrier<> barrier_;
};

constexpr int64_t kBatch = 6, kIn = 5, kOut = 3;

std::vector<double> numbers(int64_t n, uint64_t seed) {
  testing::Random random(seed);
  std::vector<double> x(static_cast<size_t>(n));
  for (double& v : x) v = random.uniform(-1, 1);
  return x;
}

/// Three steps on rows [first, first + rows) of the batch; weights, then loss and norm of each
/// step.
std::vector<double> train(int64_t first, int64_t rows, int ranks, Communicator* communicator) {
  Parameters parameters(
      [](Parameters& p) {
        p.get("w", {kIn, kOut}, ParameterKind::linear, kIn);
      },
      DType::f64);
  const Tensor x = input({rows, kIn}, DType::f64);
  const Tensor y = tanh(matmul(x, parameters.view(0)));
  const TrainingStep step = adam_step(mean(square(y - 0.5)), parameters, 0.1, {}, ranks);
  Program program(step.outputs(), cpu::backend(), {.alias = step.alias});
  program.write<double>(parameters.flat(), numbers(kIn * kOut, 1));
  const std::vector<double> all = numbers(kBatch * kIn, 2);
  const double lr = 0.01;
  std::vector<double> result;
  for (int i = 0; i < 3; ++i) {
    program.write<double>(x, std::span(all).subspan(static_cast<size_t>(first * kIn),
                                                    static_cast<size_t>(rows * kIn)));
    program.write<double>(step.lr, {&lr, 1});
    program.run({.communicator = communicator});
    result.push_back(program.read<double>(step.loss)[0]);
    result.push_back(program.read<double>(step.grad_norm)[0]);
  }
  for (const double w : program.read<double>(parameters.flat())) result.push_back(w);
  return result;
}

TEST_CASE("all_reduce: ranks with parts of a batch train like one with the whole") {
  const std::vector<double> alone = train(0, kBatch, 1, nullptr);
  for (const int ranks : {2, 3}) {
    Threads all(ranks);
    std::vector<std::vector<double>> results(static_cast<size_t>(ranks));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r)
      threads.emplace_back([&, r] {
        Threads::Rank rank(all, static_cast<size_t>(r));
        results[static_cast<size_t>(r)] = train(kBatch * r / ranks, kBatch / ranks, ranks, &rank);
      });
    for (std::thread& t : threads) t.join();
    for (const auto& result : results) {
      CHECK(result == results[0]);  // bit for bit
      REQUIRE(result.size() == alone.size());
      for (size_t i = 0; i < alone.size(); ++i)
        CHECK(result[i] == doctest::Approx(alone[i]).epsilon(1e-12));
    }
  }
}

}  // namespace
}  // namespace satin
