// broadcast_to is a copy with strides of 0.  sum_to sums in rounds of kTerms terms: a block takes
// some neighboring results and one piece of their terms, its threads as a rectangle [lanes of
// terms, results].  Each adds its terms in rising order, a tree in shared memory adds the lanes.
// The tree and the pieces depend on the shapes alone.
#include "cuda/loop.h"
#include "tensor/broadcast.h"

namespace satin::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kTerms = 4096;

struct Sums {
  float lane[kThreads];
};

/// What is summed: result r, term t lies at kept(r) + summed(t).
struct Problem {
  Loop<1> kept, summed;
  int width;  ///< results of a block, a power of two
  int64_t pieces() const { return (summed.size + kTerms - 1) / kTerms; }
};

__global__ void sum_kernel(Problem p, float* y, const float* x) {
  auto& s = shared<Sums>();
  const int lanes = kThreads / p.width, lane = static_cast<int>(threadIdx.x) / p.width;
  const int64_t result = int64_t{blockIdx.x} * p.width + threadIdx.x % p.width;
  const int64_t begin = int64_t{blockIdx.y} * kTerms;
  const int64_t end = begin + kTerms < p.summed.size ? begin + kTerms : p.summed.size;
  float sum = 0;
  if (result < p.kept.size) {
    int64_t start[1];
    p.kept.offsets(result, start);
    for (int64_t t = begin + lane; t < end; t += lanes) {
      int64_t at[1];
      p.summed.offsets(t, at);
      sum += x[start[0] + at[0]];
    }
  }
  s.lane[threadIdx.x] = sum;
  __syncthreads();
  for (int half = lanes / 2; half > 0; half /= 2) {
    if (lane < half) s.lane[threadIdx.x] += s.lane[threadIdx.x + half * p.width];
    __syncthreads();
  }
  if (lane == 0 && result < p.kept.size) y[blockIdx.y * p.kept.size + result] = s.lane[threadIdx.x];
}

Problem problem_of(const Shape& x, const Shape& y) {
  Problem p{};
  const auto xs = x.strides();
  const int lead = x.rank() - y.rank();
  for (int i = 0; i < x.rank(); ++i) {
    const bool stays = i >= lead && y[i - lead] == x[i];
    (stays ? p.kept : p.summed).axis(x[i], {xs[static_cast<size_t>(i)]});
  }
  p.width = 1;
  while (p.width < 32 && p.width < p.kept.size) p.width *= 2;
  return p;
}

/// The sums of pieces [pieces, results], as a problem of its own.
Problem next_round(const Problem& p) {
  Problem next{};
  next.kept.axis(p.kept.size, {1});
  next.summed.axis(p.pieces(), {p.kept.size});
  next.width = p.width;
  return next;
}

}  // namespace

void broadcast_to(const Call& call) {
  copy(call, call.out[0], 0, call.in[0], 0, broadcast_loop<2>(call));
}

int64_t sum_to_scratch(const Call& call) {
  int64_t elements = 0;
  for (Problem p = problem_of(call.in[0].shape, call.out[0].shape); p.pieces() > 1;
       p = next_round(p))
    elements += p.pieces() * p.kept.size;
  return elements * static_cast<int64_t>(sizeof(float));
}

void sum_to(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  if (y.shape.size() == 0) return;
  if (x.shape.size() == 0) return clear(call, y);
  const float* from = x.as<float>();
  auto* scratch = static_cast<float*>(call.scratch);
  for (Problem p = problem_of(x.shape, y.shape);; p = next_round(p)) {
    const int64_t pieces = p.pieces();
    float* to = pieces > 1 ? scratch : y.as<float>();
    Launch shape{dim3(static_cast<unsigned>((p.kept.size + p.width - 1) / p.width),
                      static_cast<unsigned>(pieces)),
                 kThreads, sizeof(Sums)};
    launch(call, "sum_to", shape, sum_kernel, p, to, from);
    if (pieces <= 1) return;
    from = to;
    scratch += pieces * p.kept.size;
  }
}

}  // namespace satin::cuda
