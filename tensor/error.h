// satin::Error, the one exception of the library with its few special cases, and cat(), which
// builds its sentences.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

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

/// The arguments printed one after the other: cat("x has ", 3, " channels").
template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

}  // namespace satin
