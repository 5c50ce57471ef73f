// satin::Error, the one exception of the library with its few special cases, and cat(), which
// builds its sentences.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace satin {

/// Thrown for every misuse the library can detect: wrong shapes, wrong dtypes, impossible limits.
/// The message says what, where and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The machine has no memory left for what a Program needs.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A device is not there, or failed while it computed; nothing it holds can be relied on then.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// One argument of cat(), as text.  Its constructors are functions, not templates: hundreds of
/// sentences come out of cat(), and each would be a new function to compile otherwise.
class Part {
 public:
  Part(std::string_view text) : text_(text) {}
  Part(const char* text) : text_(text) {}
  Part(const std::string& text) : text_(text) {}
  Part(char c) : digits_{c}, text_(digits_, 1) {}
  Part(int x) : Part(static_cast<long long>(x)) {}
  Part(long x) : Part(static_cast<long long>(x)) {}
  Part(long long x);
  Part(unsigned x) : Part(static_cast<unsigned long long>(x)) {}
  Part(unsigned long x) : Part(static_cast<unsigned long long>(x)) {}
  Part(unsigned long long x);
  Part(double x);  ///< six digits, as %g
  /// Types with names, such as Op and DType, and values with a text_of, such as Shape.
  template <class T>
  requires requires(const T& x) { name_of(x); }
  Part(const T& x) : text_(name_of(x)) {}
  template <class T>
  requires requires(const T& x) { text_of(x); }
  Part(const T& x) : owned_(text_of(x)), text_(owned_) {}
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  std::string_view text() const { return text_; }

 private:
  char digits_[32] = {};
  std::string owned_;
  std::string_view text_;
};

std::string joined(std::initializer_list<Part> parts);

/// The arguments printed one after the other: cat("x has ", 3, " channels").
template <class... Args>
std::string cat(const Args&... args) {
  return joined({Part(args)...});
}

}  // namespace satin
