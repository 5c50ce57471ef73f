// Shape: up to six extents, row-major, outermost first.  Images are [N, H, W, C].
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

namespace satin {

inline constexpr int kMaxRank = 6;

/// The extents of a tensor.  Trivially copyable, so that attribute structs can hold one.
/// errors: more than six extents, a negative extent, or a product over 2^62 throw Error.
class Shape {
 public:
  constexpr Shape() = default;
  Shape(std::initializer_list<int64_t> extents)
      : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return extents_[i]; }
  /// The extent of axis i; negative i counts from the back.
  int64_t at(int i) const;
  /// The number of elements: the product of all extents, 1 for rank 0.
  int64_t size() const;
  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + rank_; }
  std::span<const int64_t> extents() const { return {extents_.data(), static_cast<size_t>(rank_)}; }

  /// A copy whose axis i (negative from the back) is `extent`.
  Shape with(int i, int64_t extent) const;
  /// Elements between neighbours along each axis.
  std::array<int64_t, kMaxRank> strides() const;

  friend bool operator==(const Shape& a, const Shape& b) = default;

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

std::string text_of(const Shape& s);  ///< [8,128,128,3]
std::ostream& operator<<(std::ostream& out, const Shape& s);

/// i in [0, rank) for i in [-rank, rank); throws Error naming `what` otherwise.
int normalize_axis(int i, int rank, const char* what);

/// NumPy's rule: aligned at the last axis, extents equal or 1.  Throws Error when they do not fit.
Shape broadcast_shape(const Shape& a, const Shape& b);

}  // namespace satin
