// pack_weight has no derivative: it is placed after derivatives are taken.
#include "tensor/pack_weight.h"
