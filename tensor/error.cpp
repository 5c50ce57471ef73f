#include "tensor/error.h"

#include <charconv>
#include <cstdio>

namespace satin {

Part::Part(long long x)
    : text_(digits_, std::to_chars(digits_, digits_ + sizeof digits_, x).ptr - digits_) {}

Part::Part(unsigned long long x)
    : text_(digits_, std::to_chars(digits_, digits_ + sizeof digits_, x).ptr - digits_) {}

Part::Part(double x)
    : text_(digits_, static_cast<size_t>(std::snprintf(digits_, sizeof digits_, "%g", x))) {}

std::string joined(std::initializer_list<Part> parts) {
  size_t size = 0;
  for (const Part& part : parts) size += part.text().size();
  std::string all;
  all.reserve(size);
  for (const Part& part : parts) all += part.text();
  return all;
}

}  // namespace satin
