// Convolution and its two adjoints.  First the meaning: one loop nest, three operations.  Below it
// the fast way, all on the register tile of gemm.h and without copies of images.
//
// The forward convolution is one pass of conv_pass.h.  The gradient in x is the same by phases of
// the stride: pixels of dx whose place modulo the stride agrees meet the same taps of the kernel, a
// dense convolution with turned weights.  The gradient in w is that of conv_weight_grad.h; fixed
// pieces of rows have their own partial results, added in order.  Where a 3x3 kernel meets enough
// channels and pixels, all three go Winograd's way (winograd.h) instead; a convolution to a few
// channels and its gradient in w go that of conv_few.h.
#include "tensor/conv2d.h"

#include "cpu/conv_few.h"
#include "cpu/conv_pass.h"
#include "cpu/conv_spread.h"
#include "cpu/conv_weight_grad.h"
#include "cpu/winograd.h"
#include "tensor/pack_weight.h"

namespace satin::cpu::SATIN_ISA {
namespace {

ConvProblem problem_of(const Call& call) {
  const auto a = call.as<Conv2dAttrs>();
  ConvProblem p{};
  p.n = a.input[0], p.h = a.input[1], p.w = a.input[2], p.cin = a.input[3];
  p.kh = a.kernel[0], p.kw = a.kernel[1], p.cout = a.kernel[3];
  p.stride = a.stride, p.pad = a.pad, p.dilation = a.dilation, p.groups = a.groups;
  p.oh = (p.h + 2 * p.pad - p.dilation * (p.kh - 1) - 1) / p.stride + 1;
  p.ow = (p.w + 2 * p.pad - p.dilation * (p.kw - 1) - 1) / p.stride + 1;
  return p;
}

/// f(x, w, y) with the flat indices of all triples that meet in y[y] += x[x] * w[w].
template <class F>
void every_product(const ConvProblem& p, F f) {
  const int64_t ci_n = p.group_in(), co_n = p.group_out();
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t oh = 0; oh < p.oh; ++oh)
      for (int64_t ow = 0; ow < p.ow; ++ow)
        for (int64_t kh = 0; kh < p.kh; ++kh)
          for (int64_t kw = 0; kw < p.kw; ++kw) {
            const int64_t ih = oh * p.stride + kh * p.dilation - p.pad;
            const int64_t iw = ow * p.stride + kw * p.dilation - p.pad;
            if (ih < 0 || ih >= p.h || iw < 0 || iw >= p.w) continue;
            for (int64_t co = 0; co < p.cout; ++co)
              for (int64_t ci = 0; ci < ci_n; ++ci)
                f(((n * p.h + ih) * p.w + iw) * p.cin + co / co_n * ci_n + ci,
                  ((kh * p.kw + kw) * ci_n + ci) * p.cout + co,
                  ((n * p.oh + oh) * p.ow + ow) * p.cout + co);
          }
}

template <class T>
void fill(T* y, int64_t n, const T* pattern, int64_t period) {
  for (int64_t i = 0; i < n; ++i) y[i] = pattern ? pattern[i % period] : T{0};
}

template <class T>
void plain_conv2d(const Call& call) {
  const ConvProblem p = problem_of(call);
  const T* x = call.in[0].as<T>();
  const T* w = call.in[1].as<T>();
  T* y = call.out[0].as<T>();
  fill(y, call.out[0].shape.size(), call.in.size() > 2 ? call.in[2].as<T>() : nullptr, p.cout);
  every_product(p, [&](int64_t i, int64_t j, int64_t k) { y[k] += x[i] * w[j]; });
}

template <class T>
void plain_input_grad(const Call& call) {
  const T* dy = call.in[0].as<T>();
  const T* w = call.in[1].as<T>();
  T* dx = call.out[0].as<T>();
  const ConvProblem p = problem_of(call);
  fill(dx, call.out[0].shape.size(), call.in.size() > 2 ? call.in[2].as<T>() : nullptr, p.cin);
  every_product(p, [&](int64_t i, int64_t j, int64_t k) { dx[i] += dy[k] * w[j]; });
}

template <class T>
void plain_weight_grad(const Call& call) {
  const T* x = call.in[0].as<T>();
  const T* dy = call.in[1].as<T>();
  T* dw = call.out[0].as<T>();
  fill<T>(dw, call.out[0].shape.size(), nullptr, 1);
  every_product(problem_of(call), [&](int64_t i, int64_t j, int64_t k) { dw[j] += x[i] * dy[k]; });
}

// --- the fast way: forward, and the gradient in x ------------------------------------------

bool fits_winograd(const ConvProblem& p) {
  return p.kh == 3 && p.kw == 3 && p.stride == 1 && p.dilation == 1 && p.groups == 1;
}

WinogradPass winograd_forward(const ConvProblem& p) {
  return {p.n, p.h, p.w, p.cin, p.oh, p.ow, p.cout, -p.pad};
}

/// A convolution of dy with the weights turned.
WinogradPass winograd_grad(const ConvProblem& p) {
  return {p.n, p.oh, p.ow, p.cout, p.h, p.w, p.cin, p.pad - 2};
}

Pass forward_pass(const ConvProblem& p) {
  Pass pass{};
  pass.images = p.n, pass.groups = p.groups, pass.cin = p.group_in(), pass.cout = p.group_out();
  pass.rows = {p.oh, p.h, p.stride, -p.pad, p.dilation, p.kh};
  pass.cols = {p.ow, p.w, p.stride, -p.pad, p.dilation, p.kw};
  pass.x_image = p.h * p.w * p.cin, pass.x_row = p.w * p.cin, pass.x_col = p.cin;
  pass.y_image = p.oh * p.ow * p.cout, pass.y_row = p.ow * p.cout, pass.y_col = p.cout;
  if (p.kh == 1 && p.kw == 1 && p.stride == 1 &&
      p.pad == 0) {  // rows need not end where the image's do
    const int64_t pixels = p.n * p.h * p.w, row = 16 * kTileRows;
    if (pixels % row == 0) {
      pass.images = 1;
      pass.rows.out = pass.rows.in = pixels / row;
      pass.cols.out = pass.cols.in = row;
      pass.x_row = row * p.cin, pass.y_row = row * p.cout;
    }
  }
  return pass;
}

/// One axis of a phase of the gradient in x: which taps of the kernel its pixels meet.
struct Phase {
  Axis axis;
  int64_t first_pixel;          ///< of dx; the next is one stride on
  int64_t first_tap, tap_step;  ///< taps of the kernel, falling

  /// Pixels i with (i + pad) mod stride = phase meet the outputs o = (i + pad - k * dilation) /
  /// stride.
  static Phase of(int64_t phase, int64_t in, int64_t out, int64_t taps, const ConvProblem& p) {
    int64_t a = p.stride, b = p.dilation;
    while (b) {
      const int64_t rest = a % b;
      a = b, b = rest;
    }
    const int64_t tap_step = p.stride / a, spacing = p.dilation / a;
    int64_t k = 0;  // the first tap of this phase
    while (k < tap_step && (phase - k * p.dilation) % p.stride != 0) ++k;
    const int64_t count = k < tap_step && k < taps ? (taps - 1 - k) / tap_step + 1 : 0;
    const int64_t last = k + (count - 1) * tap_step;
    const int64_t pixel = ((phase - p.pad) % p.stride + p.stride) % p.stride;
    Phase f{};
    f.first_pixel = pixel;
    f.first_tap = last;
    f.tap_step = tap_step;
    f.axis = {pixel < in ? (in - 1 - pixel) / p.stride + 1 : 0,           out,     1,
              count ? (pixel + p.pad - last * p.dilation) / p.stride : 0, spacing, count};
    return f;
  }
};

Pass grad_pass(const ConvProblem& p, const Phase& row, const Phase& col) {
  Pass pass{};
  pass.images = p.n, pass.groups = p.groups, pass.cin = p.group_out(), pass.cout = p.group_in();
  pass.rows = row.axis, pass.cols = col.axis;
  pass.x_image = p.oh * p.ow * p.cout, pass.x_row = p.ow * p.cout, pass.x_col = p.cout;
  pass.y_image = p.h * p.w * p.cin, pass.y_row = p.stride * p.w * p.cin,
  pass.y_col = p.stride * p.cin;
  if (pass.rows.taps == 0 || pass.cols.taps == 0) pass.rows.taps = pass.cols.taps = 0;
  return pass;
}

/// f(pass, row phase, column phase) for every phase that has pixels.
template <class F>
void every_phase(const ConvProblem& p, F f) {
  for (int64_t i = 0; i < min_of(p.stride, p.h); ++i)
    for (int64_t j = 0; j < min_of(p.stride, p.w); ++j) {
      const Phase row = Phase::of((i + p.pad) % p.stride, p.h, p.oh, p.kh, p);
      const Phase col = Phase::of((j + p.pad) % p.stride, p.w, p.ow, p.kw, p);
      f(grad_pass(p, row, col), row, col);
    }
}

/// The ways of the forward convolution; each has its own form of packed weights.
enum class Way : int { direct, winograd, few };

template <class T>
FewOutputs<T> few_outputs(const ConvProblem& p) {
  return {p.n, p.h, p.w, p.cin, p.oh, p.ow, p.cout, p.kh, p.kw, p.pad};
}

template <class T>
Way way_of(const ConvProblem& p) {
  if (p.groups == 1 && p.stride == 1 && p.dilation == 1 && few_outputs<T>(p).pays())
    return Way::few;
  return fits_winograd(p) && winograd_forward(p).pays<T>() ? Way::winograd : Way::direct;
}

/// Packed weights depend on the way, channels, groups and taps alone.
template <class T>
int64_t packed_size(const ConvProblem& p, Way way) {
  return way == Way::few        ? few_outputs<T>(p).packed_size()
         : way == Way::winograd ? Winograd<T>::of(p.cin, p.cout).weights_size()
                                : forward_pass(p).packed_size<T>();
}

template <class T>
void pack(const Call& call, const ConvProblem& p, Way way, const T* w, T* to) {
  const Weights at{
      0, p.kw * p.group_in() * p.cout, p.group_in() * p.cout, p.cout, 1, p.group_out()};
  if (way == Way::few)
    few_outputs<T>(p).pack(call, w, to);
  else if (way == Way::winograd)
    winograd_weights(call, Winograd<T>::of(p.cin, p.cout), w, at, to);
  else
    pack_pass(call, forward_pass(p), w, at, to);
}

template <class T>
void fast_conv2d(const Call& call) {
  const ConvProblem p = problem_of(call);
  const Way way = way_of<T>(p);
  const T* x = call.in[0].as<T>();
  const T* bias = call.in.size() > 2 ? call.in[2].as<T>() : nullptr;
  T *y = call.out[0].as<T>(), *scratch = static_cast<T*>(call.scratch);
  const T* packed = scratch;
  if (call.packed) {
    packed = call.packed->as<T>();
  } else {
    pack(call, p, way, call.in[1].as<T>(), scratch);
    scratch += packed_size<T>(p, way);
  }
  if (way == Way::few)
    few_outputs<T>(p).run(call, x, packed, bias, y, scratch);
  else if (way == Way::winograd)
    winograd_conv(call, winograd_forward(p), x, packed, y, bias, scratch);
  else
    run_pass(call, forward_pass(p), x, packed, y, bias, scratch);
}

template <class T>
int64_t fast_scratch(const ConvProblem& p, bool packed) {
  const Way way = way_of<T>(p);
  return (packed ? 0 : packed_size<T>(p, way)) + (way == Way::few ? few_outputs<T>(p).scratch()
                                                  : way == Way::winograd
                                                      ? winograd_forward(p).scratch<T>()
                                                      : forward_pass(p).scratch());
}

template <class T>
void fast_input_grad(const Call& call) {
  const ConvProblem p = problem_of(call);
  const int64_t tap_col = p.group_in() * p.cout, tap_row = p.kw * tap_col;
  const T *dy = call.in[0].as<T>(), *w = call.in[1].as<T>();
  const T* bias = call.in.size() > 2 ? call.in[2].as<T>() : nullptr;
  T* scratch = static_cast<T*>(call.scratch);
  if (ConvSpread<T>::fits(p)) {
    const ConvSpread<T> spread = ConvSpread<T>::of(p);
    spread.pack(call, w, scratch);
    return spread.run(call, dy, scratch, bias, call.out[0].as<T>(),
                      scratch + spread.weights_size());
  }
  if (fits_winograd(p) && winograd_grad(p).pays<T>()) {
    const Winograd<T> size = Winograd<T>::of(p.cout, p.cin);
    winograd_weights(call, size, w, {2 * (tap_row + tap_col), -tap_row, -tap_col, 1, p.cout, 0},
                     scratch);
    return winograd_conv<T>(call, winograd_grad(p), dy, scratch, call.out[0].as<T>(), bias,
                            scratch + size.weights_size());
  }
  every_phase(p, [&](const Pass& pass, const Phase& row, const Phase& col) {
    const Weights at{row.first_tap * tap_row + col.first_tap * tap_col,
                     -row.tap_step * tap_row,
                     -col.tap_step * tap_col,
                     1,
                     p.cout,
                     p.group_out()};
    T* y = call.out[0].as<T>() + (row.first_pixel * p.w + col.first_pixel) * p.cin;
    pack_pass(call, pass, w, at, scratch);
    run_pass<T>(call, pass, dy, scratch, y, bias, scratch + pass.packed_size<T>());
  });
}

// --- the fast way: the gradient in w ---------------------------------------------------------

/// Whether the taps of all outputs are rows of one product.
template <class T>
bool few_outputs_pay(const ConvProblem& p) {
  return p.groups == 1 && p.stride == 1 && p.dilation == 1 &&
         FewOutputsWeightGrad<T>{few_outputs<T>(p)}.pays();
}

template <class T>
void fast_weight_grad(const Call& call) {
  const ConvProblem p = problem_of(call);
  if (few_outputs_pay<T>(p))
    return FewOutputsWeightGrad<T>{few_outputs<T>(p)}.run(call, call.in[0].as<T>(),
                                                          call.in[1].as<T>(), call.out[0].as<T>(),
                                                          static_cast<T*>(call.scratch));
  if (fits_winograd(p) && winograd_forward(p).grad_pays<T>())
    return winograd_weight_grad(call, winograd_forward(p), call.in[0].as<T>(), call.in[1].as<T>(),
                                call.out[0].as<T>(), static_cast<T*>(call.scratch));
  const WeightGradSums s = weight_grad_sums<T>(p);
  T* dw = call.out[0].as<T>();
  const int64_t size = call.out[0].shape.size();
  if (s.steps == 0) return fill<T>(dw, size, nullptr, 1);
  T* partial = s.pieces > 1 ? static_cast<T*>(call.scratch) : dw;
  T* tails = static_cast<T*>(call.scratch) + (s.pieces > 1 ? s.pieces * size : 0);
  const ConvWeightGrad<T> grad{p, s, call.in[0].as<T>(), call.in[1].as<T>()};
  parallel_for(call, s.pieces, [&](int64_t piece) {
    const int64_t begin = s.steps * piece / s.pieces, end = s.steps * (piece + 1) / s.pieces;
    for (int64_t i = begin; i < end; ++i)
      grad.run(grad.step(i), partial + piece * size, i > begin,
               tails + piece * weight_grad_tail<T>(p, s),
               i + 1 < end ? grad.ahead_of(grad.step(i + 1)) : Ahead{});
  });
  if (s.pieces > 1) sum_partials<T>(call, dw, partial, s.pieces, size, nullptr, 1);
}

}  // namespace

void conv2d(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    wants_plain(call) ? plain_conv2d<T>(call) : fast_conv2d<T>(call);
  });
}

int64_t conv2d_scratch(const Call& call) {
  const ConvProblem p = problem_of(call);
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = fast_scratch<T>(p, call.packed) * static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

// The form: the way, and how many groups.
Packing conv2d_packing(const Call& call) {
  Packing packing{};
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const ConvProblem p = problem_of(call);
    const Way way = way_of<T>(p);
    if (p.groups > 1 << 20) return;
    packing = {static_cast<int>(way) + 4 * static_cast<int>(p.groups), packed_size<T>(p, way),
               1u << 1};
  });
  return packing;
}

void conv2d_pack(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const int form = call.as<PackWeightAttrs>().form;
    const Shape& w = call.in[0].shape;
    ConvProblem p{};
    p.groups = form / 4;
    p.kh = w[0], p.kw = w[1], p.cin = w[2] * p.groups, p.cout = w[3];
    p.stride = p.dilation = 1;
    pack(call, p, static_cast<Way>(form % 4), call.in[0].as<T>(), call.out[0].as<T>());
  });
}

void conv2d_input_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    wants_plain(call) ? plain_input_grad<T>(call) : fast_input_grad<T>(call);
  });
}

int64_t conv2d_input_grad_scratch(const Call& call) {
  const ConvProblem p = problem_of(call);
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    if (ConvSpread<T>::fits(p)) {
      bytes = ConvSpread<T>::of(p).scratch() * static_cast<int64_t>(sizeof(T));
      return;
    }
    if (fits_winograd(p) && winograd_grad(p).pays<T>()) {
      bytes = (Winograd<T>::of(p.cout, p.cin).weights_size() + winograd_grad(p).scratch<T>()) *
              static_cast<int64_t>(sizeof(T));
      return;
    }
    every_phase(p, [&](const Pass& pass, const Phase&, const Phase&) {
      bytes =
          max_of(bytes, (pass.packed_size<T>() + pass.scratch()) * static_cast<int64_t>(sizeof(T)));
    });
  });
  return bytes;
}

void conv2d_weight_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    wants_plain(call) ? plain_weight_grad<T>(call) : fast_weight_grad<T>(call);
  });
}

int64_t conv2d_weight_grad_scratch(const Call& call) {
  const ConvProblem p = problem_of(call);
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    if (few_outputs_pay<T>(p)) {
      bytes =
          FewOutputsWeightGrad<T>{few_outputs<T>(p)}.scratch() * static_cast<int64_t>(sizeof(T));
      return;
    }
    if (fits_winograd(p) && winograd_forward(p).grad_pays<T>()) {
      bytes = winograd_forward(p).grad_scratch<T>() * static_cast<int64_t>(sizeof(T));
      return;
    }
    const WeightGradSums s = weight_grad_sums<T>(p);
    const int64_t elements = (s.pieces > 1 ? s.pieces * call.out[0].shape.size() : 0) +
                             s.pieces * weight_grad_tail<T>(p, s);
    bytes = elements * static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

}  // namespace satin::cpu::SATIN_ISA
