#include "tensor/dtype.h"

#include <ostream>

namespace satin {

std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

}  // namespace satin
