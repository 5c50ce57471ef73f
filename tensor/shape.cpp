#include "tensor/shape.h"

#include <algorithm>
#include <ostream>

#include "tensor/error.h"

namespace satin {

Shape::Shape(std::span<const int64_t> extents) {
  if (extents.size() > kMaxRank)
    throw Error(cat("a shape of ", extents.size(), " axes: at most ", kMaxRank, " are supported"));
  rank_ = static_cast<int>(extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
  int64_t product = 1;
  for (const int64_t extent : *this) {
    if (extent < 0) throw Error(cat("shape ", *this, " has a negative extent"));
    if (__builtin_mul_overflow(product, std::max<int64_t>(extent, 1), &product) ||
        product > (int64_t{1} << 59))
      throw Error(cat("shape ", *this, " has more elements than any machine can hold"));
  }
}

int64_t Shape::at(int i) const { return extents_[normalize_axis(i, rank_, "at")]; }

int64_t Shape::size() const {
  int64_t product = 1;
  for (const int64_t extent : *this) product *= extent;
  return product;
}

Shape Shape::with(int i, int64_t extent) const {
  Shape s = *this;
  s.extents_[normalize_axis(i, rank_, "with")] = extent;
  return Shape(s.extents());
}

std::array<int64_t, kMaxRank> Shape::strides() const {
  std::array<int64_t, kMaxRank> strides{};
  int64_t step = 1;
  for (int i = rank_ - 1; i >= 0; --i) {
    strides[i] = step;
    step *= extents_[i];
  }
  return strides;
}

std::string text_of(const Shape& s) {
  std::string text = "[";
  for (int i = 0; i < s.rank(); ++i) text += cat(i ? "," : "", s[i]);
  return text + ']';
}

std::ostream& operator<<(std::ostream& out, const Shape& s) { return out << text_of(s); }

int normalize_axis(int i, int rank, const char* what) {
  if (i < -rank || i >= rank)
    throw Error(cat(what, ": axis ", i, " is not one of the ", rank,
                    " axes (negative counts from the back)"));
  return i < 0 ? i + rank : i;
}

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  for (int i = 1; i <= shorter.rank(); ++i) {
    const int64_t x = longer.at(-i), y = shorter.at(-i);
    if (x != y && x != 1 && y != 1)
      throw Error(cat("shapes ", a, " and ", b, " do not broadcast at axis ", -i));
    out = out.with(-i, x == 1 ? y : x);
  }
  return out;
}

}  // namespace satin
