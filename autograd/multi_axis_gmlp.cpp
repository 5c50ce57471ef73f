// multi_axis_gmlp is differentiated through its composition (tensor/multi_axis_gmlp.cpp).
#include "tensor/multi_axis_gmlp.h"
