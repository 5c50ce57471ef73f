// cuBLAS as cuda/blas.h finds and calls it, without a GPU: libraries that lack something, and a
// twin that multiplies on the host what it is asked to, as the manual of cublasGemmStridedBatchedEx
// says: by columns.
#include "cuda/blas.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "cuda/sim/sim.h"
#include "evaluate.h"
#include "tensor/matmul.h"
#include "tensor/program.h"

using namespace satin;
using namespace satin::cuda;

namespace {

/// What the twin was told last.
struct Told {
  int calls = 0, math_mode = -1, compute = -1;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
} told;

int create(void** handle) {
  *handle = &told;
  return 0;
}
int set_stream(void*, void*) { return 0; }
int set_workspace(void*, void* memory, size_t bytes) {
  told.workspace = memory;
  told.workspace_bytes = bytes;
  return 0;
}
int set_math_mode(void*, int mode) {
  told.math_mode = mode;
  return 0;
}

std::vector<float> of_device(const void* x, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  sim::download(values.data(), x, values.size() * sizeof(float));
  return values;
}

int gemm(void* handle,
         int transpose_a,
         int transpose_b,
         int64_t m,
         int64_t n,
         int64_t k,
         const void* alpha,
         const void* a,
         int,
         int64_t lda,
         long long stride_a,
         const void* b,
         int,
         int64_t ldb,
         long long stride_b,
         const void* beta,
         void* c,
         int,
         int64_t ldc,
         long long stride_c,
         int64_t batch,
         int compute,
         int) {
  if (handle != &told) return 1;
  ++told.calls;
  told.compute = compute;
  float scale = 0, keep = 0;
  std::memcpy(&scale, alpha, sizeof scale);
  std::memcpy(&keep, beta, sizeof keep);
  const int64_t a_size = (batch - 1) * stride_a + (transpose_a ? m : k) * lda;
  const int64_t b_size = (batch - 1) * stride_b + (transpose_b ? k : n) * ldb;
  const std::vector<float> as = of_device(a, a_size), bs = of_device(b, b_size);
  const int64_t size = (batch - 1) * stride_c + n * ldc;
  std::vector<float> cs(static_cast<size_t>(size), 0);
  if (keep != 0) cs = of_device(c, size);
  for (int64_t g = 0; g < batch; ++g)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l) {
          const int64_t at_a = g * stride_a + (transpose_a ? l + i * lda : i + l * lda);
          const int64_t at_b = g * stride_b + (transpose_b ? j + l * ldb : l + j * ldb);
          sum += static_cast<double>(as[static_cast<size_t>(at_a)]) *
                 static_cast<double>(bs[static_cast<size_t>(at_b)]);
        }
        float& to = cs[static_cast<size_t>(g * stride_c + i + j * ldc)];
        to = static_cast<float>(static_cast<double>(scale) * sum + static_cast<double>(keep * to));
      }
  sim::upload(c, cs.data(), cs.size() * sizeof(float));
  return 0;
}

std::string missing;  // what find_blas shall not find

FoundBlas find_without(const std::string& name) {
  missing = name;
  return find_blas(
      {[](const char* library) -> void* {
         return missing == "all" || library != std::string("libcublas.so.13") ? nullptr : &missing;
       },
       [](void*, const char* symbol) -> void* {
         const std::string s = symbol;
         if (s == missing) return nullptr;
         return s == "cublasCreate_v2"                 ? reinterpret_cast<void*>(&create)
                : s == "cublasSetStream_v2"            ? reinterpret_cast<void*>(&set_stream)
                : s == "cublasSetWorkspace_v2"         ? reinterpret_cast<void*>(&set_workspace)
                : s == "cublasSetMathMode"             ? reinterpret_cast<void*>(&set_math_mode)
                : s == "cublasGemmStridedBatchedEx_64" ? reinterpret_cast<void*>(&gemm)
                                                       : nullptr;
       }});
}

}  // namespace

TEST_CASE("blas: what is missing is named, and nothing else is used") {
  const FoundBlas none = find_without("all");
  CHECK(none.library.empty());
  CHECK(none.problem == "libcublas.so.13 was not found");
  for (const char* symbol : {"cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2",
                             "cublasSetMathMode", "cublasGemmStridedBatchedEx_64"}) {
    const FoundBlas partly = find_without(symbol);
    CHECK(partly.library.empty());
    CHECK(partly.problem == std::string("libcublas.so.13 has no ") + symbol);
  }
  const FoundBlas whole = find_without("");
  CHECK(whole.library == "libcublas.so.13");
  CHECK(whole.problem.empty());
}

TEST_CASE("blas: large products are asked for as they lie, in the precision of the call") {
  const FoundBlas found = find_without("");
  OpenBlas open{&found.functions, nullptr};
  REQUIRE(found.functions.create(&open.handle) == 0);
  const auto run = [](const MatmulAttrs& attrs, const Shape& a, const Shape& b, bool bias,
                      Precision precision) {
    Tensors x = {input(a), input(b)};
    if (bias) x.push_back(input({b.at(attrs.transpose_b ? -2 : -1)}));
    const Tensors y = {matmul(x[0], x[1], attrs, bias ? x[2] : Tensor())};
    testing::Random random(3);
    std::vector<testing::Bytes> bytes;
    for (const Tensor& t : x) {
      std::vector<double> values(static_cast<size_t>(t.size()));
      for (double& v : values) v = random.uniform(-1, 1);
      bytes.push_back(testing::encode(values, DType::f32));
    }
    const auto values = [&](const Backend& backend) {
      Options options;
      options.precision = backend.on_host() ? Precision::f32 : precision;
      return testing::decode(testing::run_program(y, x, bytes, backend, {}, options)[0],
                             DType::f32);
    };
    const int before = told.calls;
    const std::vector<double> got = values(cuda::backend()), expected = values(cpu::backend());
    double worst = 0, largest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      worst = std::max(worst, std::abs(got[i] - expected[i]));
      largest = std::max(largest, std::abs(expected[i]));
    }
    CHECK(worst <= 1e-5 * largest);  // sums of at most 4096 terms in f32 by the CPU
    return told.calls - before;
  };
  const int64_t m = 65, n = 68, k = 64, batch = 60;
  sim::use_blas(&open);
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      CAPTURE(ta);
      CAPTURE(tb);
      const MatmulAttrs attrs{.transpose_a = ta, .transpose_b = tb};
      const Shape a = ta ? Shape{batch, k, m} : Shape{batch, m, k};
      const Shape b = tb ? Shape{batch, n, k} : Shape{batch, k, n};
      CHECK(run(attrs, a, b, tb, Precision::f32) == 1);
      CHECK(told.compute == 68);
    }
  // One kernel for many images: more rows; and its gradient: a longer sum.
  CHECK(run({}, {2, 30, m, k}, {k, n}, true, Precision::tf32) == 1);
  CHECK(told.compute == 77);
  CHECK(run({.transpose_a = true, .sum_batch = true}, {batch, k, m}, {batch, k, n}, false,
            Precision::bf16) == 1);
  CHECK(told.compute == 75);
  CHECK(told.math_mode == 16);
  CHECK(told.workspace != nullptr);
  CHECK(reinterpret_cast<uintptr_t>(told.workspace) % 256 == 0);
  CHECK(told.workspace_bytes == size_t{32} << 20);
  CHECK(run({}, {9, 8}, {8, 7}, false, Precision::f32) == 0);
  CHECK_FALSE(is_large(1, 63, 4096, 4096));
  CHECK_FALSE(is_large(1, 64, 64, 64));
  sim::use_blas(nullptr);
  CHECK(open_blas() == nullptr);
}
