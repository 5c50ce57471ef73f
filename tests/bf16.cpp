// Products in bf16 beyond what opcheck does: the rounding, the tiles against their scalar twin,
// NaN, and that f32 never gets any of it.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "evaluate.h"
#include "satin/satin.h"
#include "tensor/concat_linear.h"
#include "tensor/multi_axis_gmlp.h"
#include "tensor/rcab.h"
#include "tensor/schedule.h"

namespace satin {
namespace {

using testing::Bytes;
using Values = std::vector<double>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The paths with kernels of their own.
std::vector<cpu::Isa> paths() {
  std::vector<cpu::Isa> isas = cpu::available_isas();
  std::erase_if(isas, [](cpu::Isa isa) { return !cpu::multiplies_in_bf16(isa); });
  return isas;
}

Values random_values(int64_t n, uint64_t seed) {
  testing::Random random(seed);
  Values values(static_cast<size_t>(n));
  for (double& v : values) v = random.uniform(-1, 1);
  return values;
}

std::vector<Bytes> random_bytes(const Tensors& leaves) {
  std::vector<Bytes> bytes;
  for (const Tensor& t : leaves)
    bytes.push_back(testing::encode(random_values(t.size(), bytes.size() + 1), DType::f32));
  return bytes;
}

Bytes run(const Tensor& y,
          const Tensors& leaves,
          const std::vector<Bytes>& bytes,
          cpu::Isa isa,
          Precision precision) {
  return testing::run_program({y}, leaves, bytes, cpu::backend(isa), {},
                              {.precision = precision})[0];
}

/// Products that fill tiles and leave rests in every direction.
struct Product {
  const char* name;
  Tensors leaves;
  Tensor y;
};

std::vector<Product> products() {
  std::vector<Product> all;
  const auto add = [&](const char* name, const std::vector<Shape>& shapes, auto build) {
    Tensors leaves;
    for (const Shape& s : shapes) leaves.push_back(input(s));
    all.push_back({name, leaves, build(leaves)});
  };
  for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 1, 1},
                                {16, 32, 16},
                                {17, 33, 17},
                                {32, 64, 32},
                                {33, 31, 49},
                                {300, 100, 70}})
    add("matmul", {{m, k}, {k, n}, {n}},
        [](const Tensors& x) { return matmul(x[0], x[1], {}, x[2]); });
  add("matmul, transposed", {{2, 19, 40}, {24, 40}},
      [](const Tensors& x) { return matmul(x[0], x[1], {.transpose_b = true}); });
  for (const int stride : {1, 2})
    for (const int dilation : {1, 2})
      add("conv2d", {{2, 9, 37, 33}, {3, 3, 33, 20}, {20}}, [=](const Tensors& x) {
        return conv2d(x[0], x[1], {.stride = stride, .pad = 1, .dilation = dilation}, x[2]);
      });
  add("conv2d", {{1, 6, 64, 32}, {3, 3, 32, 32}},
      [](const Tensors& x) { return conv2d(x[0], x[1], {.pad = 1}); });
  add("conv_transpose2d", {{1, 3, 35, 40}, {2, 2, 17, 40}},
      [](const Tensors& x) { return conv_transpose2d(x[0], x[1], {.stride = 2}); });
  add("concat_linear", {{1, 4, 34, 5}, {1, 2, 17, 33}, {1, 8, 68, 3}, {41, 18}, {18}},
      [](const Tensors& x) {
        return concat_linear({x[0], x[1], x[2]}, x[3], x[4], {4, 34});
      });
  return all;
}

}  // namespace

TEST_CASE("bf16: operands are rounded to nearest even, once") {
  const std::vector<float> hard = {1.0f,        1.00390625f,  1.01171875f, 1.0039063f, 0.1f,
                                   -3.1415927f, 65535.0f,     3.3e38f,     3.4e38f,    kInfinity,
                                   -kInfinity,  kNan,         1.2e-38f,    0.0f,       -1.00390625f,
                                   1e10f,       0.333333343f, 255.5f};
  const auto n = static_cast<int64_t>(hard.size());
  const Tensor x = input({n, 1}), one = input({1, 1});
  std::vector<Bytes> bytes = {testing::encode(Values(hard.begin(), hard.end()), DType::f32),
                              testing::encode({1}, DType::f32)};
  for (const cpu::Isa isa : paths()) {
    CAPTURE(cpu::name_of(isa));
    const Values y =
        testing::decode(run(matmul(x, one), {x, one}, bytes, isa, Precision::bf16), DType::f32);
    for (size_t i = 0; i < hard.size(); ++i) {
      CAPTURE(hard[i]);
      const auto expected = static_cast<double>(to_f32(to_bf16(hard[i])));
      CHECK((std::isnan(expected) ? std::isnan(y[i]) : y[i] == expected));
    }
  }
}

TEST_CASE("bf16: the tiles give the bits of their scalar twin on every instruction set") {
  for (const Product& p : products()) {
    CAPTURE(p.name);
    CAPTURE(p.y.shape());
    const std::vector<Bytes> bytes = random_bytes(p.leaves);
    const Bytes first = run(p.y, p.leaves, bytes, cpu::Isa::baseline, Precision::bf16);
    CHECK(first != run(p.y, p.leaves, bytes, cpu::Isa::baseline, Precision::f32));
    for (const cpu::Isa isa : paths()) {
      CAPTURE(cpu::name_of(isa));
      CHECK(run(p.y, p.leaves, bytes, isa, Precision::bf16) == first);
    }
  }
}

TEST_CASE(
    "bf16: f32 has the same bits with and without a matrix unit, and shares no packed weights") {
  for (const Product& p : products()) {
    CAPTURE(p.name);
    const std::vector<Bytes> bytes = random_bytes(p.leaves);
    for (const cpu::Isa isa : cpu::available_isas()) {
      const Bytes exact = run(p.y, p.leaves, bytes, isa, Precision::f32);
      if (isa == cpu::Isa::amx)
        CHECK(exact == run(p.y, p.leaves, bytes, cpu::Isa::avx512, Precision::f32));
      if (!cpu::multiplies_in_bf16(isa))
        CHECK(exact == run(p.y, p.leaves, bytes, isa, Precision::bf16));
    }
  }
  // Two Programs of one model on one Store.
  const Tensor x = input({40, 70});
  const Tensor w =
      parameter({70, 50}, DType::f32, "w", testing::encode(random_values(3500, 5), DType::f32));
  const Tensor y = matmul(x, w);
  Store store(cpu::backend());
  Program exact({y}, cpu::backend(), {.store = &store});
  Program rounded({y}, cpu::backend(), {.store = &store, .precision = Precision::bf16});
  const Bytes values = testing::encode(random_values(2800, 6), DType::f32);
  const auto result = [&](Program& program) {
    program.write_bytes(x, values.data());
    program.run();
    return program.read<float>(y);
  };
  const std::vector<float> a = result(exact), b = result(rounded);
  CHECK(a != b);
  CHECK(a == result(exact));
  CHECK(b == result(rounded));
  for (const NodePtr& node : nodes_of(in_precision({y}, Precision::f32)))
    CHECK(node->precision == Precision::f32);
}

TEST_CASE("bf16: NaN goes through, and only where it belongs") {
  const Tensor x = input({1, 6, 40, 5}), w = input({3, 3, 5, 4});
  for (const cpu::Isa isa : paths()) {
    CAPTURE(cpu::name_of(isa));
    std::vector<Bytes> bytes = random_bytes({x, w});
    Values values = testing::decode(bytes[0], DType::f32);
    values[(2 * 40 + 7) * 5 + 3] = std::nan("");
    bytes[0] = testing::encode(values, DType::f32);
    const Values y = testing::decode(
        run(conv2d(x, w, {.pad = 1}), {x, w}, bytes, isa, Precision::bf16), DType::f32);
    for (int64_t i = 0; i < std::ssize(y); ++i) {
      const int64_t row = i / 4 / 40, col = i / 4 % 40;
      CHECK(std::isnan(y[static_cast<size_t>(i)]) ==
            (std::abs(row - 2) <= 1 && std::abs(col - 7) <= 1));
    }
  }
}

}  // namespace satin
