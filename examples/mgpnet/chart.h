// Curves of a training as SVG inside an HTML page: axes with ticks, linear or logarithmic, every
// value as a faint mark and their running mean as a line.  Colors come from the page's style
// (report.cpp), so that one drawing suits dark and light.
#pragma once

#include <string>
#include <vector>

namespace mgpnet {

struct Point {
  double x, y;
};

struct Chart {
  std::string title = {};
  std::vector<Point> points = {};  ///< x rising
  bool logarithmic = false;        ///< y; points with y <= 0 are left out
  bool smoothed = false;           ///< draw the running mean; else the points are joined
  bool marked = false;             ///< a dot at every point, the highest one with its value
};

/// A <figure>, or nothing for a chart without finite points.
std::string draw(const Chart& chart);

/// Round numbers (1, 2 or 5 times a power of ten) from low to high, about `count` of them; on a
/// logarithmic axis spread as such.
std::vector<double> axis_ticks(double low, double high, bool logarithmic, int count = 5);

}  // namespace mgpnet
