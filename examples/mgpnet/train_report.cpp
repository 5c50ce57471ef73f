#include "mgpnet/train_report.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "mgpnet/image_io.h"
#include "mgpnet/report.h"
#include "mgpnet/smoother.h"

namespace mgpnet {
namespace {

struct Point {
  double x, y;
};

std::string picture(const Image& image, const std::string& caption) {
  return "<figure><img src=\"data:image/png;base64," + base64(encode_image(image, Format::png)) +
         "\"><figcaption>" + caption + "</figcaption></figure>";
}

/// Runs of neighbours averaged down to at most 400 points.
std::vector<Point> thinned(const std::vector<Point>& points) {
  const size_t run = points.size() / 400 + 1;
  std::vector<Point> out;
  for (size_t i = 0; i < points.size(); i += run) {
    Point sum{0, 0};
    const size_t end = std::min(points.size(), i + run);
    for (size_t k = i; k < end; ++k) sum.x += points[k].x, sum.y += points[k].y;
    out.push_back({sum.x / static_cast<double>(end - i), sum.y / static_cast<double>(end - i)});
  }
  return out;
}

std::string curve(const std::string& title, const std::vector<Point>& all) {
  const std::vector<Point> points = thinned(all);
  if (points.size() < 2) return {};
  double low = points[0].y, high = points[0].y;
  for (const Point& p : points) low = std::min(low, p.y), high = std::max(high, p.y);
  const double left = points.front().x, right = points.back().x;
  std::ostringstream out;
  out << "<h2>" << title
      << "</h2><svg viewBox=\"0 0 820 260\" width=\"820\"><rect x=\"60\" y=\"10\" width=\"740\" "
      << "height=\"220\" fill=\"#fafafa\" stroke=\"#ccc\"/><polyline fill=\"none\" "
         "stroke=\"#1565c0\" stroke-width=\"1.5\" points=\"";
  for (const Point& p : points)
    out << 60 + 740 * (p.x - left) / std::max(1e-12, right - left) << ","
        << 230 - 220 * (p.y - low) / std::max(1e-12, high - low) << " ";
  out << "\"/><text x=\"4\" y=\"20\" font-size=\"12\">" << high
      << "</text><text x=\"4\" y=\"230\" font-size=\"12\">" << low
      << "</text><text x=\"60\" y=\"250\" font-size=\"12\">step " << left
      << "</text><text x=\"720\" y=\"250\" font-size=\"12\">step " << right << "</text></svg>\n";
  return out.str();
}

}  // namespace

std::string report_page(const std::filesystem::path& log,
                        const Trainer& trainer,
                        const Globals& globals) {
  std::vector<Point> loss, psnr;
  std::ifstream in(log);
  for (std::string line; std::getline(in, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    if (!entry.is_object()) continue;
    const auto point = [&](const char* key, std::vector<Point>& to) {
      if (entry.contains(key) && entry[key].is_number())
        to.push_back({entry.value("step", 0.0), entry[key].get<double>()});
    };
    point("loss", loss);
    point("psnr", psnr);
  }
  std::string page =
      "<!doctype html><meta charset=\"utf-8\"><title>mgpnet "
      "training</title><style>body{font-family:sans-serif;margin:2em}"
      "figure{display:inline-block;margin:4px}figcaption{font-size:80%;color:#555}</"
      "style><h1>Training</h1>\n<p>" +
      std::to_string(trainer.iteration()) + " steps.</p>\n" + curve("loss", loss) +
      curve("validation PSNR, dB", psnr);
  page += "<h2>Samples of the training data</h2>\n";
  Smoother smoother(trainer.model(), globals);
  for (uint64_t sample = 0; sample < 3; ++sample) {
    const Pair pair = trainer.source().crop(sample, 192);
    page += "<div>" + picture(pair.input, "input") +
            picture(smoother.smooth(pair.input), "output") + picture(pair.gt, "ground truth") +
            "</div>\n";
  }
  return page;
}

}  // namespace mgpnet
