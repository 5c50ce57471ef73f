// The multi-axis gMLP, one branch a launch: y = x + b2 + W2 of the first branch, then y += W2 of
// the second.
//
// Who owns what.  A block takes one group of S pixels from its first read of x to its last write of
// y; between them everything lies in its shared memory:
//   u    [S, B]   GELU(LN(x) W1 + b1), later the branch's result, rows by rows
//   g    [S, B]   LN(GELU(LN(u) Wi + bi)), the half that P mixes
//   gate [64, B]  a (P g + pb + 1) of 64 rows, a = the other half, never stored
// A product is block.h's: 64 x 64 results by 256 threads.  LayerNorms are applied where an operand
// is read, activations where a result is written.
//
// Bytes a pixel and branch: 12 C (x twice, y once, and y once more for the second branch), in
// training 4 B for P g, which the gradient reads; weights from the caches.  Multiply-adds a pixel
// and branch: C B + 2 B B + S B + B B + B C, at C = B = 32, 64, 128 (S = 256, 256, 64): 13.3, 36.9
// and 90.1 thousand: bound by arithmetic.  On tensor cores every product's operands are rounded as
// they are read; sums and all between products stay f32. Shared memory: 85 KB at C = 32, 157 KB at
// 64, 107 KB at 128.  Where a device has less, u, g and gate lie in scratch instead, with the same
// arithmetic.  Not yet measured on a device.
#include "cuda/gmlp_branch.h"

namespace satin::cuda {
namespace {

constexpr int kWorkers = 256;  // blocks where groups lie in scratch

/// What a group keeps, in floats.
struct Layout {
  int s, b;
  __host__ __device__ int64_t floats() const {
    return int64_t{3} * s + 2 * int64_t{s} * b + int64_t{s < kTile ? s : kTile} * b;
  }
};

template <class M>
struct alignas(16) Group {
  Stage<M> stage;
  float memory[1];  ///< as many as Layout says
};

template <class M>
__global__ void __launch_bounds__(kBlockThreads, 1)
    gmlp_branch_kernel(GmlpBranch w, float* y, float* scratch) {
  auto& shared_group = shared<Group<M>>();
  Stage<M>& stage = shared_group.stage;
  const int c = w.channels, b = w.width, n = w.pixels();
  float* const memory =
      scratch ? scratch + Layout{n, b}.floats() * blockIdx.x : shared_group.memory;
  float *const mean = memory, *const rstd = mean + n, *const u = rstd + n;
  float *const g = u + int64_t{n} * b, *const gate = g + int64_t{n} * b;
  int* const pixel = reinterpret_cast<int*>(gate + int64_t{n < kTile ? n : kTile} * b);
  const int per_image = w.rows * w.cols;

  const auto row_stats = [&](int width, auto x) {
    each_row(n, width, [&](int row, int lane, int lanes) {
      const int i = row < n ? row : n - 1;
      const Moments m = row_moments([&](int j) { return x(i, j); }, width, lane, lanes, kGmlpEps);
      if (lane == 0 && row < n) mean[row] = m.mean, rstd[row] = m.rstd;
    });
    __syncthreads();
  };
  const auto u_normalized = [&](int i, int k) {
    return (u[i * b + k] - mean[i]) * rstd[i] * w.norm_gamma[k] + w.norm_beta[k];
  };

  for (int64_t group = blockIdx.x; group < w.groups; group += gridDim.x) {
    const int64_t start = group / per_image * w.image_pixels() * c;
    const float* const x = w.x + start;
    float* const out = y + start;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads)
      pixel[i] = w.pixel(static_cast<int>(group % per_image), i);
    __syncthreads();
    const auto x_at = [&](int i, int k) { return x[int64_t{pixel[i]} * c + k]; };

    row_stats(c, x_at);
    block_product(
        stage, 0, n, b, c,
        [&](int i, int k) { return (x_at(i, k) - mean[i]) * rstd[i] * w.gamma[k] + w.beta[k]; },
        [&](int k, int j) { return w.w1[k * 2 * c + j]; },
        [&](int i, int j, float sum) { u[i * b + j] = gelu_of(sum + w.b1[j]); });

    row_stats(b, [&](int i, int k) { return u[i * b + k]; });
    block_product(
        stage, 0, n, b, b, u_normalized, [&](int k, int j) { return w.wi[k * 2 * b + b + j]; },
        [&](int i, int j, float sum) { g[i * b + j] = gelu_of(sum + w.bi[b + j]); });
    each_row(n, b, [&](int row, int lane, int lanes) {
      float* const from = g + row * b;  // rows beyond the last are not read: others write them
      const Moments m =
          row_moments([&](int j) { return row < n ? from[j] : 0.0f; }, b, lane, lanes, kGmlpEps);
      if (row >= n) return;
      for (int j = lane; j < b; j += lanes)
        from[j] = (from[j] - m.mean) * m.rstd * w.gate_gamma[j] + w.gate_beta[j];
    });
    __syncthreads();

    for (int i0 = 0; i0 < n; i0 += kTile) {
      const int end = i0 + kTile < n ? i0 + kTile : n;
      for (int j0 = 0; j0 < b; j0 += kTile) {
        float a[4][4] = {}, mixed[4][4] = {};
        tile_product<M, Reads::rows, Reads::rows>(
            stage, i0, end, j0, b, b, u_normalized,
            [&](int k, int j) { return w.wi[k * 2 * b + j]; }, a);
        tile_product<M, Reads::rows, Reads::rows>(
            stage, i0, end, j0, b, n, [&](int i, int k) { return w.p[i * n + k]; },
            [&](int k, int j) { return g[k * b + j]; }, mixed);
        each_result<M>(i0, end, j0, b, [&](int p, int q, int i, int j) {
          gate[(i - i0) * b + j] = gelu_of(a[p][q] + w.bi[j]) * (mixed[p][q] + (w.pb[i] + 1.0f));
          if (w.mixed) w.mixed[(group * n + i) * b + j] = mixed[p][q];
        });
      }
      __syncthreads();
      block_product(
          stage, i0, end, b, b, [&](int i, int k) { return gate[(i - i0) * b + k]; },
          [&](int k, int j) { return w.wo[k * b + j]; },
          [&](int i, int j, float sum) { u[i * b + j] += sum + w.bo[j]; });
      block_product(
          stage, i0, end, c, b, [&](int i, int k) { return u[i * b + k]; },
          [&](int k, int j) { return w.w2[k * c + j]; },
          [&](int i, int j, float sum) {
            const int64_t at = int64_t{pixel[i]} * c + j;
            out[at] = w.first ? x[at] + (sum + w.b2[j]) : out[at] + sum;
          });
    }
  }
}

struct Plan {
  int64_t blocks, shared_bytes, scratch_bytes;
};

template <class M>
Plan plan_of(const GmlpBranch& w) {
  const auto element = static_cast<int64_t>(sizeof(float));
  const int64_t bytes = Layout{w.pixels(), w.width}.floats() * element;
  const auto stage = static_cast<int64_t>(sizeof(Stage<M>));
  if (stage + bytes <= shared_limit()) return {w.groups, stage + bytes, 0};
  const int64_t blocks = w.groups < kWorkers ? w.groups : kWorkers;
  return {blocks, static_cast<int64_t>(sizeof(Group<M>)), blocks * bytes};
}

}  // namespace

int64_t multi_axis_gmlp_scratch(const Call& call) {
  int64_t bytes = 0;
  with_math(call.precision, [&](auto math) {  // branches are of one shape
    bytes = plan_of<decltype(math)>(branch_of(call, 0)).scratch_bytes;
  });
  return bytes;
}

void multi_axis_gmlp(const Call& call) {
  for (int i = 0; i < branches_of(call); ++i) {
    const GmlpBranch w = branch_of(call, i);
    if (w.groups == 0) return;
    with_math(call.precision, [&](auto math) {
      using M = decltype(math);
      const Plan plan = plan_of<M>(w);
      launch(call, i == 0 ? "multi_axis_gmlp: first branch" : "multi_axis_gmlp: second branch",
             Launch{dim3(static_cast<unsigned>(plan.blocks)), kBlockThreads, plan.shared_bytes},
             gmlp_branch_kernel<M>, w, call.out[0].as<float>(),
             plan.scratch_bytes > 0 ? static_cast<float*>(call.scratch) : nullptr);
    });
  }
}

}  // namespace satin::cuda
