// The products of MGPNet (matmul, the convolution triple), in % of the peak of multiply-adds that
// the same threads reach in the same run.
//
//   SATIN_ISA=avx2 build/rel/bench/satin_bench_products [THREADS] [NAME]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "satin/satin.h"

namespace {

using namespace satin;

/// The best of some turns.  One thread is timed by the processor time it took, so that others on
/// the machine disturb little.
double best_seconds(const ThreadPool& pool, const std::function<void()>& run) {
  const auto now = [&] {
    if (pool.threads() == 1) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  double best = 1e9;
  for (int turn = 0; turn < 9; ++turn) {
    const double start = now();
    run();
    best = std::min(best, now() - start);
  }
  return best;
}

// Chains of multiply-adds that depend on nothing but themselves.  Volatile assembly: chains written
// as expressions are merged when equal, and the peak is a lie.
constexpr int kChains = 12, kLinks = 200000;

#define SATIN_CHAINS(BYTES, LINK)                                                               \
  using V = float __attribute__((vector_size(BYTES)));                                          \
  V c0{}, c1{}, c2{}, c3{}, c4{}, c5{}, c6{}, c7{}, c8{}, c9{}, c10{}, c11{};                   \
  const V a = V{} + 0.999f, b = V{} + 1e-3f;                                                    \
  for (int i = 0; i < kLinks; ++i) {                                                            \
    LINK(c0)                                                                                    \
    LINK(c1)                                                                                    \
    LINK(c2) LINK(c3) LINK(c4) LINK(c5) LINK(c6) LINK(c7) LINK(c8) LINK(c9) LINK(c10) LINK(c11) \
  }

#if defined(__x86_64__)
#define SATIN_LINK512(c) asm volatile("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#define SATIN_LINK256(c) asm volatile("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
// SSE2 has no fused multiply-add: its peak is a product and a sum, here of different chains.
#define SATIN_LINK128(c) asm volatile("mulps %1, %0\n\taddps %2, %0" : "+x"(c) : "x"(a), "x"(b));
__attribute__((target("avx512f"))) void chains_avx512() { SATIN_CHAINS(64, SATIN_LINK512) }
__attribute__((target("avx2,fma"))) void chains_avx2() { SATIN_CHAINS(32, SATIN_LINK256) }
#elif defined(__aarch64__)
#define SATIN_LINK128(c) asm volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
#else
#define SATIN_LINK128(c) c += a * b;
#endif
void chains_baseline() { SATIN_CHAINS(16, SATIN_LINK128) }

/// GFLOP/s of all threads at once.
double peak(ThreadPool& pool) {
  void (*chains)() = chains_baseline;
  double lanes = 4;
#if defined(__x86_64__)
  const std::string_view isa = cpu::backend().name();
  if (isa == "avx2") chains = chains_avx2, lanes = 8;
  if (isa == "avx512" || isa == "amx") chains = chains_avx512, lanes = 16;
#endif
  constexpr int kRuns = 8;  // per thread, so that a late start costs little
  const double seconds = best_seconds(pool, [&] {
    pool.parallel(
        kRuns * pool.threads(), [](void* run, int64_t) { (*static_cast<void (**)()>(run))(); },
        &chains);
  });
  return 2e-9 * kRuns * pool.threads() * lanes * kChains * kLinks / seconds;
}

struct Case {
  std::string name;
  Tensors leaves;
  Tensor y;
};

Tensor leaf(const Shape& shape) { return parameter(shape, DType::f32, "leaf"); }

std::vector<Case> matmul_cases() {
  std::vector<Case> cases;
  constexpr int64_t kPixels = 49152;
  for (const int64_t c : {32, 64, 128}) {
    const std::string channels = " C=" + std::to_string(c);
    const Tensor x = leaf({kPixels, c}), w = leaf({c, 2 * c}), bias = leaf({2 * c});
    const Tensor dy = leaf({kPixels, 2 * c});
    const int64_t s = c == 128 ? 64 : 256;
    const Tensor p = leaf({s, s}), groups = leaf({96, s, c}), dgroups = leaf({96, s, c});
    cases.push_back({"x w + b" + channels, {x, w, bias}, matmul(x, w, {}, bias)});
    cases.push_back({"dx = dy w^T" + channels, {dy, w}, matmul(dy, w, {.transpose_b = true})});
    cases.push_back({"dw = x^T dy" + channels, {x, dy}, matmul(x, dy, {.transpose_a = true})});
    cases.push_back({"P x[g]" + channels, {p, groups}, matmul(p, groups)});
    cases.push_back(
        {"P^T dy[g]" + channels, {p, groups}, matmul(p, groups, {.transpose_a = true})});
    cases.push_back({"dP = sum dy x^T" + channels,
                     {dgroups, groups},
                     matmul(dgroups, groups, {.transpose_b = true, .sum_batch = true})});
  }
  const Tensor x = leaf({kPixels, 224}), w = leaf({224, 16});
  cases.push_back({"x w 224 -> 16", {x, w}, matmul(x, w)});
  const Tensor a = leaf({1024, 1024}), b = leaf({1024, 1024});
  cases.push_back({"square 1024", {a, b}, matmul(a, b)});
  return cases;
}

std::vector<Case> conv_cases() {
  struct Sizes {
    int64_t n, h, w, cin, cout, k;
    int stride, pad;
  };
  std::vector<Case> cases;
  for (const Sizes& s : {Sizes{1, 384, 512, 32, 32, 3, 1, 1},
                         {1, 192, 256, 64, 64, 3, 1, 1},
                         {1, 96, 128, 128, 128, 3, 1, 1},
                         {8, 128, 128, 32, 32, 3, 1, 1},
                         {8, 64, 64, 64, 64, 3, 1, 1},
                         {8, 32, 32, 128, 128, 3, 1, 1},
                         {1, 384, 512, 16, 16, 3, 1, 1},
                         {1, 192, 256, 3, 16, 3, 1, 1},
                         {1, 384, 512, 32, 3, 3, 1, 1},
                         {1, 384, 512, 32, 32, 2, 2, 0},
                         {1, 192, 256, 64, 64, 2, 2, 0}}) {
    const std::string what = " " + std::to_string(s.n) + "x" + std::to_string(s.h) + "x" +
                             std::to_string(s.w) + " " + std::to_string(s.cin) + "->" +
                             std::to_string(s.cout) + " k" + std::to_string(s.k) + " s" +
                             std::to_string(s.stride);
    const Conv2dAttrs attrs{.stride = s.stride, .pad = s.pad};
    const Tensor x = leaf({s.n, s.h, s.w, s.cin}), w = leaf({s.k, s.k, s.cin, s.cout});
    const Tensor y = conv2d(x, w, attrs), dy = leaf(y.shape());
    cases.push_back({"conv2d" + what, {x, w}, y});
    cases.push_back({"dx" + what, {dy, w}, conv2d_input_grad(dy, w, attrs, x.shape())});
    cases.push_back({"dw" + what, {x, dy}, conv2d_weight_grad(x, dy, attrs, w.shape())});
  }
  return cases;
}

void measure(const Case& c, ThreadPool& pool, double peak_speed) {
  Program program({c.y}, cpu::backend());
  for (const Tensor& t : c.leaves) {
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i * 2654435761u % 8191) / 4096 - 1;
    program.write<float>(t, values);
  }
  Exec exec;
  exec.pool = &pool;
  const double seconds = best_seconds(pool, [&] { program.run(exec); });
  const double speed = 2e-9 * static_cast<double>(cost_of(c.y.node()).macs) / seconds;
  std::printf("%-36s %8.2f ms %7.1f GFLOP/s %4.0f %% of peak\n", c.name.c_str(), 1e3 * seconds,
              speed, 100 * speed / peak_speed);
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  const std::string wanted = argc > 2 ? argv[2] : "";
  const double peak_speed = peak(pool);
  std::printf("%s, %d threads: peak %.1f GFLOP/s\n", std::string(cpu::backend().name()).c_str(),
              pool.threads(), peak_speed);
  for (const auto& cases : {matmul_cases(), conv_cases()})
    for (const Case& c : cases)
      if (c.name.find(wanted) != std::string::npos) measure(c, pool, peak_speed);
}
