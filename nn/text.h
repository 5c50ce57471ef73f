// Text out of files that nobody vouches for: is it UTF-8, how to print it on one line, and which
// known name was probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace satin {

/// The bytes before the first one that is not UTF-8 (overlong forms, surrogates and code points
/// over U+10FFFF included); text.size() when all of it is.
size_t valid_utf8_length(std::string_view text);
inline bool valid_utf8(std::string_view text) { return valid_utf8_length(text) == text.size(); }

/// The text with control characters and stray bytes as \xNN, shortened to about 80 characters.
std::string printable(std::string_view text);

/// The whole text with control characters as \xNN: a file name that keeps to its line and cannot
/// rewrite the terminal.
std::string one_line(std::string_view text);

/// printable() in double quotes.
std::string in_quotes(std::string_view text);

/// The candidate with the fewest edits from `name`; empty when none is near (a third of its
/// length). Looks at 4096 candidates of up to 200 characters, so that hostile lists cost no time.
std::string nearest_name(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace satin
