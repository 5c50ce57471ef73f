// cuBLAS for large matrix products: looked up when a program runs, so that it starts where there is
// none; then the kernels of product.h multiply.
//
// What it may do is pinned for each precision, and nothing is taken from the environment: f32 sums
// products of f32; tf32 and bf16 allow that it rounds what it reads, to nothing coarser.  Its
// workspace is scratch of the plan, so that it can be recorded and its bits depend on nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/backend.h"

namespace satin::cuda {

/// Where libraries come from: dlopen and dlsym, or what a test gives.
struct Libraries {
  void* (*open)(const char* name);  ///< null: there is no such library
  void* (*symbol)(void* library, const char* name);
};

/// The functions of cublas_api.h that are used.  They return 0, or what went wrong; a handle is
/// theirs.
struct Blas {
  int (*create)(void** handle);
  int (*set_stream)(void* handle, void* stream);
  int (*set_workspace)(void* handle, void* memory, size_t bytes);
  int (*set_math_mode)(void* handle, int mode);
  int (*gemm)(void* handle,
              int transpose_a,
              int transpose_b,
              int64_t m,
              int64_t n,
              int64_t k,
              const void* alpha,
              const void* a,
              int a_type,
              int64_t lda,
              long long stride_a,
              const void* b,
              int b_type,
              int64_t ldb,
              long long stride_b,
              const void* beta,
              void* c,
              int c_type,
              int64_t ldc,
              long long stride_c,
              int64_t batch,
              int compute,
              int algorithm);
};

struct FoundBlas {
  Blas functions{};
  std::string library;  ///< its name; empty: there is none
  std::string problem;  ///< then why
};

/// Never fails: what is missing is a problem.
FoundBlas find_blas(const Libraries& libraries);

/// cuBLAS with a handle of the GPU that this thread uses; null where there is none.  Made on first
/// use, which must not be while a run is recorded: whoever multiplies asks for scratch before.
struct OpenBlas {
  const Blas* functions;
  void* handle;
};
const OpenBlas* open_blas();

/// c [batch, m, n] = a [batch, m, k] b [batch, k, n], row-major; either may lie transposed.
struct BlasProduct {
  int64_t batch, m, n, k;
  const float *a, *b;
  int64_t a_batch, b_batch;  ///< elements from a matrix to the next
  int64_t a_row, b_row;      ///< elements from a row to the next, as it lies in memory
  bool transpose_a, transpose_b;
  float* c;
  bool add;  ///< to what c holds
};

/// Whether a product is large enough for it.
bool is_large(int64_t batch, int64_t m, int64_t n, int64_t k);

/// Bytes of scratch for its workspace, of NVIDIA's advised size for compute capability 9.0, and so
/// that it can begin at a multiple of 256.
inline constexpr int64_t kBlasWorkspace = int64_t{32} << 20, kBlasAlignment = 256;
inline constexpr int64_t kBlasScratch = kBlasWorkspace + kBlasAlignment;

/// errors: DeviceError with its status
void multiply_by_blas(const Call& call, const OpenBlas& blas, const BlasProduct& p);

}  // namespace satin::cuda
