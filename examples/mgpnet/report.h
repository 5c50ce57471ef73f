// What the reports of several commands are put together from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace mgpnet {

/// The bytes as base64 text, for pictures inside an HTML page.
std::string base64(const std::vector<uint8_t>& bytes);

/// The text for a place in HTML, on one line, with < and & escaped.
std::string html_text(const std::string& text);

/// x, or null for what JSON has no word for: infinities and NaN.
nlohmann::ordered_json json_number(double x);

/// Writes the whole file, or nothing.
/// errors: satin::WriteError
void write_text(const std::string& path, const std::string& text);

}  // namespace mgpnet
