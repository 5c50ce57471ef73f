#include "cuda/product.h"
#include "tensor/matmul.h"

namespace satin::cuda {
namespace {

/// Element (g, i, j) of a batch of matrices with any strides.  With inner > 0, the column (or row)
/// of a sum over the batch: k = batch element * inner + k inside.
struct Strided {
  const float* x;
  int64_t batch, row, col;
  int64_t inner_rows, inner_cols;  ///< 0: not part of a sum over the batch

  __device__ float operator()(int64_t g, int64_t i, int64_t j) const {
    if (inner_rows > 0) {
      g = i / inner_rows;
      i %= inner_rows;
    } else if (inner_cols > 0) {
      g = j / inner_cols;
      j %= inner_cols;
    }
    return x[g * batch + i * row + j * col];
  }
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
  Strided a, b;
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
  Problem r{};
  r.a = {call.in[0].as<float>(),
         a.rank() > 2 ? a_rows * a_cols : 0,
         ta ? 1 : a_cols,
         ta ? a_cols : 1,
         0,
         0};
  r.b = {call.in[1].as<float>(),
         b.rank() > 2 ? b_rows * b_cols : 0,
         tb ? 1 : b_cols,
         tb ? b_cols : 1,
         0,
         0};
  r.p = {batch,
         ta ? a_cols : a_rows,
         tb ? b_rows : b_cols,
         k,
         1,
         call.in.size() > 2 ? call.in[2].as<float>() : nullptr};
  if (attrs.sum_batch) {  // one product with a longer sum
    r.p.batch = 1;
    r.p.k = batch * k;
    r.a.inner_cols = r.b.inner_rows = k > 0 ? k : 1;
  }
  r.p.pieces = product_pieces(r.p.batch, r.p.m, r.p.n, r.p.k);
  return r;
}

}  // namespace

int64_t matmul_scratch(const Call& call) { return product_scratch(problem_of(call).p); }

void matmul(const Call& call) {
  const Problem r = problem_of(call);
  multiply(call, "matmul", r.p, r.a, r.b, Dense{r.p.m, r.p.n}, call.out[0].as<float>());
}

}  // namespace satin::cuda
