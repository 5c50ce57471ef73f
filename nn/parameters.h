// Parameters: all weights of a model as one flat tensor with named views.  Adam, the global norm,
// checkpoints and all-reduce are then one operation each, and gradients have one place to be
// written to.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/program.h"

namespace satin {

/// What a parameter is used for: decides how it is initialized and how other frameworks store it.
enum class ParameterKind {
  gain,            ///< [C], of a normalization: starts at 1
  shift,           ///< [C], of a normalization: starts at 0
  bias,            ///< [C]
  linear,          ///< [CIN, COUT]; PyTorch: a 1x1 convolution [COUT, CIN, 1, 1]
  mixing,          ///< [P, Q], y = W x along the pixels of a group; PyTorch: [P, Q, 1, 1]
  conv,            ///< [KH, KW, CIN, COUT]; PyTorch: [COUT, CIN, KH, KW]
  conv_transpose,  ///< [KH, KW, COUT, CIN]; PyTorch: [CIN, COUT, KH, KW]
};

struct ParameterInfo {
  std::string name;
  Shape shape;
  ParameterKind kind = ParameterKind::bias;
  int64_t fan_in = 1;  ///< of the layer it belongs to
  int64_t offset = 0;  ///< of its first element in the flat tensor
};

class Parameters {
 public:
  /// Runs `build` once on placeholders to learn which parameters it asks for, in which order.
  /// After that, get() returns views of flat().
  Parameters(const std::function<void(Parameters&)>& build, DType dtype);

  /// The parameter `name` (prefixed by the open Scopes).  Asking again returns the same one.
  /// errors: a name that `build` did not ask for, or asked for with another shape.
  Tensor get(const std::string& name, const Shape& shape, ParameterKind kind, int64_t fan_in);

  /// Prefixes names while it lives: Scope s(p, "EncoderBlock1") makes "conv.weight"
  /// "EncoderBlock1.conv.weight".
  class Scope {
   public:
    Scope(Parameters& p, const std::string& name);
    ~Scope() { p_.prefix_.resize(outer_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Parameters& p_;
    size_t outer_;
    ModuleScope module_;
  };

  const std::vector<ParameterInfo>& list() const { return list_; }
  int64_t size() const { return size_; }  ///< elements of all parameters
  const Tensor& flat() const { return flat_; }
  const Tensor& view(size_t i) const { return views_.at(i); }
  const Tensors& views() const { return views_; }
  const ParameterInfo* find(const std::string& name) const;

 private:
  std::vector<ParameterInfo> list_;
  std::unordered_map<std::string, size_t> index_;
  Tensors views_;
  Tensor flat_;
  int64_t size_ = 0;
  DType dtype_;
  std::string prefix_;
  bool collecting_ = true;
};

/// PyTorch's default: weights and biases uniform in +-1/sqrt(fan_in), gains 1, shifts 0.  Element i
/// of a parameter depends on seed, name and i alone.  Returns flat().size() values.
std::vector<float> default_initialization(const Parameters& parameters, uint64_t seed);

}  // namespace satin
