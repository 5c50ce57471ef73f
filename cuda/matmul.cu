// Matrices in a batch, either or both transposed, as the operands of product.h; the sum over a
// batch is one product with a longer k.
//
// Large ones are cuBLAS's where there is one (blas.h); the bias is then written first, and added
// to.
//
// Who owns what otherwise: product.h and product_mma.h.  Bytes: a once for every 64 columns, b once
// for every 64 rows (128 on tensor cores), from the caches where both fit; c once.  Multiply-adds:
// m n k. Expected bound: arithmetic where m, n and k are in the hundreds, bytes where one of them
// is small. Not yet measured.
#include "cuda/blas.h"
#include "cuda/product.h"
#include "tensor/matmul.h"

namespace satin::cuda {
namespace {

/// A matrix of a batch, whose rows (Along::depth) or columns are what the product sums along.
struct Matrix {
  const float* x;
  int64_t batch;  ///< elements from a matrix to the next, 0: the same for all
  int64_t row;    ///< elements from a row to the next
  Divisor inner;  ///< k = matrix * inner + k inside: more than one matrix in a sum over the batch
  bool quads;
};

template <Along kWhich>
struct Strided : Matrix {
  static constexpr Along kAlong = kWhich;
  __device__ const float* outer(int64_t g, int64_t i) const {
    return x + g * batch + (kWhich == Along::depth ? i * row : i);
  }
  __device__ int64_t depth(int64_t k) const {
    const DividedSmall at = inner.small(k);
    return at.quotient * batch + (kWhich == Along::depth ? at.remainder : at.remainder * row);
  }
  __device__ const float* find(const float* of_i, int64_t offset) const { return of_i + offset; }
};

struct Dense {
  int64_t m, n;
  __device__ int64_t operator()(int64_t g, int64_t i, int64_t j) const {
    return (g * m + i) * n + j;
  }
  __device__ int64_t column(int64_t, int64_t j) const { return j; }
};

struct Problem {
  Product p;
  Matrix a, b;
  bool one_product;  ///< of matrices as they lie in memory, as a sum over a batch need not be
};

Problem problem_of(const Call& call) {
  const auto attrs = call.as<MatmulAttrs>();
  const Shape &a = call.in[0].shape, &b = call.in[1].shape;
  const int64_t a_rows = a.at(-2), a_cols = a.at(-1), b_rows = b.at(-2), b_cols = b.at(-1);
  const bool ta = attrs.transpose_a, tb = attrs.transpose_b;
  int64_t batch = 1;
  const Shape& batched = a.rank() > 2 ? a : b;
  for (int i = 0; i + 2 < batched.rank(); ++i) batch *= batched[i];
  const int64_t k = ta ? a_rows : a_cols;
  const auto matrix = [&](const View& view, int64_t rows, int64_t cols) -> Matrix {
    const auto* x = view.as<float>();
    return {x, view.shape.rank() > 2 ? rows * cols : 0, cols, Divisor(k), in_quads(x, cols)};
  };
  Problem r{};
  r.a = matrix(call.in[0], a_rows, a_cols);
  r.b = matrix(call.in[1], b_rows, b_cols);
  const bool batches = a.rank() > 2 && b.rank() > 2;
  r.one_product = !attrs.sum_batch || batch == 1 || (ta && !tb && batches);
  r.p = {batch,
         ta ? a_cols : a_rows,
         tb ? b_rows : b_cols,
         k,
         1,
         call.in.size() > 2 ? call.in[2].as<float>() : nullptr};
  if (!attrs.sum_batch && !ta && b.rank() == 2) {  // one product with more rows
    r.p.m *= batch;
    r.p.batch = 1;
  } else if (attrs.sum_batch) {  // one product with a longer sum
    r.p.batch = 1;
    r.p.k = batch * k;
  }
  r.p.pieces = product_pieces(r.p.batch, r.p.m, r.p.n, r.p.k);
  return r;
}

template <Along kA, Along kB>
void run(const Call& call, const Problem& r) {
  multiply(call, "matmul", r.p, Strided<kA>{r.a}, Strided<kB>{r.b}, Dense{r.p.m, r.p.n},
           call.out[0].as<float>());
}

/// Null: our own kernels multiply.
const OpenBlas* blas_for(const Problem& r) {
  const bool large = r.one_product && is_large(r.p.batch, r.p.m, r.p.n, r.p.k);
  return large ? open_blas() : nullptr;
}

__global__ void bias_kernel(float* y, const float* bias, int64_t size, Divisor by_n) {
  for (int64_t i = thread_index(); i < size; i += thread_count()) y[i] = bias[by_n(i).remainder];
}

void run_blas(const Call& call, const Problem& r, const OpenBlas& blas) {
  const auto attrs = call.as<MatmulAttrs>();
  auto* y = call.out[0].as<float>();
  const int64_t size = r.p.batch * r.p.m * r.p.n;
  if (r.p.bias) launch(call, "bias", over(size), bias_kernel, y, r.p.bias, size, Divisor(r.p.n));
  multiply_by_blas(call, blas,
                   {r.p.batch, r.p.m, r.p.n, r.p.k, r.a.x, r.b.x, r.a.batch, r.b.batch, r.a.row,
                    r.b.row, attrs.transpose_a, attrs.transpose_b, y, r.p.bias != nullptr});
}

}  // namespace

int64_t matmul_scratch(const Call& call) {
  const Problem r = problem_of(call);
  return blas_for(r) ? kBlasScratch : product_scratch(r.p);
}

void matmul(const Call& call) {
  const auto attrs = call.as<MatmulAttrs>();
  const Problem r = problem_of(call);
  if (const OpenBlas* blas = blas_for(r)) return run_blas(call, r, *blas);
  if (attrs.transpose_a)
    attrs.transpose_b ? run<Along::outer, Along::depth>(call, r)
                      : run<Along::outer, Along::outer>(call, r);
  else
    attrs.transpose_b ? run<Along::depth, Along::depth>(call, r)
                      : run<Along::depth, Along::outer>(call, r);
}

}  // namespace satin::cuda
