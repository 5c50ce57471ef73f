// The gradient of the multi-axis gMLP, one branch a launch: dx = dy + the first branch's part, then
// dx += the second's; the cotangents of the weights as sums over groups.
//
// Who owns what.  At most 128 blocks; block k takes the groups k, k + blocks, ... one after the
// other.  It computes the branch's values anew from x, but for P g, which the forward pass kept,
// and then goes back through them.  A group's values lie in the block's own scratch, 9 S B floats,
// small enough for the L2 cache, and are used again for its next group.  The block adds the
// cotangents of the weights to a copy of its own; a second kernel adds the copies.  So every order
// of sums is fixed by the shapes.
//
// Names: t -> u = GELU(t) -> h = LN(u) Wi + bi, h = (a', b'), a = GELU(a'), g = LN(GELU(b')),
// mix = P g + pb + 1, gate = a mix, v = u + gate Wo + bo, y += v W2.  A d before a name is its
// cotangent.
//
// Bytes a pixel and branch: 20 C of pictures (x four times through the caches, dy three) and 4 B of
// P g; the rest stays in L2.  Multiply-adds: about 3 times the forward's, bound by arithmetic.  The
// copies are 128 x 0.58 to 0.69 MB for MGPNet's levels, written and read once: 0.05 ms at 3 TB/s.
// Not yet measured on a device.
#include "cuda/column_sums.h"
#include "cuda/gmlp_branch.h"

namespace satin::cuda {
namespace {

constexpr int64_t kWorkers = 128;

/// Where the cotangents of a branch's weights begin in a flat copy of all.
struct Places {
  int64_t gamma, beta, w1, b1, w2, b2;
  int64_t norm_gamma, norm_beta, wi, bi, gate_gamma, gate_beta, p, pb, wo, bo;
  int64_t size;  ///< of the copy
};

Places places_of(const Call& call, const GmlpBranch& w, int index) {
  int64_t starts[32], next = 0;
  const size_t weights = 6 + 10 * static_cast<size_t>(branches_of(call));
  for (size_t i = 0; i < weights; ++i) {
    starts[i] = next;
    next += call.in[i + 1].shape.size();
  }
  const int64_t* s = starts + 6 + 10 * index;
  const int64_t part = int64_t{index} * w.width;
  return {starts[0],
          starts[1],
          starts[2] + part,
          starts[3] + part,
          starts[4] + part * w.channels,
          starts[5],
          s[0],
          s[1],
          s[2],
          s[3],
          s[4],
          s[5],
          s[6],
          s[7],
          s[8],
          s[9],
          next};
}

/// Floats of a block's scratch: six numbers a row, a pixel's place, nine matrices [S, B].
__host__ __device__ int64_t space_of(int s, int b) { return int64_t{7} * s + int64_t{9} * s * b; }

template <class M>
struct GradShared {
  Stage<M> stage;
  float sums[kBlockThreads];
};

template <class M>
__global__ void __launch_bounds__(kBlockThreads, 1)
    gmlp_branch_grad_kernel(GmlpBranch w, Places at, const float* dy, float* dx, float* scratch) {
  auto& shared_stage = shared<GradShared<M>>();
  Stage<M>& stage = shared_stage.stage;
  float* const sums = shared_stage.sums;
  const int c = w.channels, b = w.width, n = w.pixels();
  float* const memory = scratch + (at.size + space_of(n, b)) * blockIdx.x;
  float* const d = memory + space_of(n, b);  // the block's copy of all cotangents
  float *const x_mean = memory, *const x_rstd = x_mean + n;
  float *const u_mean = x_rstd + n, *const u_rstd = u_mean + n, *const b_rstd = u_rstd + n;
  int* const pixel = reinterpret_cast<int*>(b_rstd + n);
  const int64_t matrix = int64_t{n} * b;
  float *const t = memory + int64_t{7} * n, *const u = t + matrix, *const h = u + matrix;
  float *const ghat = h + 2 * matrix, *const dmix = ghat + matrix, *const dv = dmix + matrix;
  float *const gate = dv + matrix, *const other = gate + matrix;
  const int per_image = w.rows * w.cols;

  for (int64_t group = blockIdx.x; group < w.groups; group += gridDim.x) {
    const bool fresh = group == blockIdx.x;
    const int64_t start = group / per_image * w.image_pixels() * c;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads)
      pixel[i] = w.pixel(static_cast<int>(group % per_image), i);
    __syncthreads();
    const auto place = [&](int i, int k) { return start + int64_t{pixel[i]} * c + k; };
    const auto x_at = [&](int i, int k) { return w.x[place(i, k)]; };
    const auto dy_at = [&](int i, int k) { return dy[place(i, k)]; };
    // Adds to the block's copy; an element is always the same thread's.
    const auto add = [&](int64_t where, float value) {
      d[where] = fresh ? value : d[where] + value;
    };
    const auto stats = [&](float* mean, float* rstd, int width, auto f) {
      each_row(n, width, [&](int row, int lane, int lanes) {
        const int i = row < n ? row : n - 1;
        const Moments m = row_moments([&](int j) { return f(i, j); }, width, lane, lanes, kGmlpEps);
        if (lane == 0 && row < n) mean[row] = m.mean, rstd[row] = m.rstd;
      });
      __syncthreads();
    };
    const auto xhat = [&](int i, int k) { return (x_at(i, k) - x_mean[i]) * x_rstd[i]; };
    const auto uhat = [&](int i, int k) { return (u[i * b + k] - u_mean[i]) * u_rstd[i]; };
    const auto x_normalized = [&](int i, int k) { return xhat(i, k) * w.gamma[k] + w.beta[k]; };
    const auto u_normalized = [&](int i, int k) {
      return uhat(i, k) * w.norm_gamma[k] + w.norm_beta[k];
    };
    const auto g = [&](int i, int k) { return ghat[i * b + k] * w.gate_gamma[k] + w.gate_beta[k]; };
    // The way back through z = hat gamma + beta, hat normalized: result(i, j, dhat's own input).
    const auto norm_grad = [&](int width, const float* gamma, auto dz, auto hat, const float* rstd,
                               auto result) {
      each_row(n, width, [&](int row, int lane, int lanes) {
        const int i = row < n ? row : n - 1;
        float sum = 0, sum_hat = 0;
        for (int j = lane; j < width; j += lanes) {
          const float z = gamma[j] * dz(i, j);
          sum += z;
          sum_hat += z * hat(i, j);
        }
        sum = sum_lanes(sum, lanes) / static_cast<float>(width);
        sum_hat = sum_lanes(sum_hat, lanes) / static_cast<float>(width);
        if (row >= n) return;
        for (int j = lane; j < width; j += lanes)
          result(i, j, rstd[i] * (gamma[j] * dz(i, j) - sum - hat(i, j) * sum_hat));
      });
      __syncthreads();
    };

    // --- forward again ---
    stats(x_mean, x_rstd, c, x_at);
    block_product(
        stage, 0, n, b, c, x_normalized, [&](int k, int j) { return w.w1[k * 2 * c + j]; },
        [&](int i, int j, float sum) {
          t[i * b + j] = sum + w.b1[j];
          u[i * b + j] = gelu_of(sum + w.b1[j]);
        });
    stats(u_mean, u_rstd, b, [&](int i, int k) { return u[i * b + k]; });
    block_product(
        stage, 0, n, 2 * b, b, u_normalized, [&](int k, int j) { return w.wi[k * 2 * b + j]; },
        [&](int i, int j, float sum) {
          h[i * 2 * b + j] = sum + w.bi[j];
          if (j >= b) ghat[i * b + j - b] = gelu_of(sum + w.bi[j]);
        });
    each_row(n, b, [&](int row, int lane, int lanes) {
      float* const from = ghat + row * b;  // rows beyond the last are not read: others write them
      const Moments m =
          row_moments([&](int j) { return row < n ? from[j] : 0.0f; }, b, lane, lanes, kGmlpEps);
      if (row >= n) return;
      for (int j = lane; j < b; j += lanes) from[j] = (from[j] - m.mean) * m.rstd;
      if (lane == 0) b_rstd[row] = m.rstd;
    });
    __syncthreads();

    // --- back: W2, the gate, Wo ---
    block_product<Reads::rows, Reads::columns>(
        stage, 0, n, b, c, dy_at, [&](int k, int j) { return w.w2[j * c + k]; },
        [&](int i, int j, float sum) { dv[i * b + j] = sum; });
    block_product<Reads::rows, Reads::columns>(
        stage, 0, n, b, b, [&](int i, int k) { return dv[i * b + k]; },
        [&](int k, int j) { return w.wo[j * b + k]; },
        [&](int i, int j, float dgate) {
          const float a = gelu_of(h[i * 2 * b + j]);
          const float m = w.mixed[(group * n + i) * b + j] + (w.pb[i] + 1.0f);
          gate[i * b + j] = a * m;
          h[i * 2 * b + j] = gelu_grad_of(h[i * 2 * b + j], dgate * m);  // da'
          dmix[i * b + j] = dgate * a;
        });
    block_product(
        stage, 0, n, b, b, [&](int i, int k) { return gate[i * b + k]; },
        [&](int k, int j) { return w.wo[k * b + j]; },
        [&](int i, int j, float sum) { other[i * b + j] = u[i * b + j] + (sum + w.bo[j]); });  // v
    block_product<Reads::columns, Reads::rows>(
        stage, 0, b, c, n, [&](int i, int k) { return other[k * b + i]; }, dy_at,
        [&](int i, int j, float sum) { add(at.w2 + i * c + j, sum); });
    if (w.first) column_sums(sums, n, c, dy_at, [&](int j, float sum) { add(at.b2 + j, sum); });
    block_product<Reads::columns, Reads::rows>(
        stage, 0, b, b, n, [&](int i, int k) { return gate[k * b + i]; },
        [&](int k, int j) { return dv[k * b + j]; },
        [&](int i, int j, float sum) { add(at.wo + i * b + j, sum); });
    column_sums(
        sums, n, b, [&](int i, int j) { return dv[i * b + j]; },
        [&](int j, float sum) { add(at.bo + j, sum); });

    // --- back: P and the normalization before it ---
    block_product<Reads::rows, Reads::columns>(
        stage, 0, n, n, b, [&](int i, int k) { return dmix[i * b + k]; },
        [&](int k, int j) { return g(j, k); },
        [&](int i, int j, float sum) { add(at.p + i * n + j, sum); });
    each_row(n, b, [&](int row, int lane, int lanes) {
      const int i = row < n ? row : n - 1;
      float sum = 0;
      for (int j = lane; j < b; j += lanes) sum += dmix[i * b + j];
      sum = sum_lanes(sum, lanes);
      if (lane == 0 && row < n) add(at.pb + i, sum);
    });
    block_product<Reads::columns, Reads::rows>(
        stage, 0, n, b, n, [&](int i, int k) { return w.p[k * n + i]; },
        [&](int k, int j) { return dmix[k * b + j]; },
        [&](int i, int j, float sum) { other[i * b + j] = sum; });  // dg
    const auto dg = [&](int i, int j) { return other[i * b + j]; };
    column_sums(
        sums, n, b, [&](int i, int j) { return dg(i, j) * ghat[i * b + j]; },
        [&](int j, float sum) { add(at.gate_gamma + j, sum); });
    column_sums(sums, n, b, dg, [&](int j, float sum) { add(at.gate_beta + j, sum); });
    norm_grad(
        b, w.gate_gamma, dg, [&](int i, int j) { return ghat[i * b + j]; }, b_rstd,
        [&](int i, int j, float value) {
          float& b_in = h[i * 2 * b + b + j];
          b_in = gelu_grad_of(b_in, value);  // db'
        });

    // --- back: Wi and the normalization before it ---
    block_product<Reads::columns, Reads::rows>(
        stage, 0, b, 2 * b, n, [&](int i, int k) { return u_normalized(k, i); },
        [&](int k, int j) { return h[k * 2 * b + j]; },
        [&](int i, int j, float sum) { add(at.wi + i * 2 * b + j, sum); });
    column_sums(
        sums, n, 2 * b, [&](int i, int j) { return h[i * 2 * b + j]; },
        [&](int j, float sum) { add(at.bi + j, sum); });
    block_product<Reads::rows, Reads::columns>(
        stage, 0, n, b, 2 * b, [&](int i, int k) { return h[i * 2 * b + k]; },
        [&](int k, int j) { return w.wi[j * 2 * b + k]; },
        [&](int i, int j, float sum) { gate[i * b + j] = sum; });  // of LN(u)
    const auto dm = [&](int i, int j) { return gate[i * b + j]; };
    column_sums(
        sums, n, b, [&](int i, int j) { return dm(i, j) * uhat(i, j); },
        [&](int j, float sum) { add(at.norm_gamma + j, sum); });
    column_sums(sums, n, b, dm, [&](int j, float sum) { add(at.norm_beta + j, sum); });
    norm_grad(b, w.norm_gamma, dm, uhat, u_rstd, [&](int i, int j, float value) {
      t[i * b + j] = gelu_grad_of(t[i * b + j], dv[i * b + j] + value);  // dt
    });

    // --- back: W1 and the normalization of x ---
    block_product<Reads::columns, Reads::rows>(
        stage, 0, c, b, n, [&](int i, int k) { return x_normalized(k, i); },
        [&](int k, int j) { return t[k * b + j]; },
        [&](int i, int j, float sum) { add(at.w1 + i * 2 * c + j, sum); });
    column_sums(
        sums, n, b, [&](int i, int j) { return t[i * b + j]; },
        [&](int j, float sum) { add(at.b1 + j, sum); });
    block_product<Reads::rows, Reads::columns>(
        stage, 0, n, c, b, [&](int i, int k) { return t[i * b + k]; },
        [&](int k, int j) { return w.w1[j * 2 * c + k]; },
        [&](int i, int j, float sum) { other[i * b + j] = sum; });  // of LN(x)
    const auto dn = [&](int i, int j) { return other[i * b + j]; };
    // Both branches share this normalization: the second adds to what the first left.
    const auto add_shared = [&](int64_t where, float value) {
      d[where] = fresh && w.first ? value : d[where] + value;
    };
    column_sums(
        sums, n, c, [&](int i, int j) { return dn(i, j) * xhat(i, j); },
        [&](int j, float sum) { add_shared(at.gamma + j, sum); });
    column_sums(sums, n, c, dn, [&](int j, float sum) { add_shared(at.beta + j, sum); });
    norm_grad(c, w.gamma, dn, xhat, x_rstd, [&](int i, int j, float value) {
      const int64_t where = place(i, j);
      dx[where] = (w.first ? dy[where] : dx[where]) + value;
    });
  }
}

int64_t workers_of(const GmlpBranch& w) { return w.groups < kWorkers ? w.groups : kWorkers; }

}  // namespace

int64_t multi_axis_gmlp_grad_scratch(const Call& call) {
  const GmlpBranch w = branch_of(call, 0);
  const int64_t each = places_of(call, w, 0).size + space_of(w.pixels(), w.width);
  return workers_of(w) * each * static_cast<int64_t>(sizeof(float));
}

void multi_axis_gmlp_grad(const Call& call) {
  const int branches = branches_of(call);
  auto* scratch = static_cast<float*>(call.scratch);
  for (int i = 0; i < branches; ++i) {
    const GmlpBranch w = branch_of(call, i);
    const Places places = places_of(call, w, i);
    const int64_t workers = workers_of(w), space = space_of(w.pixels(), w.width);
    if (workers > 0)
      with_math(call.precision, [&](auto math) {
        using M = decltype(math);
        launch(
            call,
            i == 0 ? "multi_axis_gmlp_grad: first branch" : "multi_axis_gmlp_grad: second branch",
            Launch{dim3(static_cast<unsigned>(workers)), kBlockThreads, sizeof(GradShared<M>)},
            gmlp_branch_grad_kernel<M>, w, places, call.in.back().as<float>(),
            call.out[0].as<float>(), scratch);
      });
    if (i + 1 == branches)
      add_rows(call, "multi_axis_gmlp_grad: sums", call.out[1].as<float>(), scratch + space,
               workers, places.size, places.size + space);
  }
}

}  // namespace satin::cuda
