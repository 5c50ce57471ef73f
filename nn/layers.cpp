#include "nn/layers.h"

#include "tensor/concat_linear.h"
#include "tensor/matmul.h"

namespace satin {

Linear linear_weights(Parameters& p, const std::string& name, int64_t cin, int64_t cout) {
  return {p.get(name + ".weight", {cin, cout}, ParameterKind::linear, cin),
          p.get(name + ".bias", {cout}, ParameterKind::bias, cin)};
}

Tensor linear(Parameters& p, const std::string& name, const Tensor& x, int64_t cout) {
  const Linear w = linear_weights(p, name, x.shape().at(-1), cout);
  return matmul(x, w.weight, {}, w.bias);
}

Tensor linear(
    Parameters& p, const std::string& name, const Tensors& x, int64_t h, int64_t w, int64_t cout) {
  int64_t cin = 0;
  for (const Tensor& image : x) cin += image.shape().at(-1);
  const Linear weights = linear_weights(p, name, cin, cout);
  return concat_linear(x, weights.weight, weights.bias, {h, w});
}

Linear conv_weights(Parameters& p, const std::string& name, int64_t k, int64_t cin, int64_t cout) {
  const int64_t fan_in = k * k * cin;
  return {p.get(name + ".weight", {k, k, cin, cout}, ParameterKind::conv, fan_in),
          p.get(name + ".bias", {cout}, ParameterKind::bias, fan_in)};
}

Tensor conv(Parameters& p,
            const std::string& name,
            const Tensor& x,
            int64_t k,
            int64_t cout,
            Conv2dAttrs attrs) {
  const Linear w = conv_weights(p, name, k, x.shape().at(-1), cout);
  return conv2d(x, w.weight, attrs, w.bias);
}

Tensor conv_transpose(Parameters& p,
                      const std::string& name,
                      const Tensor& x,
                      int64_t k,
                      int64_t cout,
                      Conv2dAttrs attrs) {
  // PyTorch counts the fan-in of a transposed convolution over its output channels.
  const int64_t cin = x.shape().at(-1), fan_in = k * k * cout;
  const Tensor weight =
      p.get(name + ".weight", {k, k, cout, cin}, ParameterKind::conv_transpose, fan_in);
  const Tensor bias = p.get(name + ".bias", {cout}, ParameterKind::bias, fan_in);
  return conv_transpose2d(x, weight, attrs, bias);
}

Norm norm_weights(Parameters& p, const std::string& name, int64_t c) {
  return {p.get(name + ".weight", {c}, ParameterKind::gain, c),
          p.get(name + ".bias", {c}, ParameterKind::shift, c)};
}

}  // namespace satin
