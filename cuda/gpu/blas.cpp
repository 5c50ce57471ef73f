// cuBLAS by the dynamic linker, with a handle for each GPU.
#include "cuda/blas.h"

#include <array>
#include <mutex>
#include <type_traits>

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#include "cuda/device.h"

namespace satin::cuda {
namespace {

// What blas.cpp calls by number, without this header.
static_assert(CUDA_R_32F == 0 && CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1 && CUBLAS_DEFAULT_MATH == 0 &&
              CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION == 16 && CUBLAS_COMPUTE_32F == 68 &&
              CUBLAS_COMPUTE_32F_FAST_16BF == 75 && CUBLAS_COMPUTE_32F_FAST_TF32 == 77 &&
              CUBLAS_GEMM_DEFAULT == -1 && CUBLAS_STATUS_SUCCESS == 0);

/// The functions as the header declares them, their enums as the ints they are.
template <class T>
using Plain = std::conditional_t<
    std::is_enum_v<T>,
    int,
    std::conditional_t<std::is_same_v<T, cublasHandle_t> || std::is_same_v<T, cudaStream_t>,
                       void*,
                       T>>;
template <class R, class... A>
auto plain(R (*)(A...)) -> Plain<R> (*)(Plain<A>...);
static_assert(std::is_same_v<decltype(plain(&cublasSetStream_v2)), decltype(Blas::set_stream)>);
static_assert(
    std::is_same_v<decltype(plain(&cublasSetWorkspace_v2)), decltype(Blas::set_workspace)>);
static_assert(std::is_same_v<decltype(plain(&cublasSetMathMode)), decltype(Blas::set_math_mode)>);
static_assert(
    std::is_same_v<decltype(plain(&cublasGemmStridedBatchedEx_64)), decltype(Blas::gemm)>);

constexpr size_t kGpus = 64;

const FoundBlas& found() {
  static const FoundBlas kFound =
      find_blas({[](const char* name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); },
                 [](void* library, const char* name) { return dlsym(library, name); }});
  return kFound;
}

}  // namespace

std::string blas() {
  const FoundBlas& blas = found();
  return blas.library.empty() ? blas.problem + ": large products by own kernels" : blas.library;
}

const OpenBlas* open_blas() {
  if (found().library.empty()) return nullptr;
  static std::mutex mutex;
  static std::array<OpenBlas, kGpus> opened{};
  int gpu = 0;
  if (cudaGetDevice(&gpu) != cudaSuccess || static_cast<size_t>(gpu) >= kGpus) return nullptr;
  const std::lock_guard lock(mutex);
  OpenBlas& here = opened[static_cast<size_t>(gpu)];
  if (!here.functions) {
    here.functions = &found().functions;
    if (here.functions->create(&here.handle) != 0) here.handle = nullptr;
  }
  return here.handle ? &here : nullptr;
}

}  // namespace satin::cuda
