// adam_update has no derivative: ops.def says "none", and grad() refuses to go through it.
#include "tensor/adam.h"
