// gmlp is differentiated through its composition (tensor/gmlp.cpp); the rule of its gate, worked
// out by hand, is in docs/derivations/gmlp_gate.md.
#include "tensor/gmlp.h"
