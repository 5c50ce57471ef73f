// concat_linear is differentiated through its composition (tensor/concat_linear.cpp).
#include "tensor/concat_linear.h"
