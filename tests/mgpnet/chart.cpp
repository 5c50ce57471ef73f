// Axes get round numbers; no curve, however short or flat, draws outside the numbers.
#include "mgpnet/chart.h"

#include <cmath>

#include <doctest/doctest.h>

using namespace mgpnet;

namespace {

void check_ticks(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]));
}

}  // namespace

TEST_CASE("chart: ticks are round numbers, on a logarithmic axis spread as such") {
  check_ticks(axis_ticks(0, 10, false), {0, 2, 4, 6, 8, 10});
  check_ticks(axis_ticks(-0.3, 0.3, false), {-0.2, 0, 0.2});
  CHECK(!std::signbit(axis_ticks(0, 1, false)[0]));
  check_ticks(axis_ticks(0.04, 3, true), {0.05, 0.1, 0.2, 0.5, 1, 2});
  check_ticks(axis_ticks(3e-3, 2e3, true), {0.01, 0.1, 1, 10, 100, 1000});
  check_ticks(axis_ticks(1.51, 1.9, true), {1.6, 1.7, 1.8, 1.9});
}

TEST_CASE("chart: curves of any length and range") {
  CHECK(draw({}) == "");
  CHECK(draw({.points = {{1, NAN}, {2, INFINITY}}}) == "");
  CHECK(draw({.points = {{1, 0}, {2, -1}}, .logarithmic = true}) == "");

  std::vector<Point> many;
  for (int i = 1; i <= 30'000; ++i) many.push_back({static_cast<double>(i), 1.0 / i});
  const std::vector<Point> cases[] = {
      {{1, 5}}, {{1, 0}}, {{7, 3}, {8, 3}}, {{1, 1e-30}, {2, 1e30}}, {{1, -5}, {9, NAN}}, many};
  for (const auto& points : cases)
    for (const bool logarithmic : {false, true}) {
      const std::string svg = draw({.title = "a < b",
                                    .points = points,
                                    .logarithmic = logarithmic,
                                    .smoothed = true,
                                    .marked = points.size() < 10});
      CAPTURE(svg.substr(0, 1000));
      if (logarithmic && points[0].y <= 0) {
        CHECK(svg == "");
        continue;
      }
      CHECK(svg.find("a &lt; b") != std::string::npos);
      CHECK(svg.find("class=\"curve\"") != std::string::npos);
      CHECK(svg.find("nan") == std::string::npos);
      CHECK(svg.find("inf") == std::string::npos);
      CHECK(svg.size() < 50'000);
    }
}
