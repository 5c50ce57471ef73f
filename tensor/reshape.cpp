#include "tensor/reshape.h"

#include <algorithm>
#include <vector>

namespace satin {

Tensor reshape(const Tensor& x, std::initializer_list<int64_t> extents) {
  std::vector<int64_t> list(extents);
  const auto open = std::find(list.begin(), list.end(), -1);
  if (open != list.end()) {
    *open = 1;
    const int64_t known = Shape(list).size();
    if (known == 0 || x.size() % known != 0)
      fail(Op::reshape, cat("no extent for -1 makes ", x.shape(), " fit ", Shape(list)));
    *open = x.size() / known;
  }
  return reshape(x, Shape(list));
}

Tensor reshape(const Tensor& x, const Shape& shape) {
  if (x.size() != shape.size())
    fail(Op::reshape,
         cat(x.shape(), " has ", x.size(), " elements, ", shape, " has ", shape.size()));
  if (x.shape() == shape) return x;
  return make_tensor(Op::reshape, NoAttrs{}, {x}, shape);
}

}  // namespace satin
