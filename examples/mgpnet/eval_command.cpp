// mgpnet eval: PSNR and SSIM of a model over pairs, or of one folder of pictures against another.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>

#include <nlohmann/json.hpp>

#include "mgpnet/command.h"
#include "mgpnet/command_line.h"
#include "mgpnet/dataset.h"
#include "mgpnet/image_io.h"
#include "mgpnet/metrics.h"
#include "mgpnet/report.h"
#include "mgpnet/smoother.h"
#include "nn/atomic_file.h"

namespace mgpnet {

namespace fs = std::filesystem;

namespace {

constexpr char kProtocol[] =
    "output clamped to [0, 1], times 255, rounded to 8 bits; no border crop; PSNR over all RGB "
    "values; "
    "SSIM with an 11 x 11 Gaussian window, sigma 1.5, valid region, per channel, then averaged; "
    "mean "
    "over pictures";

// Pictures in the report: enough to look at, few enough to open.
constexpr size_t kShown = 40;

struct EvalArguments {
  std::string data, pred, gt, model, filter, json, csv, html, save, fail_below;
  uint64_t max = 0;
};

struct Scored {
  std::string name;
  Scores scores;
  std::string pictures;  ///< HTML of input, result, ground truth
};

/// "psnr=31.5,ssim=0.92"; nothing for other text.
std::optional<Scores> parse_bars(const std::string& text) {
  Scores bars{-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    double* bar = part.starts_with("psnr=")   ? &bars.psnr
                  : part.starts_with("ssim=") ? &bars.ssim
                                              : nullptr;
    if (!bar) return std::nullopt;
    try {
      size_t used = 0;
      *bar = std::stod(part.substr(5), &used);
      if (used != part.size() - 5 || !std::isfinite(*bar)) return std::nullopt;
    } catch (const std::exception&) {
      return std::nullopt;
    }
    at = end + 1;
  }
  return text.empty() ? std::nullopt : std::optional(bars);
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string line_of(const std::string& name, const Scores& s) {
  return satin::cat(satin::one_line(name), "  psnr ", fixed(s.psnr, 2), "  ssim ",
                    fixed(s.ssim, 4));
}

// --- reports -----------------------------------------------------------------------------------

std::string json_report(const std::vector<Scored>& all, const Scores& mean) {
  nlohmann::ordered_json report = {
      {"protocol", kProtocol},
      {"mean", {{"psnr", json_number(mean.psnr)}, {"ssim", json_number(mean.ssim)}}},
      {"pictures", nlohmann::ordered_json::array()}};
  for (const Scored& s : all)
    report["pictures"].push_back({{"name", s.name},
                                  {"psnr", json_number(s.scores.psnr)},
                                  {"ssim", json_number(s.scores.ssim)}});
  return report.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string csv_report(const std::vector<Scored>& all) {
  std::string text = "name,psnr,ssim\n";
  for (const Scored& s : all) {
    text += '"';
    for (const char c : s.name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += satin::cat("\",", fixed(s.scores.psnr, 6), ",", fixed(s.scores.ssim, 8), "\n");
  }
  return text;
}

std::string html_report(const std::vector<Scored>& all, const Scores& mean) {
  std::string text = satin::cat(
      "<p>Mean PSNR <b>", fixed(mean.psnr, 2), "</b> dB, mean SSIM <b>", fixed(mean.ssim, 4),
      "</b>, ", all.size(), " pictures.</p>\n<p class=\"soft\">Protocol: ", kProtocol,
      ".</p>\n<table class=\"numbers\"><tr><th>Picture<th>PSNR<th>SSIM\n");
  std::vector<PictureRow> rows;
  for (const Scored& s : all) {
    text += satin::cat("<tr><td>", html_text(s.name), "<td>", fixed(s.scores.psnr, 2), "<td>",
                       fixed(s.scores.ssim, 4), "\n");
    if (!s.pictures.empty())
      rows.push_back({satin::cat(html_text(s.name), ": PSNR ", fixed(s.scores.psnr, 2),
                                 " dB, SSIM ", fixed(s.scores.ssim, 4)),
                      s.pictures});
  }
  return html_page("mgpnet eval", text + "</table>\n<h2>Pictures</h2>\n" + html_pictures(rows));
}

void print_or_write(const std::string& path, const std::string& text) {
  if (path == "-")
    print(text);
  else
    write_text(path, text);
}

// --- the run -----------------------------------------------------------------------------------

void save_result(const std::string& folder, const std::string& name, const Image& result) {
  const fs::path path = fs::path(folder) / (name + ".png");
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error)
    throw Failure(kOutput, "cannot create folder", path.parent_path().string(), error.message());
  satin::write_file(path.string(), encode_image(result, Format::png));
}

void eval(const EvalArguments& a, const Globals& globals) {
  const bool folders = !a.pred.empty() || !a.gt.empty();
  if (folders == !a.data.empty())
    throw Failure(kUsage, "nothing to evaluate", "",
                  "give either --data FOLDER, or --pred FOLDER and --gt FOLDER");
  if (folders && (a.pred.empty() || a.gt.empty()))
    throw Failure(kUsage, "half of a comparison", a.pred.empty() ? "--gt" : "--pred",
                  "--pred and --gt go together");
  std::vector<PairFiles> pairs =
      folders ? match_folders(a.gt, a.pred) : find_pairs(a.data, Split::kValidation);
  if (a.max > 0 && a.max < pairs.size()) pairs.resize(a.max);

  std::unique_ptr<Smoother> smoother;
  if (!folders && a.filter.empty()) {
    announce_device(globals);
    smoother = std::make_unique<Smoother>(open_model(a.model), globals);
  }

  std::vector<Scored> all;
  Scores sum;
  {
    Progress progress(globals, "eval", pairs.size(), "pictures");
    progress.update(0);
    for (const PairFiles& files : pairs) {
      stop_if_interrupted();
      const Pair pair = load_pair(files, [](const std::string& path) { return read_image(path); });
      const Image result = smoother ? smoother->smooth(pair.input) : pair.input;
      Scored scored{files.name, {psnr(result, pair.gt), ssim(result, pair.gt)}, {}};
      if (!a.html.empty() && all.size() < kShown)
        scored.pictures = html_picture(pair.input, Format::jpg) +
                          html_picture(result, Format::jpg) + html_picture(pair.gt, Format::jpg);
      if (!a.save.empty()) save_result(a.save, files.name, result);
      sum.psnr += scored.scores.psnr, sum.ssim += scored.scores.ssim;
      if (!globals.quiet) print(line_of(scored.name, scored.scores) + "\n");
      all.push_back(std::move(scored));
      progress.update(all.size());
    }
  }
  const auto n = static_cast<double>(all.size());
  const Scores mean{sum.psnr / n, sum.ssim / n};
  print(satin::cat(line_of("mean", mean), "  pictures ", all.size(), "\n"));
  if (!a.json.empty()) print_or_write(a.json, json_report(all, mean));
  if (!a.csv.empty()) print_or_write(a.csv, csv_report(all));
  if (!a.html.empty()) print_or_write(a.html, html_report(all, mean));
  flush_output();
  if (a.fail_below.empty()) return;
  const Scores bars = parse_bars(a.fail_below).value();
  // A mean that is not a number passes no bar.
  if (!(mean.psnr >= bars.psnr) || !(mean.ssim >= bars.ssim))
    throw Failure(
        kCheckFailed, "below the bar", "--fail-below " + a.fail_below,
        satin::cat("the mean is psnr ", fixed(mean.psnr, 4), ", ssim ", fixed(mean.ssim, 6)));
}

}  // namespace

void add_eval(CLI::App& app, Globals& globals) {
  CLI::App* command =
      app.add_subcommand("eval", "PSNR and SSIM of a model or of finished pictures");
  const auto a = std::make_shared<EvalArguments>();
  command->add_option("--data", a->data, "folder of pairs: gt/ and input/, val_gt/ and ...");
  command->add_option("--pred", a->pred, "finished pictures, matched with --gt by name");
  command->add_option("--gt", a->gt, "ground truth for --pred");
  command->add_option("-m,--model", a->model, ".gguf or .safetensors; default: the embedded one")
      ->envname("MGPNET_MODEL");
  command->add_option("--filter", a->filter, "none: score the inputs as they are")
      ->check(choice({"none"}));
  command->add_option("--json", a->json, "write the table as JSON, - for standard output");
  command->add_option("--csv", a->csv, "write the table as CSV");
  command->add_option("--html", a->html, "write a page with table and pictures");
  command->add_option("--save", a->save, "write the results into this folder as PNG");
  command->add_option("--max", a->max, "only the first N pictures")->check(whole(1, INT32_MAX));
  command->add_option("--fail-below", a->fail_below, "exit 9 below psnr=31.5,ssim=0.92")
      ->check(CLI::Validator(
          [](std::string& text) {
            return parse_bars(text) ? std::string() : "psnr=X, ssim=Y or both with a comma";
          },
          "psnr=X,ssim=Y"));
  command->callback([a, &globals] { eval(*a, globals); });
}

}  // namespace mgpnet
