// rcab is differentiated through its composition (tensor/rcab.cpp).
#include "tensor/rcab.h"
