// What the subcommands' option lists share: validators that suggest the nearest allowed value and
// state allowed ranges.  CLI11 takes seconds to compile: only app.cpp and NAME_command.cpp include
// this.
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "mgpnet/command.h"
#include "nn/text.h"

namespace mgpnet {

/// One of these words.
inline CLI::Validator choice(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : "|") + word;
  return CLI::Validator(
      [words](std::string& value) -> std::string {
        std::vector<std::string_view> known(words.begin(), words.end());
        for (const std::string& word : words)
          if (value == word) return {};
        std::string message = "one of";
        for (size_t i = 0; i < words.size(); ++i) message += (i ? ", " : " ") + words[i];
        const std::string near = satin::nearest_name(value, known);
        return message + (near.empty() ? "" : "; did you mean " + near + "?");
      },
      list);
}

/// A number from `least` to `most`; NaN is none.
inline CLI::Validator number(double least, double most) {
  const auto text = [](double x) {
    std::string s = std::to_string(x);
    s.erase(s.find_last_not_of('0') + 1);
    if (s.back() == '.') s.pop_back();
    return s;
  };
  const std::string range = text(least) + " to " + text(most);
  return CLI::Validator(
      [=](std::string& value) -> std::string {
        double x = 0;
        try {
          size_t end = 0;
          x = std::stod(value, &end);
          if (end != value.size()) return "a number, " + range;
        } catch (const std::exception&) {
          return "a number, " + range;
        }
        return x >= least && x <= most ? std::string() : "the range is " + range;
      },
      range);
}

/// A whole number from `least` to `most`.
inline CLI::Validator whole(int64_t least, int64_t most) {
  const std::string range =
      std::to_string(least) +
      (most == INT64_MAX || most == INT32_MAX ? " or more" : " to " + std::to_string(most));
  return CLI::Validator(
      [=](std::string& value) -> std::string {
        try {
          size_t end = 0;
          const int64_t x = std::stoll(value, &end);
          if (end != value.size()) return "a whole number, " + range;
          return x >= least && x <= most ? std::string() : "the range is " + range;
        } catch (const std::exception&) {
          return "a whole number, " + range;
        }
      },
      range);
}

}  // namespace mgpnet
