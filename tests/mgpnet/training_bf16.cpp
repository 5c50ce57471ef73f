// Training with products in bf16: the gradient and the losses of six steps beside those in f32, and
// the same bits for any number of threads.
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "mgpnet/network.h"
#include "mgpnet/workload.h"
#include "nn/optimizer.h"
#include "nn/random.h"
#include "tensor/program.h"

using namespace satin;
using namespace mgpnet;

namespace {

using Values = std::vector<float>;

constexpr double kUnit = 0x1p-8;  // what rounding to bf16 changes a number by at most, of itself

/// MGPNet at one pair of pictures.  The target lies above all outputs: no sign of the L1 loss
/// flips. One of the 192 at the coarsest scale of 32 x 32 pixels would move the gradient further
/// than all rounding does.
struct Training {
  Training(int64_t side, const Backend& backend, Precision precision)
      : parameters(network_parameters({})),
        x(input({1, side, side, 3})),
        target(input(x.shape())),
        step(adam_step(multi_scale_l1(network(parameters, x, {}), target), parameters, 10.0)),
        program(
            {step.loss, step.gradient}, backend, {.alias = step.alias, .precision = precision}) {
    write_weights(default_initialization(parameters, 1));
  }

  void write_weights(const Values& weights) { program.write<float>(parameters.flat(), weights); }
  Values weights() { return program.read<float>(parameters.flat()); }
  /// One step: the loss before it.
  double run(int threads) {
    const float lr = 2e-4f;
    program.write<float>(x, random_values(x.size(), 2));
    Values above = random_values(x.size(), 3);
    for (float& v : above) v += 5;
    program.write<float>(target, above);
    program.write<float>(step.lr, {&lr, 1});
    ThreadPool pool(threads);
    program.run({.pool = &pool});
    return static_cast<double>(program.read<float>(step.loss)[0]);
  }

  Parameters parameters;
  Tensor x, target;
  TrainingStep step;
  Program program;
};

/// Matrices and kernels off at random by up to kUnit.
Values off(const Parameters& parameters, Values weights, std::mt19937_64& random) {
  for (const ParameterInfo& info : parameters.list())
    for (int64_t i = 0; info.shape.rank() >= 2 && i < info.shape.size(); ++i) {
      const double uniform = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
      weights[static_cast<size_t>(info.offset + i)] *= static_cast<float>(1 + kUnit * uniform);
    }
  return weights;
}

double nmse(const Values& got, const Values& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto e = static_cast<double>(expected[i]), d = static_cast<double>(got[i]) - e;
    error += d * d;
    size += e * e;
  }
  return error / size;
}

}  // namespace

// The bar is that of the outputs (tests/mgpnet/network.cpp): twice what weights off at random do.
// One factor of every product on the way is a weight, and what errors of the other factor do is as
// large.  Gradients of weights multiply two such factors, whose own rounding is small beside the
// errors that came that way.
TEST_CASE("bf16: the gradient of a training step, and its bits with any number of threads") {
  constexpr int64_t kSide = 64;
  Training exact(kSide, cpu::backend(), Precision::f32);
  const Values initial = exact.weights();
  exact.run(2);
  const Values expected = exact.program.read<float>(exact.step.gradient);
  constexpr int kDraws = 4;
  std::mt19937_64 random(1);
  double bar = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    exact.write_weights(off(exact.parameters, initial, random));
    exact.run(2);
    bar += 2.0 / kDraws * nmse(exact.program.read<float>(exact.step.gradient), expected);
  }
  for (const cpu::Isa isa : cpu::available_isas()) {
    if (!cpu::multiplies_in_bf16(isa)) continue;
    CAPTURE(cpu::name_of(isa));
    Training rounded(kSide, cpu::backend(isa), Precision::bf16);
    Values first, first_weights;
    for (const int threads : {1, 2, 3}) {
      rounded.write_weights(initial);
      for (const Tensor& moments : {rounded.step.m, rounded.step.v})
        rounded.program.write<float>(moments, Values(initial.size()));
      rounded.program.write<float>(rounded.step.steps, Values{0});
      rounded.run(threads);
      const Values gradient = rounded.program.read<float>(rounded.step.gradient);
      const double error = nmse(gradient, expected);
      CAPTURE(error);
      CAPTURE(bar);
      CHECK(error <= bar);
      CHECK(error > 1e-8);  // bf16 indeed
      if (first.empty()) first = gradient, first_weights = rounded.weights();
      CHECK(gradient == first);
      CHECK(rounded.weights() == first_weights);
    }
  }
}

// How far losses may be apart: trainings in f32 whose weights are off at random in every step (but
// not what is kept of them) deviate from f32 by d; with errors of both factors of every product it
// is sqrt(2) d, and three standard deviations of that are the bar.
TEST_CASE("bf16: the losses of six steps fall like those in f32") {
  constexpr int64_t kSide = 32;
  constexpr size_t kSteps = 6;
  constexpr int kDraws = 32;
  const auto losses = [&](const Backend& backend, Precision precision) {
    Training training(kSide, backend, precision);
    std::vector<double> all;
    for (size_t k = 0; k < kSteps; ++k) all.push_back(training.run(2));
    return all;
  };
  const std::vector<double> exact = losses(cpu::backend(), Precision::f32);
  const Values initial = Training(kSide, cpu::backend(), Precision::f32).weights();
  std::mt19937_64 random(2);
  std::vector<double> squares(kSteps);
  for (int draw = 0; draw < kDraws; ++draw) {
    Training training(kSide, cpu::backend(), Precision::f32);
    Values kept = initial;
    for (double& square : squares) {
      const Values moved = off(training.parameters, kept, random);
      training.write_weights(moved);
      const size_t step = static_cast<size_t>(&square - squares.data());
      const double d = training.run(2) - exact[step];
      square += d * d / kDraws;
      const Values after = training.weights();
      for (size_t i = 0; i < kept.size(); ++i) kept[i] += after[i] - moved[i];
    }
  }
  for (const cpu::Isa isa : cpu::available_isas()) {
    if (!cpu::multiplies_in_bf16(isa)) continue;
    CAPTURE(cpu::name_of(isa));
    const std::vector<double> expected = losses(cpu::backend(isa), Precision::f32),
                              got = losses(cpu::backend(isa), Precision::bf16);
    for (size_t k = 0; k < kSteps; ++k) {
      CAPTURE(k);
      CHECK(std::abs(got[k] - expected[k]) <= 3 * std::sqrt(2 * squares[k]));
      CHECK(got[k] != expected[k]);  // bf16 indeed
    }
    CHECK(expected.back() < expected.front());
    CHECK(got.back() < got.front());
  }
}
