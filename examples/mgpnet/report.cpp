#include "mgpnet/report.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "mgpnet/image_io.h"
#include "nn/atomic_file.h"
#include "nn/text.h"

namespace mgpnet {

std::string base64(const std::vector<uint8_t>& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(bytes.size() / 3 * 4 + 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) word = word << 8 | (i + k < bytes.size() ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : satin::one_line(text)) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string html_page(const std::string& title, const std::string& body) {
  constexpr char kStyle[] = R"(
:root { color-scheme: light dark; --text: #222; --soft: #666; --line: #ddd; --page: #fff;
  --curve: #1565c0; --marks: #90caf9; --best: #d84315; }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --soft: #999; --line: #333;
  --page: #161616; --curve: #64b5f6; --marks: #2c659c; --best: #ff8a65; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em;
  color: var(--text); background: var(--page); }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 1.6em; }
summary { cursor: pointer; } figure { margin: 0; } figcaption { font-weight: 600; }
.soft { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1em; }
.charts text { font-size: 12px; fill: var(--soft); }
.charts path, .charts polyline { fill: none; }
.grid { stroke: var(--line); } .curve { stroke: var(--curve); stroke-width: 1.8; }
.marks { stroke: var(--marks); stroke-width: 3; stroke-linecap: round; }
circle { fill: var(--curve); } .best { fill: none; stroke: var(--best); stroke-width: 2; }
.pictures { display: grid; grid-template-columns: repeat(3, minmax(0, max-content)); gap: 6px; }
.pictures p { grid-column: 1 / -1; margin: 0.8em 0 0; } .pictures img { max-width: 100%; }
.numbers { border-collapse: collapse; } .numbers td, .numbers th { padding: 2px 1em 2px 0;
  border-bottom: 1px solid var(--line); text-align: left; font-variant-numeric: tabular-nums; }
)";
  return "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" + html_text(title) +
         "</title>\n<style>" + kStyle + "</style>\n<h1>" + html_text(title) + "</h1>\n" + body +
         "</html>\n";
}

std::string html_picture(const Image& image, Format format) {
  return satin::cat("<img alt=\"\" width=\"", image.width, "\" src=\"data:image/",
                    format == Format::jpg ? "jpeg" : format_name(format), ";base64,",
                    base64(encode_image(image, format, {.quality = 90})), "\">");
}

std::string html_pictures(const std::vector<PictureRow>& rows) {
  std::string text = "<div class=\"pictures\">\n<b>Input</b><b>Result</b><b>Ground truth</b>\n";
  for (const PictureRow& row : rows) {
    if (!row.caption.empty()) text += "<p>" + row.caption + "</p>\n";
    text += row.pictures + "\n";
  }
  return text + "</div>\n";
}

nlohmann::ordered_json json_number(double x) {
  return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json(nullptr);
}

void write_text(const std::string& path, const std::string& text) {
  satin::write_file(path, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace mgpnet
