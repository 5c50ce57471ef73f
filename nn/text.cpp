#include "nn/text.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace satin {
namespace {

constexpr size_t kShown = 80, kCandidates = 4096, kLongest = 200;
constexpr char kHex[] = "0123456789abcdef";

// The length of the UTF-8 sequence at the front of `s`, 0 when there is none.
size_t sequence_length(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t n = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
  if (lead < 0xc2 || lead > 0xf4 || s.size() < n) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates and what lies beyond U+10FFFF differ in the second byte.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f)) return 0;
  if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) return 0;
  return n;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

size_t valid_utf8_length(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t n = sequence_length(text.substr(i));
    if (n == 0) break;
    i += n;
  }
  return i;
}

std::string printable(std::string_view text) {
  std::string out;
  size_t i = 0;
  while (i < text.size() && out.size() < kShown) {
    const size_t n = sequence_length(text.substr(i));
    const uint8_t c = static_cast<uint8_t>(text[i]);
    if (n == 0 || c < 0x20 || c == 0x7f) {
      out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
      ++i;
    } else {
      out += text.substr(i, n);
      i += n;
    }
  }
  return i < text.size() ? out + "..." : out;
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

std::string nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.size() > kLongest) return {};
  // Swapped letters are two edits.
  size_t best = std::max(name.size() / 3, std::min<size_t>(name.size() / 2, 2)) + 1;
  std::string_view found;
  for (const std::string_view candidate :
       candidates.first(std::min(candidates.size(), kCandidates))) {
    const size_t longer = std::max(candidate.size(), name.size());
    const size_t shorter = std::min(candidate.size(), name.size());
    if (candidate.size() > kLongest || longer - shorter >= best) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return std::string(found);
}

}  // namespace satin
