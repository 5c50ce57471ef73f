#include "mgpnet/train_report.h"

#include <cmath>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mgpnet/chart.h"
#include "mgpnet/image_io.h"
#include "mgpnet/report.h"
#include "mgpnet/smoother.h"

namespace mgpnet {
namespace {

constexpr uint64_t kSamples = 3;
constexpr int kSampleSide = 192;

/// The numbers of a log by their keys.
std::map<std::string, std::vector<Point>> read_log(const std::filesystem::path& path) {
  std::map<std::string, std::vector<Point>> series;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry.contains("step") || !entry["step"].is_number()) continue;
    for (const auto& [key, value] : entry.items())
      if (value.is_number()) series[key].push_back({entry["step"], value});
  }
  return series;
}

std::string settings_table(const TrainConfig& config) {
  std::string text = "<details><summary>Settings</summary><table class=\"numbers\">\n";
  for (const auto& [name, value] : entries(config))
    text += "<tr><td>" + html_text(name) + "<td>" + html_text(value) + "\n";
  return text + "</table></details>\n";
}

}  // namespace

std::string report_page(const std::filesystem::path& log,
                        const Trainer& trainer,
                        const Globals& globals) {
  auto series = read_log(log);
  const TrainConfig& config = trainer.config();
  std::string body = fmt::format("<p>Step {} of {}, {} pairs seen", trainer.iteration(),
                                 config.iters, trainer.iteration() * config.batch);
  if (std::isfinite(trainer.best_psnr()))
    body += fmt::format(", best validation PSNR {:.2f} dB", trainer.best_psnr());
  body += ".</p>\n" + settings_table(config) + "<h2>Curves</h2>\n<div class=\"charts\">\n";
  if (series.empty()) body += "<p class=\"soft\">No step yet.</p>";
  body += draw({.title = "Loss", .points = series["loss"], .logarithmic = true, .smoothed = true});
  body += draw({.title = "Validation PSNR, dB", .points = series["psnr"], .marked = true});
  body += draw({.title = "Gradient norm, before clipping",
                .points = series["grad_norm"],
                .logarithmic = true,
                .smoothed = true});
  body += draw({.title = "Learning rate", .points = series["lr"]});
  body +=
      "</div>\n<p class=\"soft\">Over steps. Faint: every value; line: the mean of the "
      "twentieth around it.</p>\n<h2>Samples of the training data</h2>\n";
  const Globals left = trainer.beside(globals);
  Smoother smoother(trainer.model(), left);
  if (left.max_mem > 0 && smoother.needed_bytes(kSampleSide, kSampleSide) > left.max_mem)
    return html_page("Training of mgpnet", body + "<p>Left out: --max-mem is too small.</p>\n");
  std::vector<PictureRow> rows;
  for (uint64_t sample = 0; sample < kSamples; ++sample) {
    const Pair pair = trainer.source().crop(sample, kSampleSide);
    rows.push_back({"", html_picture(pair.input, Format::png) +
                            html_picture(smoother.smooth(pair.input), Format::png) +
                            html_picture(pair.gt, Format::png)});
  }
  return html_page("Training of mgpnet", body + html_pictures(rows));
}

}  // namespace mgpnet
