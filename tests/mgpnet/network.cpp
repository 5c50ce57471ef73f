// MGPNet against the reference: parameters, multiply-adds, outputs, loss, gradients and six losses
// of training, from weights and pictures given by a formula (tests/data/*.safetensors hold the
// answers).
#include "mgpnet/network.h"

#include <cmath>
#include <cstring>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "mgpnet/model.h"
#include "nn/optimizer.h"
#include "nn/random.h"
#include "nn/safetensors.h"
#include "tensor/cost.h"

using namespace satin;
using namespace mgpnet;

namespace {

/// Element i of `formula_values(name)`: the top 24 bits of splitmix64(fnv1a(name) + i), in [-1, 1).
double formula(const std::string& name, int64_t i) {
  return static_cast<double>(mix64(fnv1a(name) + static_cast<uint64_t>(i)) >> 40) / 0x1p23 - 1;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// `formula_state` of the reference, in our layout.
std::vector<float> formula_weights(const Parameters& parameters) {
  std::vector<float> values(static_cast<size_t>(parameters.size()));
  for (const ParameterInfo& info : parameters.list()) {
    // The reference takes convUp's fan-in over its input channels alone.
    const double fan_in = info.kind == ParameterKind::conv_transpose
                              ? static_cast<double>(info.shape[3])
                              : static_cast<double>(info.fan_in);
    for (int64_t i = 0; i < info.shape.size(); ++i) {
      const double u = formula(info.name, torch_offset(info, i));
      double value = u / std::sqrt(fan_in);
      if (ends_with(info.name, "layernorm.weight"))
        value = 1 + 0.1 * u;
      else if (info.shape.rank() == 1)
        value = 0.1 * u;
      values[static_cast<size_t>(info.offset + i)] = static_cast<float>(value);
    }
  }
  return values;
}

/// NCHW values of the formula as an NHWC picture in [0, 1].
template <class T>
std::vector<T> formula_picture(const std::string& name, const Shape& nhwc) {
  std::vector<T> values(static_cast<size_t>(nhwc.size()));
  const int64_t h = nhwc[1], w = nhwc[2];
  for (int64_t i = 0; i < nhwc.size(); ++i) {
    const int64_t c = i % 3, x = i / 3 % w, y = i / 3 / w % h, n = i / 3 / w / h;
    // The reference rounds the formula to f32 first.
    const auto u = static_cast<float>(formula(name, ((n * 3 + c) * h + y) * w + x));
    values[static_cast<size_t>(i)] = static_cast<T>(static_cast<double>(u) * 0.5 + 0.5);
  }
  return values;
}

std::vector<double> stored(const TensorFile& file, const std::string& name) {
  const StoredTensor* t = file.find(name);
  REQUIRE_MESSAGE(t, name);
  std::vector<double> values(t->data.size() / sizeof(double));
  std::memcpy(values.data(), t->data.data(), t->data.size());
  return values;
}

struct Difference {
  double nmse;  ///< sum of squared differences over sum of squares
  double max;   ///< largest difference over the largest value
};

Difference difference(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double error = 0, power = 0, worst = 0, largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = got[i] - expected[i];
    error += d * d;
    power += expected[i] * expected[i];
    worst = std::max(worst, std::isfinite(d) ? std::abs(d) : INFINITY);
    largest = std::max(largest, std::abs(expected[i]));
  }
  REQUIRE(power > 0);
  return {error / power, worst / largest};
}

/// An NHWC value as the NCHW list of the fixture.
template <class T>
std::vector<double> nchw(const std::vector<T>& values, const Shape& nhwc) {
  std::vector<double> out(values.size());
  const int64_t h = nhwc[1], w = nhwc[2], channels = nhwc[3];
  for (size_t k = 0; k < values.size(); ++k) {
    const auto i = static_cast<int64_t>(k);
    const int64_t c = i % channels, x = i / channels % w, y = i / channels / w % h,
                  n = i / channels / w / h;
    out[static_cast<size_t>(((n * channels + c) * h + y) * w + x)] = static_cast<double>(values[k]);
  }
  return out;
}

/// The bars of the fixtures.
struct Bars {
  double output_max, output_nmse, gradient_max, gradient_nmse, loss;
};
constexpr Bars kF64 = {1e-9, 1e-18, 1e-9, 1e-18, 1e-9};
constexpr Bars kF32 = {1.0, 1e-10, 1.0, 1e-5, 3e-4};

template <class T>
void check_fixture(
    const std::string& name, const Shape& picture, int steps, const Bars& bars, cpu::Isa isa) {
  CAPTURE(name);
  CAPTURE(cpu::name_of(isa));
  const TensorFile file = read_safetensors(std::string(SATIN_SOURCE_DIR "/tests/data/") + name);
  const DType t = sizeof(T) == 8 ? DType::f64 : DType::f32;

  Parameters parameters = network_parameters({}, t);
  const Tensor x = input(picture, t), target = input(picture, t);
  const Tensors y = network(parameters, x);
  const TrainingStep step = adam_step(multi_scale_l1(y, target), parameters, 10.0);
  Tensors outputs = step.outputs();
  outputs.insert(outputs.end(), y.begin(), y.end());
  outputs.push_back(step.gradient);
  Program program(outputs, cpu::backend(isa), {.alias = step.alias});
  ThreadPool pool;
  const Exec exec{.pool = &pool};

  const std::vector<float> weights = formula_weights(parameters);
  program.write<T>(parameters.flat(), std::vector<T>(weights.begin(), weights.end()));
  const auto feed = [&] {
    program.write<T>(x, formula_picture<T>("input", picture));
    program.write<T>(target, formula_picture<T>("target", picture));
    program.write<T>(step.lr, std::vector<T>{static_cast<T>(2e-4)});
  };
  feed();
  program.run(exec);

  for (size_t k = 0; k < 3; ++k) {
    const auto d =
        difference(nchw(program.read<T>(y[k]), y[k].shape()), stored(file, cat("output", k + 1)));
    CHECK(d.max <= bars.output_max);
    CHECK(d.nmse <= bars.output_nmse);
  }
  const std::vector<double> losses = stored(file, "losses");
  const auto relative = [](double got, double expected) { return std::abs(got / expected - 1); };
  CHECK(relative(program.read<T>(step.loss)[0], losses[0]) <= bars.loss);
  CHECK(relative(program.read<T>(step.grad_norm)[0], stored(file, "grad_norm")[0]) <= bars.loss);

  const std::vector<T> gradient = program.read<T>(step.gradient);
  const auto names =
      nlohmann::json::parse(std::get<std::string>(*file.find_metadata("parameters")));
  const std::vector<double> norms = stored(file, "grad_norms"), sums = stored(file, "grad_sums");
  REQUIRE(names.size() == parameters.list().size());
  int whole = 0;
  for (size_t k = 0; k < names.size(); ++k) {
    const ParameterInfo* info = parameters.find(names[k].get<std::string>());
    REQUIRE(info);
    std::vector<double> g(static_cast<size_t>(info->shape.size()));
    double square = 0, sum = 0;
    for (int64_t i = 0; i < info->shape.size(); ++i) {
      const auto value = static_cast<double>(gradient[static_cast<size_t>(info->offset + i)]);
      g[static_cast<size_t>(torch_offset(*info, i))] = value;
      square += value * value;
      sum += value;
    }
    CAPTURE(info->name);
    const double tolerance = t == DType::f64 ? 1e-9 : 4e-3;  // sqrt of the NMSE bar
    CHECK(std::abs(std::sqrt(square) - norms[k]) <= tolerance * norms[k]);
    CHECK(std::abs(sum - sums[k]) <=
          tolerance * norms[k] * std::sqrt(static_cast<double>(g.size())));
    if (file.find("grad:" + info->name)) {
      const auto d = difference(g, stored(file, "grad:" + info->name));
      CHECK(d.max <= bars.gradient_max);
      CHECK(d.nmse <= bars.gradient_nmse);
      ++whole;
    }
  }
  CHECK(whole == 4);

  for (int k = 1; k <= steps; ++k) {
    feed();
    program.run(exec);
    CAPTURE(k);
    CHECK(relative(program.read<T>(step.loss)[0], losses[static_cast<size_t>(k)]) <= bars.loss);
  }
}

}  // namespace

TEST_CASE("mgpnet has the published parameters and multiply-adds") {
  Parameters parameters = network_parameters();
  CHECK(parameters.list().size() == 470);
  CHECK(parameters.size() == 3722633);
  const Tensors y = network(parameters, input({1, 384, 512, 3}));
  const double gmac = static_cast<double>(cost_of(y).macs) * 1e-9;
  CHECK(gmac == doctest::Approx(93.016).epsilon(1e-5));
}

TEST_CASE("the ablations have the published parameter counts") {
  const std::pair<const char*, int64_t> published[] = {
      {"full", 3722633},       {"plain-eb-db", 3713475}, {"plain-eb", 3718665},
      {"plain-db", 3717443},   {"msfb-single", 3717001}, {"local-only", 3695753},
      {"global-only", 3695753}};
  for (const auto& [name, count] : published) {
    CAPTURE(name);
    const auto config = variant(name);
    REQUIRE(config);
    CHECK(network_parameters(*config).size() == count);
  }
}

TEST_CASE("mgpnet in f64 agrees with the reference") {
  check_fixture<double>("fixture_64x64_b2.safetensors", {2, 64, 64, 3}, 5, kF64,
                        cpu::default_isa());
  check_fixture<double>("fixture_96x160_b1.safetensors", {1, 96, 160, 3}, 1, kF64,
                        cpu::default_isa());
}

TEST_CASE("mgpnet in f32 agrees with the reference on every instruction set") {
  for (const cpu::Isa isa : cpu::available_isas()) {
    check_fixture<float>("fixture_64x64_b2.safetensors", {2, 64, 64, 3}, 5, kF32, isa);
    check_fixture<float>("fixture_96x160_b1.safetensors", {1, 96, 160, 3}, 1, kF32, isa);
  }
}
