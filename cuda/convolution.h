// Pictures and kernels of convolutions as operands of a product (operand.h), read where they lie.
// With pixels p = (n, oh, ow) and taps t = (kh, kw, ci or co); groups are the batch.
//
// What is to be known of a pixel is worked out when a thread's rows begin, what is to be known of a
// tap once a step; an element is then one addition and four comparisons away.
#pragma once

#include "cuda/product.h"
#include "tensor/conv2d.h"

namespace satin::cuda {

struct Geometry {
  int64_t h, w, cin, oh, ow, cout, kh, kw;
  int64_t group_in, group_out;  ///< channels of a group
  int64_t images;
  int stride, pad, dilation;
};

inline Geometry geometry_of(const Conv2dAttrs& a, const Shape& y) {
  const Shape &x = a.input, &k = a.kernel;
  return {
      x[1], x[2],     x[3],  y[1],      y[2], y[3], k[0], k[1], x[3] / a.groups, k[3] / a.groups,
      x[0], a.stride, a.pad, a.dilation};
}

/// Whether channels of a group can be read in quads.
inline bool channels_in_quads(const float* x, int64_t channels, int64_t group) {
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

}  // namespace satin::cuda
