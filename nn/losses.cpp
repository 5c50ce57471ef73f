#include "nn/losses.h"

#include "tensor/binary.h"
#include "tensor/reduce.h"
#include "tensor/unary.h"

namespace satin {
namespace {

/// y - t, without broadcasting: a loss over shapes that differ is a mistake.
Tensor difference(const char* name, const Tensor& y, const Tensor& t) {
  if (y.shape() != t.shape())
    throw Error(
        cat(name, ": y is ", y.shape(), ", the target ", t.shape(), "; they must be equal"));
  return y - t;
}

}  // namespace

Tensor l1_loss(const Tensor& y, const Tensor& t) { return mean(abs(difference("l1_loss", y, t))); }

Tensor l2_loss(const Tensor& y, const Tensor& t) {
  return mean(square(difference("l2_loss", y, t)));
}

}  // namespace satin
