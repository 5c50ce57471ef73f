// The three convolutions as products (product.h) whose operands are read where they lie; groups are
// the batch.  With pixels p = (n, oh, ow) and taps t = (kh, kw, ci or co):
//
//   conv2d              y[p, co]  = sum over t of x[p at t] w[t, co]
//   conv2d_input_grad   dx[p, ci] = sum over t of dy[p from t] w[t, ci]
//   conv2d_weight_grad  dw[t, co] = sum over p of x[p at t] dy[p, co]
//
// Who owns what: product.h and product_mma.h; how operands are read: convolution.h.
//
// Bytes: x from memory once for every 64 output channels, its other KH KW - 1 readings from the
// caches; w from the caches; y once.  Multiply-adds: KH KW CIN COUT / groups a pixel: for 3x3 of 64
// channels 36,864 for 512 bytes.  Bound by arithmetic.  Not yet measured.
#include "cuda/convolution.h"

namespace satin::cuda {
namespace {

/// dy of the output pixel that reads input pixel p through tap t = (kh, kw, co).
struct OutputThroughTap {
  static constexpr Along kAlong = Along::depth;
  const float* dy;
  int64_t cout, group_out, row, image;  ///< elements of a pixel, of a group's pixel, row, image
  uint32_t oh, ow;
  int pad, dilation;
  Divisor by_h, by_w, by_kw, by_group_out, by_stride;
  bool quads;

  struct Pixel {
    const float* dy;  ///< of the image and group
    int h, w;
  };
  struct Tap {
    int h, w, channel;
  };

  OutputThroughTap(const Geometry& s, const float* y)
      : dy(y),
        cout(s.cout),
        group_out(s.group_out),
        row(s.ow * s.cout),
        image(s.oh * s.ow * s.cout),
        oh(static_cast<uint32_t>(s.oh)),
        ow(static_cast<uint32_t>(s.ow)),
        pad(s.pad),
        dilation(s.dilation),
        by_h(s.h),
        by_w(s.w),
        by_kw(s.kw),
        by_group_out(s.group_out),
        by_stride(s.stride),
        quads(channels_in_quads(y, s.cout, s.group_out)) {}

  __device__ Pixel outer(int64_t g, int64_t p) const {
    const Divided line = by_w(p);
    const DividedSmall of = by_h.small(line.quotient);
    return {dy + of.quotient * image + g * group_out, static_cast<int>(of.remainder) + pad,
            static_cast<int>(line.remainder) + pad};
  }
  __device__ Tap depth(int64_t t) const {
    const DividedSmall channel = by_group_out.small(t), tap = by_kw.small(channel.quotient);
    return {static_cast<int>(tap.quotient) * dilation, static_cast<int>(tap.remainder) * dilation,
            static_cast<int>(channel.remainder)};
  }
  /// Null if no output pixel does.
  __device__ const float* find(const Pixel& p, const Tap& t) const {
    const int h = p.h - t.h, w = p.w - t.w;
    if (h < 0 || w < 0) return nullptr;
    const DividedSmall at_h = by_stride.small(h), at_w = by_stride.small(w);
    if ((at_h.remainder | at_w.remainder) != 0 || at_h.quotient >= oh || at_w.quotient >= ow)
      return nullptr;
    return p.dy + at_h.quotient * row + at_w.quotient * cout + t.channel;
  }
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
  multiply(call, "conv2d", p, InputAtTap(s, call.in[0].as<float>()),
           Columns(s, call.in[1].as<float>()), Interleaved{s.cout, s.group_out},
           call.out[0].as<float>());
}

void conv2d_input_grad(const Call& call) {
  const auto a = call.as<Conv2dAttrs>();
  const Geometry s = geometry_of(a, call.in[0].shape);
  const Product p{a.groups,   s.images * s.h * s.w,
                  s.group_in, s.kh * s.kw * s.group_out,
                  1,          call.in.size() > 2 ? call.in[2].as<float>() : nullptr};
  multiply(call, "conv2d_input_grad", p, OutputThroughTap(s, call.in[0].as<float>()),
           WeightTurned(s, call.in[1].as<float>()), Interleaved{s.cin, s.group_in},
           call.out[0].as<float>());
}

int64_t conv2d_weight_grad_scratch(const Call& call) {
  return product_scratch(
      weight_grad_product(call, geometry_of(call.as<Conv2dAttrs>(), call.in[1].shape)));
}

void conv2d_weight_grad(const Call& call) {
  const Geometry s = geometry_of(call.as<Conv2dAttrs>(), call.in[1].shape);
  multiply(call, "conv2d_weight_grad", weight_grad_product(call, s),
           InputAtTapTurned(s, call.in[0].as<float>()), Columns(s, call.in[1].as<float>()),
           Interleaved{s.cout, s.group_out}, call.out[0].as<float>());
}

}  // namespace satin::cuda
