// The network, block by block, top to bottom as in figure 2 of the paper.  Parameter names are
// those of the authors' released checkpoint.
#include "mgpnet/network.h"

#include "nn/layers.h"
#include "nn/losses.h"
#include "tensor/binary.h"
#include "tensor/rcab.h"
#include "tensor/slice.h"
#include "tensor/unary.h"

namespace mgpnet {

using namespace satin;
using Scope = Parameters::Scope;

namespace {

struct Level {
  int64_t channels;
  int size;  // of a block, and of the grid
};
constexpr Level kLevels[] = {{32, 16}, {64, 16}, {128, 8}};
constexpr int64_t kSide = 16;  // channels of enConv and of the fusion blocks

// --- building blocks ---------------------------------------------------------------------------

GmlpWeights gmlp_branch(Parameters& p, const std::string& name, int64_t c, int size) {
  const Scope scope(p, name);
  const int64_t s = static_cast<int64_t>(size) * size;
  const Norm norm = norm_weights(p, "layernorm", c);
  const Linear wi = linear_weights(p, "y_ope.0", c, 2 * c);
  const Norm gate = norm_weights(p, "y_ope.2.layernorm", c);
  const Tensor mix = p.get("y_ope.2.linear.weight", {s, s}, ParameterKind::mixing, s);
  const Tensor mix_bias = p.get("y_ope.2.linear.bias", {s}, ParameterKind::bias, s);
  const Linear wo = linear_weights(p, "y_ope.3", c, c);
  return {norm.gamma, norm.beta, wi.weight, wi.bias,   gate.gamma,
          gate.beta,  mix,       mix_bias,  wo.weight, wo.bias};
}

/// x + W2 concat(gMLP_grid(u), gMLP_block(v)),  u, v the halves of GELU(W1 LN(x))
Tensor multi_axis(
    Parameters& p, const std::string& name, const Tensor& x, int size, Branches branches) {
  const Scope scope(p, name);
  const int64_t c = x.shape().at(-1);
  MultiAxisGmlpWeights w;
  const Norm norm = norm_weights(p, "layernorm", c);
  const Linear w1 = linear_weights(p, "x_ope.0", c, 2 * c);
  if (branches == Branches::grid_and_block) {
    w.branches = {gmlp_branch(p, "GridGmlpLayer", c, size),
                  gmlp_branch(p, "BlockGmlpLayer", c, size)};
  } else {
    const char* branch = branches == Branches::grid ? "GridGmlpLayer" : "BlockGmlpLayer";
    w.branches = {gmlp_branch(p, branch, 2 * c, size)};
  }
  const Linear w2 = linear_weights(p, "linear", 2 * c, c);
  w.norm_gamma = norm.gamma, w.norm_beta = norm.beta;
  w.w1 = w1.weight, w.b1 = w1.bias, w.w2 = w2.weight, w.b2 = w2.bias;
  return multi_axis_gmlp(x, w, {branches, size});
}

/// x + CA(conv3x3(LeakyReLU(conv3x3(LN(x)))))
Tensor residual_attention(Parameters& p, const std::string& name, const Tensor& x) {
  const Scope scope(p, name);
  const int64_t c = x.shape().at(-1);
  const Norm norm = norm_weights(p, "layernorm", c);
  const Linear conv1 = conv_weights(p, "conv1", 3, c, c), conv2 = conv_weights(p, "conv2", 3, c, c);
  const Linear k1 = linear_weights(p, "CALayer.conv1", c, c / 4),
               k2 = linear_weights(p, "CALayer.conv2", c / 4, c);
  return rcab(x, {norm.gamma, norm.beta, conv1.weight, conv1.bias, conv2.weight, conv2.bias,
                  k1.weight, k1.bias, k2.weight, k2.bias});
}

/// A 1x1 convolution of everything, brought to the size of `to`, to c channels.
Tensor joined(
    Parameters& p, const std::string& name, const Tensors& xs, const Tensor& to, int64_t c) {
  return linear(p, name, xs, to.shape()[1], to.shape()[2], c);
}

/// EB, DB: a 1x1 convolution to c channels, then z + G(z), G two global perception blocks in a row.
Tensor coder(
    Parameters& p, const std::string& name, const Tensors& xs, Level level, Branches branches) {
  const Scope scope(p, name);
  const Tensor z = joined(p, "0.conv", xs, xs[0], level.channels);
  Tensor g = z;
  for (const int block : {0, 2}) {
    g = multi_axis(p, cat("1.groups_list.", block), g, level.size, branches);
    g = residual_attention(p, cat("1.groups_list.", block + 1), g);
  }
  return z + g;
}

/// MSFB: a 1x1 convolution of everything to 16 channels, ReLU, a 3x3 convolution.
Tensor fuse(Parameters& p, const std::string& name, const Tensors& xs, const Tensor& to) {
  const Scope scope(p, name);
  return conv(p, "conv.1.main.0", relu(joined(p, "conv.0.main.0", xs, to, kSide)), 3, kSide,
              {.pad = 1});
}

Tensor half(const Tensor& x) {
  return slice(slice(x, 1, 0, x.shape()[1], 2), 2, 0, x.shape()[2], 2);
}

Tensor down(Parameters& p, const std::string& name, const Tensor& x) {
  return conv(p, name + ".convDown", x, 2, x.shape().at(-1), {.stride = 2});
}

Tensor up(Parameters& p, const std::string& name, const Tensor& x) {
  return conv_transpose(p, name + ".convUp", x, 2, x.shape().at(-1), {.stride = 2});
}

}  // namespace

// --- the network -------------------------------------------------------------------------------

Tensors network(Parameters& p, const Tensor& image, const NetworkConfig& config) {
  const auto [l1, l2, l3] = kLevels;
  const auto with_picture = [&](const Tensor& x, const std::string& name, const Tensor& y) {
    return config.encoder_sees_pictures ? Tensors{x, conv(p, name, y, 3, kSide, {.pad = 1})}
                                        : Tensors{x};
  };
  const Tensor &y1 = image, y2 = half(y1), y3 = half(y2);

  const Tensor e1 = coder(p, "EncoderBlock1", {y1}, l1, config.branches);
  const Tensor e2 = coder(p, "EncoderBlock2", with_picture(down(p, "ds1", e1), "enConv2", y2), l2,
                          config.branches);
  const Tensor e3 = coder(p, "EncoderBlock3", with_picture(down(p, "ds2", e2), "enConv3", y3), l3,
                          config.branches);

  const bool all = config.multi_scale_fusion;
  const Tensor m1 = fuse(p, "AFF1", all ? Tensors{e1, e2, e3} : Tensors{e1}, e1);
  const Tensor m2 = fuse(p, "AFF2", all ? Tensors{e1, e2, e3} : Tensors{e2}, e2);

  const Tensor d3 = coder(p, "DecoderBlock3", {e3}, l3, config.branches);
  const Tensor d2 = coder(p, "DecoderBlock2", {up(p, "us3", d3), m2}, l2, config.branches);
  const Tensor d1 = coder(p, "DecoderBlock1", {up(p, "us2", d2), m1}, l1, config.branches);

  const auto picture = [&](const Tensor& y, const std::string& name, const Tensor& d) {
    return y + conv(p, name, d, 3, 3, {.pad = 1});
  };
  Tensors outputs = {picture(y1, "deConv1", d1)};
  if (config.decoder_emits_pictures) {
    outputs.push_back(picture(y2, "deConv2", d2));
    outputs.push_back(picture(y3, "deConv3", d3));
  }
  return outputs;
}

Parameters network_parameters(const NetworkConfig& config, DType dtype) {
  // Shapes of parameters do not depend on the picture: the smallest one teaches them all.
  return Parameters(
      [&](Parameters& p) {
        network(p, input({1, 64, 64, 3}, dtype), config);
      },
      dtype);
}

Tensor multi_scale_l1(const Tensors& outputs, const Tensor& target) {
  Tensor loss, picked = target;
  for (const Tensor& x : outputs) {
    const Tensor term = l1_loss(x, picked);
    loss = loss ? loss + term : term;
    picked = half(picked);
  }
  return loss;
}

// --- ablations ---------------------------------------------------------------------------------

const std::vector<std::string>& variant_names() {
  static const std::vector<std::string> kNames = {
      "full", "plain-eb", "plain-db", "plain-eb-db", "msfb-single", "local-only", "global-only"};
  return kNames;
}

std::optional<NetworkConfig> variant(const std::string& name) {
  if (name == "full") return NetworkConfig{};
  if (name == "plain-eb") return NetworkConfig{.encoder_sees_pictures = false};
  if (name == "plain-db") return NetworkConfig{.decoder_emits_pictures = false};
  if (name == "plain-eb-db")
    return NetworkConfig{.encoder_sees_pictures = false, .decoder_emits_pictures = false};
  if (name == "msfb-single") return NetworkConfig{.multi_scale_fusion = false};
  if (name == "local-only") return NetworkConfig{.branches = Branches::block};
  if (name == "global-only") return NetworkConfig{.branches = Branches::grid};
  return std::nullopt;
}

}  // namespace mgpnet
