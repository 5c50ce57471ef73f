// Layer normalization along the last axis.
//
// Who owns what.  layer_norm: 1 to 32 neighboring lanes share a row (four elements each or more),
// read it three times (mean, variance, result; the second and third time from the caches) and write
// it once.  layer_norm_grad: a block takes 128 rows; lanes sum what each row needs into shared
// memory, then threads go down columns, add up dbeta and dgamma, whose sums over blocks a second
// kernel adds, and write dx last, so that it may lie over dy.
//
// Bytes: 8 per element forward, 12 backward; about 8 and 20 flops an element: bound by memory.
// Sums: a row's by lanes and a tree of shuffles, the columns' by rising rows and trees, all fixed
// by the shapes.  Not yet measured on a device.
#include "cuda/block.h"
#include "cuda/column_sums.h"
#include "cuda/normalize.h"
#include "tensor/layer_norm.h"

namespace satin::cuda {
namespace {

constexpr int kRows = 128;

__global__ void layer_norm_kernel(float* y,
                                  const float* x,
                                  const float* gamma,
                                  const float* beta,
                                  int64_t rows,
                                  int c,
                                  float eps) {
  const int lanes = row_lanes(c);
  const int64_t at_once = thread_count() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  // Whole warps go on together, so that all lanes meet at the shuffles.
  const int64_t first = (thread_index() - threadIdx.x % kWarp) / lanes;
  for (int64_t row = thread_index() / lanes; row - thread_index() / lanes + first < rows;
       row += at_once) {
    const float* from = x + (row < rows ? row : rows - 1) * c;
    const Moments m = row_moments([&](int i) { return from[i]; }, c, lane, lanes, eps);
    if (row >= rows) continue;
    float* to = y + row * c;
    for (int i = lane; i < c; i += lanes) to[i] = (from[i] - m.mean) * m.rstd * gamma[i] + beta[i];
  }
}

struct GradShared {
  float sums[kBlockThreads];
  float mean[kRows], rstd[kRows];
  float mean_g[kRows], mean_gh[kRows];  ///< of g = gamma dy and g h, h = (x - mean) rstd
};

/// sums: [blocks, 2, c], dgamma and dbeta of each block's rows.
__global__ void layer_norm_grad_kernel(float* dx,
                                       float* sums,
                                       const float* x,
                                       const float* gamma,
                                       const float* dy,
                                       const float* residual,
                                       int64_t rows,
                                       int c,
                                       float eps) {
  auto& s = shared<GradShared>();
  const int64_t row0 = int64_t{blockIdx.x} * kRows;
  const int here = static_cast<int>(rows - row0 < kRows ? rows - row0 : kRows);
  x += row0 * c, dy += row0 * c, dx += row0 * c;
  if (residual) residual += row0 * c;
  each_row(here, c, [&](int row, int lane, int lanes) {
    const int64_t at = int64_t{row < here ? row : here - 1} * c;
    const Moments m = row_moments([&](int i) { return x[at + i]; }, c, lane, lanes, eps);
    float sum_g = 0, sum_gh = 0;
    for (int i = lane; i < c; i += lanes) {
      const float g = gamma[i] * dy[at + i];
      sum_g += g;
      sum_gh += g * ((x[at + i] - m.mean) * m.rstd);
    }
    sum_g = sum_lanes(sum_g, lanes);
    sum_gh = sum_lanes(sum_gh, lanes);
    if (lane == 0 && row < here) {
      s.mean[row] = m.mean, s.rstd[row] = m.rstd;
      s.mean_g[row] = sum_g / static_cast<float>(c),
      s.mean_gh[row] = sum_gh / static_cast<float>(c);
    }
  });
  __syncthreads();
  const auto normalized = [&](int i, int j) {
    return (x[int64_t{i} * c + j] - s.mean[i]) * s.rstd[i];
  };
  float* const dgamma = sums + int64_t{blockIdx.x} * 2 * c;
  column_sums(
      s.sums, here, c, [&](int i, int j) { return dy[int64_t{i} * c + j]; },
      [&](int j, float sum) { dgamma[c + j] = sum; });
  column_sums(
      s.sums, here, c,
      [&](int i, int j) {
        const int64_t at = int64_t{i} * c + j;
        const float h = normalized(i, j), d = dy[at];
        const float back = s.rstd[i] * (gamma[j] * d - s.mean_g[i] - h * s.mean_gh[i]);
        dx[at] = residual ? residual[at] + back : back;
        return d * h;
      },
      [&](int j, float sum) { dgamma[j] = sum; });
}

Rows rows_of(const Call& call) {
  const Shape& x = call.in[0].shape;
  return {x.size() / x.at(-1), static_cast<int>(x.at(-1)),
          static_cast<float>(call.as<LayerNormAttrs>().eps)};
}
int64_t grad_blocks(Rows rows) { return (rows.count + kRows - 1) / kRows; }

}  // namespace

void normalize(
    const Call& call, float* y, const float* x, const float* gamma, const float* beta, Rows rows) {
  if (rows.count == 0) return;
  launch(call, "layer_norm", over(rows.count * rows.length, kBlockThreads, 4 * kBlockThreads),
         layer_norm_kernel, y, x, gamma, beta, rows.count, rows.length, rows.eps);
}

int64_t normalize_grad_floats(Rows rows) { return grad_blocks(rows) * 2 * rows.length; }

void normalize_grad(const Call& call,
                    float* dx,
                    float* dgamma,
                    float* dbeta,
                    const float* x,
                    const float* gamma,
                    const float* dy,
                    const float* residual,
                    Rows rows,
                    float* scratch) {
  const int64_t blocks = grad_blocks(rows), c = rows.length;
  if (blocks > 0)
    launch(call, "layer_norm_grad",
           Launch{dim3(static_cast<unsigned>(blocks)), kBlockThreads, sizeof(GradShared)},
           layer_norm_grad_kernel, dx, scratch, x, gamma, dy, residual, rows.count, rows.length,
           rows.eps);
  add_rows(call, "layer_norm_grad: sums", dgamma, scratch, blocks, c, 2 * c);
  add_rows(call, "layer_norm_grad: sums", dbeta, scratch + c, blocks, c, 2 * c);
}

void layer_norm(const Call& call) {
  normalize(call, call.out[0].as<float>(), call.in[0].as<float>(), call.in[1].as<float>(),
            call.in[2].as<float>(), rows_of(call));
}

int64_t layer_norm_grad_scratch(const Call& call) {
  return normalize_grad_floats(rows_of(call)) * static_cast<int64_t>(sizeof(float));
}

void layer_norm_grad(const Call& call) {
  normalize_grad(call, call.out[0].as<float>(), call.out[1].as<float>(), call.out[2].as<float>(),
                 call.in[0].as<float>(), call.in[1].as<float>(), call.in[2].as<float>(), nullptr,
                 rows_of(call), static_cast<float*>(call.scratch));
}

}  // namespace satin::cuda
