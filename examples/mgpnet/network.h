// MGPNet (He, Quan, Xu, Xu, "Image Smoothing via Multiscale Global Perception", IEEE SPL 2024).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/parameters.h"
#include "tensor/multi_axis_gmlp.h"

namespace mgpnet {

using satin::Tensor;

/// The network and its ablations (table III of the paper).
struct NetworkConfig {
  bool encoder_sees_pictures = true;  ///< false: no enConv2, enConv3 ("plain-eb")
  bool decoder_emits_pictures =
      true;  ///< false: no deConv2, deConv3; only the full size comes out ("plain-db")
  bool multi_scale_fusion = true;  ///< false: AFF1 sees only e1, AFF2 only e2 ("msfb-single")
  satin::Branches branches =
      satin::Branches::grid_and_block;  ///< "local-only": block, "global-only": grid

  friend bool operator==(const NetworkConfig&, const NetworkConfig&) = default;
};

/// full, plain-eb, plain-db, plain-eb-db, msfb-single, local-only, global-only; nothing for other
/// names.
std::optional<NetworkConfig> variant(const std::string& name);
const std::vector<std::string>& variant_names();

/// The sides of the network's input must be multiples of this (the program pads to multiples of 64,
/// as the authors do).
inline constexpr int kGranule = 32;

/// image: [N, H, W, 3] in [0, 1], H and W multiples of kGranule (and of 16 cells at the first two
/// levels). Returns the smoothed picture at full, half and quarter size; only the first without
/// decoder pictures.
satin::Tensors network(satin::Parameters& p, const Tensor& image, const NetworkConfig& config = {});

/// The parameters of the network, in the order in which it meets them.
satin::Parameters network_parameters(const NetworkConfig& config = {},
                                     satin::DType dtype = satin::DType::f32);

/// sum over the scales t of mean |x_t - target_t|, target_t picked like the network's inputs.
Tensor multi_scale_l1(const satin::Tensors& outputs, const Tensor& target);

}  // namespace mgpnet
