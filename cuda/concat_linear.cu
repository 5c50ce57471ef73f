// A linear map of images side by side, which are read where they lie: y = sum over images of
// xi at the size of y times its rows of W, + b.
//
// Who owns what.  A block computes 64 pixels of y and all COUT channels, 64 at a time (block.h);
// its sums go through the images in their order, in rising channels.  Where the rows of an image
// begin that meet the block's pixels is worked out once per image, in shared memory.  Up to 16
// images a launch; more are added to y by further launches.
//
// Bytes: every xi once from memory (a smaller one again from the caches), y once.  Multiply-adds: y
// times the channels of all images.  For MGPNet's: 224 -> 16 at level 1: 3,584 multiply-adds a
// pixel for 64 + 4 x 56 bytes: bound by arithmetic in f32.  Not yet measured on a device.
#include "cuda/block.h"
#include "tensor/concat_linear.h"

namespace satin::cuda {
namespace {

constexpr int kImages = 16;

struct Image {
  const float* x;
  int h, w, channels, row;  ///< row: of W, where its channels begin
};

struct Problem {
  Image images[kImages];
  int count, h, w, cout;
  int64_t pixels;
  const float *weight, *bias;  ///< bias: null where the sums go to what y holds
};

template <class M>
struct ConcatShared {
  Stage<M> stage;
  int64_t start[kTile];
};

template <class M>
__global__ void concat_linear_kernel(const __grid_constant__ Problem p, float* y) {
  auto& s = shared<ConcatShared<M>>();
  const int64_t first = int64_t{blockIdx.x} * kTile;
  const int rows = static_cast<int>(p.pixels - first < kTile ? p.pixels - first : kTile);
  for (int j0 = 0; j0 < p.cout; j0 += kTile) {
    float sum[4][4] = {};
    for (int k = 0; k < p.count; ++k) {
      const Image& image = p.images[k];
      const auto t = static_cast<int>(threadIdx.x);
      if (t < rows) {
        const int64_t row = (first + t) / p.w, n = row / p.h;
        const int64_t from_row = (row - n * p.h) * image.h / p.h;
        const int64_t from_col = (first + t - row * p.w) * image.w / p.w;
        s.start[t] = ((n * image.h + from_row) * image.w + from_col) * image.channels;
      }
      __syncthreads();
      tile_product<M, Reads::rows, Reads::rows>(
          s.stage, 0, rows, j0, p.cout, image.channels,
          [&](int i, int c) { return image.x[s.start[i] + c]; },
          [&](int c, int j) { return p.weight[int64_t{image.row + c} * p.cout + j]; }, sum);
      __syncthreads();
    }
    each_result<M>(0, rows, j0, p.cout, [&](int a, int b, int i, int j) {
      float& to = y[(first + i) * p.cout + j];
      to = sum[a][b] + (p.bias ? p.bias[j] : to);
    });
  }
}

}  // namespace

void concat_linear(const Call& call) {
  const View& y = call.out[0];
  if (y.shape.size() == 0) return;
  const size_t images = call.in.size() - 2;
  Problem p{};
  p.h = static_cast<int>(y.shape[1]), p.w = static_cast<int>(y.shape[2]);
  p.cout = static_cast<int>(y.shape[3]);
  p.pixels = y.shape.size() / p.cout;
  p.weight = call.in[images].as<float>();
  p.bias = call.in[images + 1].as<float>();
  int64_t row = 0;
  for (size_t i = 0; i < images; ++i) {
    const View& x = call.in[i];
    p.images[p.count++] = {x.as<float>(), static_cast<int>(x.shape[1]),
                           static_cast<int>(x.shape[2]), static_cast<int>(x.shape[3]),
                           static_cast<int>(row)};
    row += x.shape[3];
    if (p.count < kImages && i + 1 < images) continue;
    with_math(call.precision, [&](auto math) {
      using M = decltype(math);
      launch(call, "concat_linear",
             Launch{dim3(static_cast<unsigned>((p.pixels + kTile - 1) / kTile)), kBlockThreads,
                    sizeof(ConcatShared<M>)},
             concat_linear_kernel<M>, p, y.as<float>());
    });
    p.count = 0;
    p.bias = nullptr;
  }
}

}  // namespace satin::cuda
