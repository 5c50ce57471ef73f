// The three convolutions as products (product.h) whose operands are read where they lie; groups are
// the batch.  With pixels p = (n, oh, ow) and taps t = (kh, kw, ci or co):
//
//   conv2d              y[p, co]  = sum over t of x[p at t] w[t, co]
//   conv2d_input_grad   dx[p, ci] = sum over t of dy[p from t] w[t, ci]
//   conv2d_weight_grad  dw[t, co] = sum over p of x[p at t] dy[p, co]
//
// Who owns what: product.h and product_mma.h.  What is to be known of a pixel is worked out when a
// thread's rows begin, what is to be known of a tap once a step; an element is then one addition
// and four comparisons away.
//
// Bytes: x from memory once for every 64 output channels, its other KH KW - 1 readings from the
// caches; w from the caches; y once.  Multiply-adds: KH KW CIN COUT / groups a pixel: for 3x3 of 64
// channels 36,864 for 512 bytes.  Bound by arithmetic.  Not yet measured.
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

/// Whether channels of a group can be read in quads.
bool channels_in_quads(const float* x, int64_t channels, int64_t group) {
  return in_quads(x, channels) && group % 4 == 0;
}

/// x where output pixel p meets tap t = (kh, kw, ci).
struct Input {
  const float* x;
  int64_t cin, group_in, row, image;  ///< elements of a pixel, of a group's pixel, row, image
  int h, w, stride, pad, dilation;
  Divisor by_oh, by_ow, by_kw, by_group_in;
  bool quads;

  struct Pixel {
    const float* x;  ///< where it meets the first tap, maybe outside
    int h, w;
  };
  struct Tap {
    int64_t offset;
    int h, w;
  };

  Input(const Geometry& s, const float* images)
      : x(images),
        cin(s.cin),
        group_in(s.group_in),
        row(s.w * s.cin),
        image(s.h * s.w * s.cin),
        h(static_cast<int>(s.h)),
        w(static_cast<int>(s.w)),
        stride(s.stride),
        pad(s.pad),
        dilation(s.dilation),
        by_oh(s.oh),
        by_ow(s.ow),
        by_kw(s.kw),
        by_group_in(s.group_in),
        quads(channels_in_quads(images, s.cin, s.group_in)) {}

  template <class Line>
  __device__ Pixel pixel(int64_t g, const Line& line) const {
    const DividedSmall of = by_oh.small(line.quotient);
    const int at_h = static_cast<int>(of.remainder) * stride - pad;
    const int at_w = static_cast<int>(line.remainder) * stride - pad;
    return {x + of.quotient * image + at_h * row + at_w * cin + g * group_in, at_h, at_w};
  }
  __device__ Tap tap(int64_t t) const {
    const DividedSmall channel = by_group_in.small(t), tap = by_kw.small(channel.quotient);
    const int at_h = static_cast<int>(tap.quotient) * dilation;
    const int at_w = static_cast<int>(tap.remainder) * dilation;
    return {at_h * row + at_w * cin + channel.remainder, at_h, at_w};
  }
  /// Null outside of the image.
  __device__ const float* find(const Pixel& p, const Tap& t) const {
    const int at_h = p.h + t.h, at_w = p.w + t.w;
    return at_h >= 0 && at_h < h && at_w >= 0 && at_w < w ? p.x + t.offset : nullptr;
  }
};

struct InputAtTap : Input {
  static constexpr Along kAlong = Along::depth;
  using Input::Input;
  __device__ Pixel outer(int64_t g, int64_t p) const { return pixel(g, by_ow(p)); }
  __device__ Tap depth(int64_t t) const { return tap(t); }
};
/// The same, summed over p.
struct InputAtTapTurned : Input {
  static constexpr Along kAlong = Along::outer;
  using Input::Input;
  struct Place {
    Tap tap;
    int64_t group;
  };
  __device__ Place outer(int64_t g, int64_t t) const { return {tap(t), g}; }
  __device__ Pixel depth(int64_t p) const { return pixel(0, by_ow.small(p)); }
  __device__ const float* find(const Place& t, const Pixel& p) const {
    const float* e = Input::find(p, t.tap);
    return e ? e + t.group * group_in : nullptr;
  }
};

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

/// Column co of w[t, co] or of dy[p, co]: what x at taps and pixels is multiplied by.
struct Columns {
  static constexpr Along kAlong = Along::outer;
  const float* x;
  int64_t cout, group_out;
  bool quads;

  Columns(const Geometry& s, const float* matrix)
      : x(matrix),
        cout(s.cout),
        group_out(s.group_out),
        quads(channels_in_quads(matrix, s.cout, s.group_out)) {}
  __device__ const float* outer(int64_t g, int64_t co) const { return x + g * group_out + co; }
  __device__ int64_t depth(int64_t k) const { return k * cout; }
  __device__ const float* find(const float* column, int64_t offset) const {
    return column + offset;
  }
};

/// w[kh, kw, ci, co] seen from the output: t = (kh, kw, co).
struct WeightTurned {
  static constexpr Along kAlong = Along::depth;
  const float* w;
  int64_t cout, tap, group_out;  ///< elements of a row, of a tap; channels of a group
  Divisor by_group_out;
  bool quads;

  WeightTurned(const Geometry& s, const float* weight)
      : w(weight),
        cout(s.cout),
        tap(s.group_in * s.cout),
        group_out(s.group_out),
        by_group_out(s.group_out),
        quads(channels_in_quads(weight, s.cout, s.group_out)) {}
  __device__ const float* outer(int64_t g, int64_t ci) const {
    return w + ci * cout + g * group_out;
  }
  __device__ int64_t depth(int64_t t) const {
    const DividedSmall at = by_group_out.small(t);
    return at.quotient * tap + at.remainder;
  }
  __device__ const float* find(const float* row, int64_t offset) const { return row + offset; }
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
  multiply(call, "conv2d", p, InputAtTap(s, call.in[0].as<float>()),
           Columns(s, call.in[1].as<float>()), Interleaved{s.cout, s.group_out},
           call.out[0].as<float>());
}

void conv2d_input_grad(const Call& call) {
  const auto a = call.as<Conv2dAttrs>();
  const Geometry s = geometry_of(a, call.in[0].shape);
  const Product p{a.groups, s.images * s.h * s.w, s.group_in, s.kh * s.kw * s.group_out, 1,
                  nullptr};
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
