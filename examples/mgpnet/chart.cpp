#include "mgpnet/chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "mgpnet/report.h"

namespace mgpnet {
namespace {

// The drawing and, inside it, the frame of the curve.
constexpr double kWidth = 480, kHeight = 250, kLeft = 58, kRight = 468, kTop = 12, kBottom = 222;
// Marks and vertices of a curve: more than its pixels would only make the page larger.
constexpr size_t kColumns = 400;

/// 1, 2 or 5 times a power of ten, at least x.
double round_up(double x) {
  const double power = std::pow(10, std::floor(std::log10(x)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= x * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

/// From value to place on the page.
struct Axis {
  double low, high, begin, end;
  bool logarithmic;

  double operator()(double value) const {
    const double at =
        logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return begin + (end - begin) * at;
  }
};

/// The values' range, a little wider, and never empty.
Axis y_axis(const std::vector<Point>& points, bool logarithmic) {
  const auto [low, high] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
  if (logarithmic) {
    const double room = std::max(std::pow(high->y / low->y, 0.05), 1.02);
    return {low->y / room, high->y * room, kBottom, kTop, logarithmic};
  }
  const double span = high->y - low->y, room = span > 0 ? 0.05 * span : std::abs(high->y) + 1e-9;
  // From zero where that costs little, and never below it for what is never negative.
  const double floor = low->y < 0             ? low->y - room
                       : low->y < high->y / 2 ? 0.0
                                              : std::max(0.0, low->y - room);
  return {floor, high->y + room, kBottom, kTop, logarithmic};
}

/// Every value: a vertical line from the least to the largest of each column, a dot if it has one.
std::string marks(const std::vector<Point>& points, const Axis& x, const Axis& y) {
  const size_t run = (points.size() + kColumns - 1) / kColumns;
  std::string path;
  for (size_t i = 0; i < points.size(); i += run) {
    double low = points[i].y, high = low;
    for (size_t k = i; k < std::min(points.size(), i + run); ++k)
      low = std::min(low, points[k].y), high = std::max(high, points[k].y);
    path += fmt::format("M{:.1f} {:.1f}V{:.1f}", x(points[i].x), y(low), y(high) - 0.01);
  }
  return "<path class=\"marks\" d=\"" + path + "\"/>";
}

/// Means over 1/20 of the points around each of at most kColumns of them.
std::vector<Point> running_mean(const std::vector<Point>& points) {
  std::vector<double> sums = {0};
  for (const Point& p : points) sums.push_back(sums.back() + p.y);
  const size_t n = points.size(), reach = n / 40, run = (n + kColumns - 1) / kColumns;
  std::vector<Point> means;
  for (size_t i = 0;; i = std::min(i + run, n - 1)) {
    const size_t from = i - std::min(i, reach), to = std::min(i + reach, n - 1) + 1;
    means.push_back({points[i].x, (sums[to] - sums[from]) / static_cast<double>(to - from)});
    if (i == n - 1) break;
  }
  return means;
}

std::string line(const std::vector<Point>& points, const Axis& x, const Axis& y) {
  std::string list;
  for (const Point& p : points) list += fmt::format("{:.1f},{:.1f} ", x(p.x), y(p.y));
  return "<polyline class=\"curve\" points=\"" + list + "\"/>";
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, bool logarithmic, int count) {
  std::vector<double> ticks;
  if (logarithmic) {
    for (const bool all : {true, false}) {
      ticks.clear();
      const auto first = std::lround(std::floor(std::log10(low)));
      for (long power = first; std::pow(10, power) <= high; ++power)
        for (const double digit : {1.0, 2.0, 5.0}) {
          const double tick = digit * std::pow(10, power);
          if ((all || digit == 1) && tick >= low && tick <= high) ticks.push_back(tick);
        }
      if (ticks.size() <= 2 * static_cast<size_t>(count)) break;
    }
    if (ticks.size() >= 3) return ticks;
    ticks.clear();  // less than a decade: evenly spaced values do
  }
  const double step = round_up((high - low) / count);
  const auto first = std::llround(std::ceil(low / step - 1e-9)),
             last = std::llround(std::floor(high / step + 1e-9));
  for (auto i = first; i <= last; ++i) ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

std::string draw(const Chart& chart) {
  std::vector<Point> points;
  for (const Point& p : chart.points)
    if (std::isfinite(p.y) && (p.y > 0 || !chart.logarithmic)) points.push_back(p);
  if (points.empty()) return {};
  const double first = points.front().x;
  const Axis x = {first, std::max(points.back().x, first + 1), kLeft, kRight, false};
  const Axis y = y_axis(points, chart.logarithmic);

  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\">", kWidth, kHeight);
  for (const double tick : axis_ticks(y.low, y.high, chart.logarithmic))
    svg += fmt::format(
        "<path class=\"grid\" d=\"M{0} {2:.1f}H{1}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.6g}</text>",
        kLeft, kRight, y(tick), kLeft - 6, y(tick) + 4, tick);
  for (const double tick : axis_ticks(x.low, x.high, false, 6))
    if (tick == std::floor(tick))
      svg += fmt::format(
          "<path class=\"grid\" d=\"M{0:.1f} {1}V{2}\"/>"
          "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:.15g}</text>",
          x(tick), kTop, kBottom, kBottom + 17, tick);
  if (chart.smoothed) svg += marks(points, x, y);
  svg += line(chart.smoothed ? running_mean(points) : points, x, y);
  if (chart.marked) {
    const Point* best = &points[0];
    for (const Point& p : points) {
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>", x(p.x), y(p.y));
      if (p.y > best->y) best = &p;
    }
    svg += fmt::format("<circle class=\"best\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>", x(best->x),
                       y(best->y));
  }
  return "<figure><figcaption>" + html_text(chart.title) + "</figcaption>" + svg +
         "</svg></figure>\n";
}

}  // namespace mgpnet
