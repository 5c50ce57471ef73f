// mgpnet eval and convert as scripts meet them.
#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "mgpnet/image_io.h"
#include "mgpnet/metrics.h"
#include "program.h"

using namespace mgpnet;
using namespace mgpnet::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Pairs gt/N.png, input/N.png whose values differ by N + 1 everywhere.
void make_pairs(const TemporaryFolder& dir, int count) {
  std::filesystem::create_directory(dir / "gt");
  std::filesystem::create_directory(dir / "input");
  for (int i = 0; i < count; ++i) {
    Image image = picture(24, 16);
    for (uint16_t& v : image.pixels) v = static_cast<uint16_t>(v % 200);
    write_picture(dir / ("gt/" + std::to_string(i) + ".png"), image);
    for (uint16_t& v : image.pixels) v = static_cast<uint16_t>(v + i + 1);
    write_picture(dir / ("input/" + std::to_string(i) + ".png"), image);
  }
}

}  // namespace

TEST_CASE("eval: two folders, by the formula") {
  const TemporaryFolder dir;
  make_pairs(dir, 3);
  const Ended ended = run({"eval", "--pred", dir / "input", "--gt", dir / "gt", "--json",
                           dir / "e.json", "--csv", dir / "e.csv", "--html", dir / "e.html"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  const auto report = nlohmann::json::parse(file_text(dir / "e.json"));
  REQUIRE(report["pictures"].size() == 3);
  double mean = 0;
  for (int i = 0; i < 3; ++i) {
    const double expected = 20 * std::log10(255.0 / (i + 1));
    CHECK(report["pictures"][i]["name"] == std::to_string(i));
    CHECK(report["pictures"][i]["psnr"].get<double>() == doctest::Approx(expected).epsilon(1e-9));
    const double s = report["pictures"][i]["ssim"];
    CHECK(s == doctest::Approx(ssim(read_image(dir / ("gt/" + std::to_string(i) + ".png")),
                                    read_image(dir / ("input/" + std::to_string(i) + ".png")))));
    mean += expected / 3;
  }
  CHECK(report["mean"]["psnr"].get<double>() == doctest::Approx(mean).epsilon(1e-9));
  CHECK(contains(report["protocol"].get<std::string>(), "PSNR"));
  char last[64];
  std::snprintf(last, sizeof last, "mean  psnr %.2f  ssim ", mean);
  CHECK(contains(ended.out, last));
  CHECK(contains(ended.out, "  pictures 3\n"));
  CHECK(std::count(ended.out.begin(), ended.out.end(), '\n') == 4);
  CHECK(contains(file_text(dir / "e.csv"), "name,psnr,ssim\n\"0\",48.13"));
  CHECK(contains(file_text(dir / "e.html"), "src=\"data:image/jpeg;base64,/9j/"));
  const Ended quiet = run({"eval", "-q", "--pred", dir / "input", "--gt", dir / "gt"});
  CHECK(std::count(quiet.out.begin(), quiet.out.end(), '\n') == 1);
  CHECK(quiet.err == "");
}

TEST_CASE("eval: a model over pairs agrees with smooth and the measures") {
  const TemporaryFolder dir;
  make_pairs(dir, 2);
  const Ended ended = run({"eval", "--data", dir.path(), "-m", model_file(), "--json",
                           dir / "e.json", "--save", dir / "results", "--max", "1"});
  CAPTURE(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(run({"smooth", "-m", model_file(), dir / "input/0.png", "-o", dir / "s.png"}).code == 0);
  const Image smoothed = read_image(dir / "s.png");
  CHECK(read_image(dir / "results/0.png").pixels == smoothed.pixels);
  const auto report = nlohmann::json::parse(file_text(dir / "e.json"));
  REQUIRE(report["pictures"].size() == 1);
  CHECK(report["pictures"][0]["psnr"].get<double>() ==
        doctest::Approx(psnr(smoothed, read_image(dir / "gt/0.png"))).epsilon(1e-12));
  const Ended none = run({"eval", "--data", dir.path(), "--filter", "none"});
  CHECK(none.code == 0);
  CHECK(contains(none.out, "0  psnr 48.13"));
}

TEST_CASE("eval: --fail-below, and what it refuses") {
  const TemporaryFolder dir;
  make_pairs(dir, 2);
  const auto with = [&](const std::string& bar) {
    return run({"eval", "--pred", dir / "input", "--gt", dir / "gt", "--fail-below", bar}).code;
  };
  CHECK(with("psnr=30") == 0);
  CHECK(with("psnr=30,ssim=0.5") == 0);
  CHECK(with("psnr=60") == 9);
  CHECK(with("psnr=30,ssim=0.99999999") == 9);
  CHECK(with("psnr") == 2);
  CHECK(with("psnr=nan") == 2);
  CHECK(with("pnsr=3") == 2);
  CHECK(run({"eval"}).code == 2);
  CHECK(run({"eval", "--pred", dir / "input"}).code == 2);
  CHECK(run({"eval", "--data", dir / "nothing"}).code == 3);
  CHECK(run({"eval", "--data", dir.path(), "-m", dir / "none"}).code == 5);
  CHECK(run({"eval", "--pred", dir / "input", "--gt", dir / "gt", "--json", "/dev/full"}).code ==
        4);
  write_picture(dir / "input/0.png", picture(25, 16));
  CHECK(run({"eval", "--pred", dir / "input", "--gt", dir / "gt"}).code == 3);
}

TEST_CASE("convert: there and back is the same file") {
  const TemporaryFolder dir;
  CHECK(run({"convert", model_file(), dir / "a.safetensors"}).code == 0);
  CHECK(run({"convert", dir / "a.safetensors", dir / "b.gguf"}).code == 0);
  CHECK(file_text(dir / "b.gguf") == file_text(model_file()));
  CHECK(run({"convert", dir / "b.gguf", dir / "c.gguf", "--type", "bf16"}).code == 0);
  CHECK(std::filesystem::file_size(dir / "c.gguf") < 8'000'000);
  // Without --type the precision stays.
  CHECK(run({"convert", dir / "c.gguf", dir / "d.safetensors"}).code == 0);
  CHECK(run({"convert", dir / "d.safetensors", dir / "e.gguf"}).code == 0);
  CHECK(file_text(dir / "e.gguf") == file_text(dir / "c.gguf"));
  CHECK(run({"convert", dir / "c.gguf", dir / "x.bin"}).code == 2);
  CHECK(run({"convert", dir / "c.gguf", "/dev/full"}).code == 2);
  CHECK(run({"convert", dir / "none.gguf", dir / "x.gguf"}).code == 5);
  CHECK(run({"convert", dir / "c.gguf", dir / "no/x.gguf"}).code == 4);
  CHECK(run({"convert", dir / "c.gguf", dir / "x.gguf", "--type", "f8"}).code == 2);
}
