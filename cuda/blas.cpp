#include "cuda/blas.h"

#include <mutex>
#include <type_traits>

namespace satin::cuda {
namespace {

// Of cublas_api.h and library_types.h; gpu/blas.cpp holds them against these.
constexpr int kR32F = 0;                      // CUDA_R_32F
constexpr int kDefaultMath = 0;               // CUBLAS_DEFAULT_MATH
constexpr int kWholeSums = 16;                // CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
constexpr int kCompute32F = 68;               // CUBLAS_COMPUTE_32F
constexpr int kComputeFastBf16 = 75;          // CUBLAS_COMPUTE_32F_FAST_16BF
constexpr int kComputeFastTf32 = 77;          // CUBLAS_COMPUTE_32F_FAST_TF32
constexpr int kDefaultAlgorithm = -1;         // CUBLAS_GEMM_DEFAULT
constexpr int64_t kLeastSide = 64;            // a tile of product.h
constexpr int64_t kLeast = int64_t{1} << 24;  // multiply-adds; not yet measured

int compute_of(Precision p) {
  return p == Precision::bf16   ? kComputeFastBf16
         : p == Precision::tf32 ? kComputeFastTf32
                                : kCompute32F;
}

void check(const char* what, int status) {
  if (status != 0) throw DeviceError(cat("cuBLAS: ", what, " failed with status ", status));
}

}  // namespace

FoundBlas find_blas(const Libraries& libraries) {
  // The major version that the program was compiled beside: later ones may call things otherwise.
  constexpr const char* kNames[] = {"libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.13"};
  FoundBlas found;
  void* library = nullptr;
  for (const char* name : kNames) {
    if ((library = libraries.open(name)) == nullptr) continue;
    found.library = name;
    break;
  }
  if (!library) {
    found.problem = "libcublas.so.13 was not found";
    return found;
  }
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        libraries.symbol(library, name));
    if (!function && found.problem.empty()) found.problem = cat(found.library, " has no ", name);
  };
  take(found.functions.create, "cublasCreate_v2");
  take(found.functions.set_stream, "cublasSetStream_v2");
  take(found.functions.set_workspace, "cublasSetWorkspace_v2");
  take(found.functions.set_math_mode, "cublasSetMathMode");
  take(found.functions.gemm, "cublasGemmStridedBatchedEx_64");
  if (!found.problem.empty()) found.library.clear();
  return found;
}

bool is_large(int64_t batch, int64_t m, int64_t n, int64_t k) {
  return m >= kLeastSide && n >= kLeastSide && k >= kLeastSide && batch * m * n * k >= kLeast;
}

// A row-major matrix is its own transpose in columns, so c^T = b^T a^T is what is asked for.
void multiply_by_blas(const Call& call, const OpenBlas& blas, const BlasProduct& p) {
  static std::mutex mutex;  // a handle is one thread's at a time
  const std::lock_guard lock(mutex);
  const Blas& f = *blas.functions;
  check("cublasSetStream", f.set_stream(blas.handle, call.exec->stream));
  const auto scratch = reinterpret_cast<uintptr_t>(call.scratch);
  const uintptr_t workspace = (scratch + kBlasAlignment - 1) / kBlasAlignment * kBlasAlignment;
  check("cublasSetWorkspace", f.set_workspace(blas.handle, reinterpret_cast<void*>(workspace),
                                              static_cast<size_t>(kBlasWorkspace)));
  check("cublasSetMathMode", f.set_math_mode(blas.handle, kDefaultMath | kWholeSums));
  const float one = 1, beta = p.add ? 1 : 0;
  check("cublasGemmStridedBatchedEx",
        f.gemm(blas.handle, p.transpose_b, p.transpose_a, p.n, p.m, p.k, &one, p.b, kR32F, p.b_row,
               p.b_batch, p.a, kR32F, p.a_row, p.a_batch, &beta, p.c, kR32F, p.n, p.m * p.n,
               p.batch, compute_of(call.precision), kDefaultAlgorithm));
}

}  // namespace satin::cuda
