// A training or evaluation pair in memory.
#pragma once

#include "mgpnet/image.h"

namespace mgpnet {

/// Ground truth and input (the same picture under texture), of equal size, RGB, 8 bits.
struct Pair {
  Image gt;
  Image input;
};

}  // namespace mgpnet
