#include "cuda/mma.h"
#include "cuda/operand.h"
#include "tests/cuda/fragments.h"

using namespace satin::cuda;

namespace fragments {
namespace {

const satin::Call kCall{};

template <class T>
__global__ void multiply_kernel(float* d, const Lane* lanes, Mistake mistake) {
  const int lane = static_cast<int>(threadIdx.x);
  if (mistake == Mistake::lane_missing && lane == 7) return;
  FragmentA a;
  FragmentB b;
  FragmentC c;
  for (int i = 0; i < 4; ++i) a.word[i] = lanes[lane].a[i];
  for (int i = 0; i < 2; ++i) b.word[i] = lanes[lane].b[i];
  for (int i = 0; i < 4; ++i) c.value[i] = lanes[lane].c[i];
  if (mistake == Mistake::parted && lane < 16)
    c = T::multiply(a, b, c);
  else
    c = T::multiply(a, b, c);
  for (int i = 0; i < 4; ++i) d[lane * 4 + i] = c.value[i];
}

__global__ void pack_bf16_kernel(uint32_t* words, const float* x, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n / 2; i += kWarp)
    words[i] = MmaBf16::pack(x[2 * i], x[2 * i + 1]);
}
__global__ void pack_tf32_kernel(uint32_t* words, const float* x, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarp) words[i] = MmaTf32::pack(x[i]);
}

struct Rows {
  alignas(16) uint32_t word[32 * 4];
};

__global__ void rows_kernel(uint32_t* words, const uint32_t* x, Mistake mistake) {
  auto& s = shared<Rows>();
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) s.word[lane * 4 + i] = x[lane * 4 + i];
  if (mistake != Mistake::barrier_missing) __syncwarp();
  int row = lane * 4;
  if (mistake == Mistake::misaligned && lane == 9) row += 2;
  if (mistake == Mistake::past_the_end && lane == 31) row += 4;
  const FragmentA a = load_rows(s.word + row);
  for (int i = 0; i < 4; ++i) words[lane * 4 + i] = a.word[i];
}

__global__ void divide_kernel(int64_t* y, const int64_t* x, int n, Divisor by) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarp) {
    const Divided whole = by(x[i]);
    const DividedSmall small = by.small(x[i]);
    y[4 * i] = whole.quotient;
    y[4 * i + 1] = whole.remainder;
    y[4 * i + 2] = small.quotient;
    y[4 * i + 3] = small.remainder;
  }
}

}  // namespace

void multiply(float* d, const Lane* lanes, bool bf16, Mistake mistake) {
  const unsigned threads = mistake == Mistake::half_warp ? 16 : 32;
  launch(kCall, "multiply", {1, threads},
         bf16 ? multiply_kernel<MmaBf16> : multiply_kernel<MmaTf32>, d, lanes, mistake);
}
void pack(uint32_t* words, const float* x, int n, bool bf16) {
  launch(kCall, "pack", {1, 32}, bf16 ? pack_bf16_kernel : pack_tf32_kernel, words, x, n);
}
void rows(uint32_t* words, const uint32_t* x, Mistake mistake) {
  launch(kCall, "rows", {1, 32, sizeof(Rows)}, rows_kernel, words, x, mistake);
}
void divide(int64_t* y, const int64_t* x, int n, int64_t d) {
  launch(kCall, "divide", {1, 32}, divide_kernel, y, x, n, Divisor(d));
}

}  // namespace fragments
