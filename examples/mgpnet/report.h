// What the reports of several commands are put together from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mgpnet/image_io.h"

namespace mgpnet {

/// The bytes as base64 text, for pictures inside an HTML page.
std::string base64(const std::vector<uint8_t>& bytes);

/// The text for a place in HTML, on one line, with < and & escaped.
std::string html_text(const std::string& text);

/// A whole page without links and scripts, readable in dark and in light.  The body is HTML; the
/// style knows .charts (figures beside each other, chart.h), .pictures (below) and .numbers
/// (tables).
std::string html_page(const std::string& title, const std::string& body);

/// The picture inside an <img>.
std::string html_picture(const Image& image, Format format);

/// Rows of three, each below its caption: input, result, ground truth.
struct PictureRow {
  std::string caption;   ///< HTML
  std::string pictures;  ///< three <img>
};
std::string html_pictures(const std::vector<PictureRow>& rows);

/// x, or null for what JSON has no word for: infinities and NaN.
nlohmann::ordered_json json_number(double x);

/// Writes the whole file, or nothing.
/// errors: satin::WriteError
void write_text(const std::string& path, const std::string& text);

}  // namespace mgpnet
