// The memory-bound kernels on the shapes of MGPNet, against a copy of the same bytes in the same
// run.  Prints GB/s (bytes that an operation must read and write once) and the best of some turns.
//
//   SATIN_ISA=avx2 build/rel/bench/satin_bench [THREADS] [NAME]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "satin/satin.h"

namespace {

using namespace satin;

constexpr int kTurns = 15;
constexpr int64_t kPiece = 1 << 17;  // bytes a thread copies at a time

double best_seconds(const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < kTurns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double copy_speed(ThreadPool& pool, int64_t bytes) {
  std::vector<char> from(static_cast<size_t>(bytes), 1), to(static_cast<size_t>(bytes), 2);
  struct Job {
    char *to, *from;
  } job{to.data(), from.data()};
  const double seconds = best_seconds([&] {
    pool.parallel(
        bytes / kPiece,
        [](void* context, int64_t i) {
          const Job& j = *static_cast<Job*>(context);
          std::memcpy(j.to + i * kPiece, j.from + i * kPiece, kPiece);
        },
        &job);
  });
  return 2e-9 * static_cast<double>(bytes) / seconds;
}

struct Case {
  std::string name;
  Tensors leaves;
  Tensors outputs;
};

std::vector<Case> cases_of(int64_t rows, int64_t c) {
  const auto leaf = [](const Shape& shape) { return parameter(shape, DType::f32, "leaf"); };
  const Tensor x = leaf({rows, c}), y = leaf({rows, c}), row = leaf({c}), row2 = leaf({c}),
               column = leaf({rows, 1});
  const int64_t s = 16, g = 4, n = rows / (s * s * g * g);
  const Tensor image = leaf({n, g, s, g, s, c}), groups = leaf({n, g, g, s, s, c});
  return {{"copy: neg", {x}, {neg(x)}},
          {"add", {x, y}, {x + y}},
          {"add row vector", {x, row}, {x + row}},
          {"mul value of a row", {x, column}, {x * column}},
          {"relu", {x}, {relu(x)}},
          {"exp", {x}, {exp(x)}},
          {"sigmoid", {x}, {sigmoid(x)}},
          {"tanh", {x}, {tanh(x)}},
          {"erf", {x}, {erf(x)}},
          {"gelu", {x}, {gelu(x)}},
          {"gelu_grad", {x, y}, {gelu_grad(x, y)}},
          {"layer_norm", {x, row, row2}, {layer_norm(x, row, row2)}},
          {"layer_norm_grad", {x, row, y}, layer_norm_grad(x, row, y)},
          {"sum_to [C]", {x}, {sum_to(x, {c})}},
          {"sum_to [M,1]", {x}, {sum_to(x, {rows, 1})}},
          {"sum_to []", {x}, {sum_to(x, {})}},
          {"softmax", {x}, {softmax(x)}},
          {"permute to blocks", {image}, {permute(image, {0, 1, 3, 2, 4, 5})}},
          {"permute to grid", {image}, {permute(image, {0, 2, 4, 1, 3, 5})}},
          {"permute from grid", {groups}, {permute(groups, {0, 3, 1, 4, 2, 5})}},
          {"permute transposed", {x}, {permute(x, {1, 0})}}};
}

void measure(const Case& c, ThreadPool& pool, double copy) {
  Program program(c.outputs, cpu::backend());
  int64_t bytes = 0;
  for (const Tensor& t : c.leaves) {
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i * 2654435761u % 8191) / 2048 - 2;
    program.write<float>(t, values);
    bytes += 4 * t.size();
  }
  for (const Tensor& t : c.outputs) bytes += 4 * t.size();
  Exec exec;
  exec.pool = &pool;
  const double seconds = best_seconds([&] { program.run(exec); });
  const double speed = 1e-9 * static_cast<double>(bytes) / seconds;
  std::printf("%-20s %7.2f ms %7.1f GB/s %5.0f %% of memcpy %7.2f Gelem/s\n", c.name.c_str(),
              1e3 * seconds, speed, 100 * speed / copy,
              1e-9 * static_cast<double>(c.leaves[0].size()) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  const std::string wanted = argc > 2 ? argv[2] : "";
  ThreadPool pool(threads);
  for (const int64_t c : {32, 64}) {
    constexpr int64_t kRows = 196608;  // 512 x 384
    const double copy = copy_speed(pool, kRows * c * 4);
    std::printf("%lld x %lld f32, %d threads, %s: memcpy %.1f GB/s\n",
                static_cast<long long>(kRows), static_cast<long long>(c), pool.threads(),
                std::string(cpu::backend().name()).c_str(), copy);
    for (const Case& one : cases_of(kRows, c))
      if (one.name.find(wanted) != std::string::npos) measure(one, pool, copy);
  }
}
