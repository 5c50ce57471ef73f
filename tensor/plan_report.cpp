// describe() and draw(): a plan for people.
#include <algorithm>
#include <iomanip>
#include <sstream>

#include "tensor/plan.h"

namespace satin {
namespace {

std::vector<int> by_size(const Plan& plan) {
  std::vector<int> order;
  for (size_t b = 0; b < plan.buffers.size(); ++b)
    if (!plan.buffers[b].persistent && plan.buffers[b].bytes > 0)
      order.push_back(static_cast<int>(b));
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return plan.buffers[a].bytes > plan.buffers[b].bytes; });
  return order;
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Text that may hold < > & for SVG.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

}  // namespace

std::string describe(const Plan& plan) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(2);
  out << "      MiB   offset MiB   steps          made by\n";
  for (const int b : by_size(plan)) {
    const Plan::Buffer& buffer = plan.buffers[b];
    out << std::setw(9) << mib(buffer.bytes) << std::setw(13) << mib(buffer.offset) << std::setw(8)
        << buffer.first << " .. " << std::left << std::setw(6) << buffer.last << std::right << " "
        << buffer.label << "\n";
  }
  out << "arena " << mib(plan.arena_bytes) << " MiB, constants and parameters "
      << mib(plan.persistent_bytes) << " MiB, " << plan.steps.size() << " steps\n";
  return out.str();
}

std::string draw(const Plan& plan) {
  constexpr double kWidth = 1200, kHeight = 700, kMargin = 60;
  const double steps = std::max<double>(1, static_cast<double>(plan.steps.size()));
  const double bytes = std::max<double>(1, static_cast<double>(plan.arena_bytes));
  std::ostringstream out;
  out << std::fixed << std::setprecision(2);
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << kWidth + 2 * kMargin
      << "\" height=\"" << kHeight + 2 * kMargin
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      << "<text x=\"" << kMargin << "\" y=\"30\">" << mib(plan.arena_bytes) << " MiB arena, "
      << plan.steps.size()
      << " steps: time to the right, address upwards; hover for names</text>\n";
  int hue = 0;
  for (const int b : by_size(plan)) {
    const Plan::Buffer& buffer = plan.buffers[b];
    const double x = kMargin + kWidth * std::max(0, buffer.first) / steps;
    const double right = kMargin + kWidth * std::min<double>(steps, buffer.last + 1) / steps;
    const double height = kHeight * static_cast<double>(buffer.bytes) / bytes;
    const double y =
        kMargin + kHeight - kHeight * static_cast<double>(buffer.offset) / bytes - height;
    hue = (hue + 67) % 360;
    out << "<rect x=\"" << x << "\" y=\"" << y << "\" width=\"" << std::max(0.5, right - x)
        << "\" height=\"" << height << "\" fill=\"hsl(" << hue
        << ",60%,70%)\" stroke=\"white\" stroke-width=\"0.3\"><title>" << escaped(buffer.label)
        << ", " << mib(buffer.bytes) << " MiB, steps " << buffer.first << " to " << buffer.last
        << "</title></rect>\n";
  }
  out << "</svg>\n";
  return out.str();
}

}  // namespace satin
