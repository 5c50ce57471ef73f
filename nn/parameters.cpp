#include "nn/parameters.h"

#include <cmath>

#include "nn/random.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {

Parameters::Parameters(const std::function<void(Parameters&)>& build, DType dtype) : dtype_(dtype) {
  build(*this);
  collecting_ = false;
  flat_ = parameter({size_}, dtype, "parameters");
  for (const ParameterInfo& info : list_)
    views_.push_back(
        reshape(slice(flat_, 0, info.offset, info.offset + info.shape.size()), info.shape));
}

Tensor Parameters::get(const std::string& name,
                       const Shape& shape,
                       ParameterKind kind,
                       int64_t fan_in) {
  const std::string full = prefix_ + name;
  const auto found = index_.find(full);
  if (found == index_.end()) {
    if (!collecting_)
      throw Error(cat("parameter ", full, " was not there when the parameters were collected"));
    index_[full] = list_.size();
    list_.push_back({full, shape, kind, fan_in, size_});
    size_ += shape.size();
    return input(shape, dtype_, full);
  }
  const ParameterInfo& info = list_[found->second];
  if (info.shape != shape)
    throw Error(cat("parameter ", full, " is ", info.shape, ", asked for as ", shape));
  return collecting_ ? input(shape, dtype_, full) : views_[found->second];
}

Parameters::Scope::Scope(Parameters& p, const std::string& name)
    : p_(p), outer_(p.prefix_.size()), module_(name) {
  p.prefix_ += name + ".";
}

const ParameterInfo* Parameters::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &list_[found->second];
}

std::vector<float> default_initialization(const Parameters& parameters, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(parameters.size()));
  for (const ParameterInfo& info : parameters.list()) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(info.fan_in));
    const uint64_t stream = mix64(seed ^ fnv1a(info.name));
    for (int64_t i = 0; i < info.shape.size(); ++i) {
      double value = bound * (2.0 * uniform(stream, static_cast<uint64_t>(i)) - 1.0);
      if (info.kind == ParameterKind::gain) value = 1.0;
      if (info.kind == ParameterKind::shift) value = 0.0;
      values[static_cast<size_t>(info.offset + i)] = static_cast<float>(value);
    }
  }
  return values;
}

}  // namespace satin
