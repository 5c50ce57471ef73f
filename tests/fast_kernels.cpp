// The fast kernels of the memory-bound operations against their plain loops: shapes around every
// vector and piece size, every instruction set, f32 and f64, one and three threads.
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "satin/satin.h"

namespace satin {
namespace {

Tensor leaf(const Shape& shape, DType t) { return parameter(shape, t, "leaf"); }

template <class T>
std::vector<std::vector<T>> results(const Tensors& leaves,
                                    const Tensors& outputs,
                                    cpu::Isa isa,
                                    const Exec& exec) {
  Program program(outputs, cpu::backend(isa));
  std::mt19937 random(7);
  std::uniform_real_distribution<double> values(-2, 2);
  for (const Tensor& t : leaves) {
    std::vector<T> data(static_cast<size_t>(t.size()));
    for (T& v : data) v = static_cast<T>(values(random));
    program.write<T>(t, data);
  }
  program.run(exec);
  std::vector<std::vector<T>> all;
  for (const Tensor& t : outputs) all.push_back(program.read<T>(t));
  return all;
}

/// The normalized squared error of fast against plain is below `bar`; threads change no bit.
template <class T>
void agree(const std::string& what, const Tensors& leaves, const Tensors& outputs, double bar) {
  static ThreadPool three(3);
  Exec plain_exec, on_three;
  plain_exec.plain = true;
  on_three.pool = &three;
  for (const cpu::Isa isa : cpu::available_isas()) {
    CAPTURE(what);
    INFO("on ", cpu::name_of(isa));
    const auto plain = results<T>(leaves, outputs, isa, plain_exec);
    const auto fast = results<T>(leaves, outputs, isa, {});
    CHECK(fast == results<T>(leaves, outputs, isa, on_three));
    for (size_t k = 0; k < outputs.size(); ++k) {
      double error = 0, size = 0;
      for (size_t i = 0; i < plain[k].size(); ++i) {
        error += std::pow(double(fast[k][i]) - double(plain[k][i]), 2);
        size += std::pow(double(plain[k][i]), 2);
      }
      INFO("output ", k, ": error ", error, " of ", size);
      CHECK(error <= bar * size);
    }
  }
}

void agree(const std::string& what, const std::function<Tensors(DType, Tensors&)>& build) {
  Tensors leaves;
  const Tensors narrow = build(DType::f32, leaves);
  agree<float>(what, leaves, narrow, 1e-11);
  leaves.clear();
  const Tensors wide = build(DType::f64, leaves);
  agree<double>(what, leaves, wide, 1e-26);
}

}  // namespace

TEST_CASE("fast layer_norm and its gradient agree with the plain loops") {
  for (const int64_t c : {1, 2, 7, 8, 16, 24, 32, 33, 48, 64, 128, 256})
    for (const int64_t rows : {1, 3, 15, 16, 17, 1023, 1025})
      agree(cat("rows ", rows, ", C ", c), [&](DType t, Tensors& leaves) -> Tensors {
        leaves = {leaf({rows, c}, t), leaf({c}, t), leaf({c}, t), leaf({rows, c}, t)};
        Tensors outputs = {layer_norm(leaves[0], leaves[1], leaves[2])};
        // With one element a row dx is 0 but for rounding.
        const Tensors grads = layer_norm_grad(leaves[0], leaves[1], leaves[3]);
        if (c > 2)
          outputs.insert(outputs.end(), grads.begin(), grads.end());
        else
          leaves.pop_back();
        return outputs;
      });
}

TEST_CASE("fast broadcasts agree with the plain loops") {
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{5, 33}, {33}},        {{700, 32}, {700, 1}}, {{1, 40}, {37, 1}},     {{70000}, {}},
      {{2, 3, 1, 5}, {7, 5}}, {{}, {3, 50000}},      {{4, 1, 9}, {4, 8, 1}}, {{3, 40000}, {3, 1}}};
  for (const auto& [x, y] : shapes)
    agree(cat("x ", x, ", y ", y), [&, xs = x, ys = y](DType t, Tensors& leaves) -> Tensors {
      leaves = {leaf(xs, t), leaf(ys, t)};
      const Tensor &a = leaves[0], &b = leaves[1];
      return {a + b,
              a - b,
              a * b,
              a / b,
              maximum(a, b),
              minimum(a, b),
              less(a, b),
              less_equal(a, b),
              equal(a, b),
              leaky_relu_grad(a, b, 0.2),
              where(less(a, b), a, b),
              neg(a),
              abs(a),
              sign(b),
              relu(a),
              leaky_relu(a, 0.3),
              clamp(b, -0.5, 0.75),
              square(a),
              reciprocal(b)};
    });
}

TEST_CASE("fast sums agree with the plain loops") {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{5000, 32}, {32}},
                                                       {{4097, 5}, {5}},
                                                       {{33, 300}, {300}},
                                                       {{2, 70000}, {70000}},
                                                       {{1000, 32}, {1000, 1}},
                                                       {{37, 7}, {37, 1}},
                                                       {{3, 1000}, {3, 1}},
                                                       {{3, 9001}, {3, 1}},
                                                       {{100000}, {}},
                                                       {{1}, {}},
                                                       {{5}, {1}},
                                                       {{2, 6, 5, 9}, {2, 1, 1, 9}},
                                                       {{3, 40, 16, 32}, {16, 1}},
                                                       {{3, 5, 7, 2}, {5, 1, 2}},
                                                       {{0, 4}, {4}},
                                                       {{4, 0}, {4, 1}},
                                                       {{7, 1, 3}, {7, 1, 3}}};
  for (const auto& [x, y] : shapes)
    agree(cat("from ", x, " to ", y), [&, xs = x, ys = y](DType t, Tensors& leaves) -> Tensors {
      leaves = {leaf(xs, t)};
      return {sum_to(leaves[0], ys)};
    });
}

TEST_CASE("fast copies agree with the plain loops") {
  const std::vector<std::pair<Shape, std::vector<int>>> cases = {
      {{2, 3, 4, 5, 4, 8}, {0, 1, 3, 2, 4, 5}},
      {{2, 4, 3, 4, 5, 8}, {0, 2, 4, 1, 3, 5}},
      {{33, 47}, {1, 0}},
      {{3, 1100, 2}, {2, 0, 1}},
      {{2, 17, 5, 16}, {0, 3, 1, 2}},
      {{2, 3, 5, 7}, {3, 2, 1, 0}},
      {{3, 2, 5000}, {1, 0, 2}},
      {{0, 5}, {1, 0}}};
  for (const auto& [shape, order] : cases)
    agree(cat("permute of ", shape),
          [&, s = shape, o = order](DType t, Tensors& leaves) -> Tensors {
            leaves = {leaf(s, t)};
            return {permute(leaves[0], o)};
          });
}

TEST_CASE("fast multi_axis_gmlp and its gradient agree with the plain loops") {
  const std::pair<Shape, int> shapes[] = {{{1, 16, 32, 32}, 16}, {{2, 16, 16, 64}, 16},
                                          {{1, 8, 16, 128}, 8},  {{1, 10, 5, 40}, 5},
                                          {{1, 16, 8, 31}, 4},   {{3, 12, 12, 33}, 12}};
  for (const auto& [image, size] : shapes)
    for (const Branches branches : {Branches::grid_and_block, Branches::grid, Branches::block})
      agree(
          cat("x ", image, ", size ", size, ", branches ", static_cast<int>(branches)),
          [&, image = image, size = size](DType t, Tensors& leaves) -> Tensors {
            const bool both = branches == Branches::grid_and_block;
            const int64_t c = image[3], b = both ? c : 2 * c, s = size * size;
            for (const Shape& shape : {image, Shape{c}, {c}, {c, 2 * c}, {2 * c}, {2 * c, c}, {c}})
              leaves.push_back(leaf(shape, t));
            for (int k = 0; k < (both ? 2 : 1); ++k)
              for (const Shape& shape :
                   {Shape{b}, {b}, {b, 2 * b}, {2 * b}, {b}, {b}, {s, s}, {s}, {b, b}, {b}})
                leaves.push_back(leaf(shape, t));
            const auto w = multi_axis_gmlp_weights(leaves, 1, branches);
            leaves.push_back(leaf(image, t));
            const Tensors d = multi_axis_gmlp_grad(leaves[0], w, leaves.back(), {branches, size});
            return {multi_axis_gmlp(leaves[0], w, {branches, size}), d[0], d[1]};
          });
}

TEST_CASE("fast gmlp and its gradient agree with the plain loops") {
  const std::pair<Shape, int> shapes[] = {{{1, 16, 32, 32}, 16}, {{2, 16, 16, 64}, 16},
                                          {{1, 8, 16, 128}, 8},  {{1, 10, 5, 40}, 5},
                                          {{1, 16, 8, 31}, 4},   {{3, 12, 12, 33}, 12}};
  for (const auto& [image, size] : shapes)
    for (const GroupAxis axis : {GroupAxis::block, GroupAxis::grid})
      agree(cat("x ", image, ", size ", size, ", axis ", static_cast<int>(axis)),
            [&, image = image, size = size](DType t, Tensors& leaves) -> Tensors {
              const int64_t c = image[3], s = size * size;
              for (const Shape& shape : {image,
                                         Shape{c},
                                         {c},
                                         {c, 2 * c},
                                         {2 * c},
                                         {c},
                                         {c},
                                         {s, s},
                                         {s},
                                         {c, c},
                                         {c},
                                         image})
                leaves.push_back(leaf(shape, t));
              const GmlpWeights w = gmlp_weights(leaves, 1);
              const Tensors d = gmlp_grad(leaves[0], w, leaves.back(), {axis, size});
              return {gmlp(leaves[0], w, {axis, size}), d[0], d[1]};
            });
}

TEST_CASE("fast softmax and adam_update agree with the plain loops") {
  for (const int64_t n : {1, 2, 7, 16, 33, 200})
    agree(cat("softmax of ", n), [&](DType t, Tensors& leaves) -> Tensors {
      leaves = {leaf({19, n}, t)};
      return {softmax(leaves[0])};
    });
  for (const double scale : {0.5, std::numeric_limits<double>::infinity()})
    agree(cat("adam_update, scale ", scale), [&](DType t, Tensors& leaves) -> Tensors {
      leaves = {leaf({20011}, t), leaf({20011}, t), leaf({20011}, t), leaf({20011}, t)};
      return adam_update(leaves[0], leaves[1], leaves[2], square(leaves[3]), constant({0.1}, {}, t),
                         constant({3}, {}, t), constant({scale}, {}, t));
    });
}

}  // namespace satin
