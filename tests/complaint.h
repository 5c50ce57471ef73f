// What was complained about, and whether it says enough.
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "tensor/error.h"

namespace satin::testing {

/// The text of the E that f throws; empty if it throws none.
template <class E, class F>
std::string thrown(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "";
}

/// The same for any error of satin's.
template <class F>
std::string complaint(F f) {
  return thrown<Error>(f);
}

/// Checks that `part` stands in `text`.
inline bool says(const std::string& text, const char* part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace satin::testing
