// The three convolutions as products (product.h) whose operands are read where they lie; groups are
// the batch.  With pixels p = (n, oh, ow) and taps t = (kh, kw, ci or co):
//
//   conv2d              y[p, co]  = sum over t of x[p at t] w[t, co]
//   conv2d_input_grad   dx[p, ci] = sum over t of dy[p from t] w[t, ci]
//   conv2d_weight_grad  dw[t, co] = sum over p of x[p at t] dy[p, co]
#include "cuda/product.h"
#include "tensor/conv2d.h"

namespace satin::cuda {
namespace {

struct Geometry {
  int64_t h, w, cin, oh, ow, cout, kh, kw;
  int64_t group_in, group_out;  ///< channels of a group
  int64_t images;
  int stride, pad, dilation;
};

Geometry geometry_of(const Conv2dAttrs& a, const Shape& y) {
  const Shape &x = a.input, &k = a.kernel;
  return {
      x[1], x[2],     x[3],  y[1],      y[2], y[3], k[0], k[1], x[3] / a.groups, k[3] / a.groups,
      x[0], a.stride, a.pad, a.dilation};
}

/// x where output pixel p meets tap t of group g; 0 outside of the image.
struct InputAtTap {
  Geometry s;
  const float* x;

  __device__ float operator()(int64_t g, int64_t p, int64_t t) const {
    const int64_t ci = t % s.group_in, kw = t / s.group_in % s.kw, kh = t / s.group_in / s.kw;
    const int64_t ow = p % s.ow, oh = p / s.ow % s.oh, n = p / s.ow / s.oh;
    const int64_t h = oh * s.stride + kh * s.dilation - s.pad;
    const int64_t w = ow * s.stride + kw * s.dilation - s.pad;
    if (h < 0 || h >= s.h || w < 0 || w >= s.w) return 0;
    return x[((n * s.h + h) * s.w + w) * s.cin + g * s.group_in + ci];
  }
};
struct InputAtTapTurned {
  InputAtTap x;
  __device__ float operator()(int64_t g, int64_t t, int64_t p) const { return x(g, p, t); }
};

/// dy of the output pixel that reads input pixel p through tap t = (kh, kw, co), 0 if none does.
struct OutputThroughTap {
  Geometry s;
  const float* dy;

  __device__ float operator()(int64_t g, int64_t p, int64_t t) const {
    const int64_t co = t % s.group_out, kw = t / s.group_out % s.kw, kh = t / s.group_out / s.kw;
    const int64_t w = p % s.w, h = p / s.w % s.h, n = p / s.w / s.h;
    const int64_t oh = h + s.pad - kh * s.dilation, ow = w + s.pad - kw * s.dilation;
    if (oh < 0 || ow < 0 || oh % s.stride != 0 || ow % s.stride != 0) return 0;
    if (oh / s.stride >= s.oh || ow / s.stride >= s.ow) return 0;
    return dy[((n * s.oh + oh / s.stride) * s.ow + ow / s.stride) * s.cout + g * s.group_out + co];
  }
};

/// w[t, co], t = (kh, kw, ci).
struct Weight {
  Geometry s;
  const float* w;
  __device__ float operator()(int64_t g, int64_t t, int64_t co) const {
    return w[t * s.cout + g * s.group_out + co];
  }
};
/// w seen from the output: t = (kh, kw, co).
struct WeightTurned {
  Geometry s;
  const float* w;
  __device__ float operator()(int64_t g, int64_t t, int64_t ci) const {
    const int64_t co = t % s.group_out, tap = t / s.group_out;
    return w[(tap * s.group_in + ci) * s.cout + g * s.group_out + co];
  }
};

/// dy[p, co].
struct Output {
  Geometry s;
  const float* dy;
  __device__ float operator()(int64_t g, int64_t p, int64_t co) const {
    return dy[p * s.cout + g * s.group_out + co];
  }
};

/// Row i of groups side by side: `channels` in all, `group` of each.
struct Interleaved {
  int64_t channels, group;
  __device__ int64_t operator()(int64_t g, int64_t i, int64_t j) const {
    return i * channels + g * group + j;
  }
  __device__ int64_t column(int64_t g, int64_t j) const { return g * group + j; }
};

Product weight_grad_product(const Call& call, const Geometry& s) {
  const int64_t groups = call.as<Conv2dAttrs>().groups, m = s.kh * s.kw * s.group_in;
  const int64_t k = s.images * s.oh * s.ow;
  return {groups, m, s.group_out, k, product_pieces(groups, m, s.group_out, k), nullptr};
}

}  // namespace

void conv2d(const Call& call) {
  const auto a = call.as<Conv2dAttrs>();
  const Geometry s = geometry_of(a, call.out[0].shape);
  const Product p{a.groups,    s.images * s.oh * s.ow,
                  s.group_out, s.kh * s.kw * s.group_in,
                  1,           call.in.size() > 2 ? call.in[2].as<float>() : nullptr};
  multiply(call, "conv2d", p, InputAtTap{s, call.in[0].as<float>()},
           Weight{s, call.in[1].as<float>()}, Interleaved{s.cout, s.group_out},
           call.out[0].as<float>());
}

void conv2d_input_grad(const Call& call) {
  const auto a = call.as<Conv2dAttrs>();
  const Geometry s = geometry_of(a, call.in[0].shape);
  const Product p{a.groups, s.images * s.h * s.w, s.group_in, s.kh * s.kw * s.group_out, 1,
                  nullptr};
  multiply(call, "conv2d_input_grad", p, OutputThroughTap{s, call.in[0].as<float>()},
           WeightTurned{s, call.in[1].as<float>()}, Interleaved{s.cin, s.group_in},
           call.out[0].as<float>());
}

int64_t conv2d_weight_grad_scratch(const Call& call) {
  return product_scratch(
      weight_grad_product(call, geometry_of(call.as<Conv2dAttrs>(), call.in[1].shape)));
}

void conv2d_weight_grad(const Call& call) {
  const Geometry s = geometry_of(call.as<Conv2dAttrs>(), call.in[1].shape);
  multiply(call, "conv2d_weight_grad", weight_grad_product(call, s),
           InputAtTapTurned{{s, call.in[0].as<float>()}}, Output{s, call.in[1].as<float>()},
           Interleaved{s.cout, s.group_out}, call.out[0].as<float>());
}

}  // namespace satin::cuda
