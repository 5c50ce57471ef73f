// mgpnet smooth as scripts meet it: exit codes, pipes, names, sizes, depths, batches.
#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "mgpnet/image_io.h"
#include "mgpnet/model.h"
#include "nn/atomic_file.h"
#include "nn/safetensors.h"
#include "program.h"

using namespace mgpnet;
using namespace mgpnet::test;

namespace {

Ended smooth(std::vector<std::string> arguments, const RunOptions& options = {}) {
  arguments.insert(arguments.begin(), {"smooth", "-m", model_file()});
  return run(arguments, options);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// `mgpnet: error: WHAT: WHERE`, then an indented reason.
void check_error(const Ended& ended, int code, const std::string& part) {
  CAPTURE(ended.err);
  CHECK(ended.code == code);
  CHECK(contains(ended.err, "mgpnet: error: "));
  CHECK(contains(ended.err, "\n  "));
  CHECK(contains(ended.err, part));
  CHECK(ended.out == "");
}

void set_weights(const std::string& path, float value) {
  Model model = random_model("full", 1);
  for (float& w : model.weights) w = value;
  satin::write_file(path, serialize_model(model, ModelFormat::gguf));
}

}  // namespace

TEST_CASE("smooth: usage errors exit 2 and say what is allowed") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  const std::string a = dir / "a.png";
  check_error(smooth({}), 2, "nothing to smooth");
  check_error(smooth({a, "--strength", "7"}), 2, "0 to 2");
  check_error(smooth({a, "--strength", "nan"}), 2, "0 to 2");
  check_error(smooth({a, "--strenght", "1"}), 2, "did you mean --strength?");
  check_error(smooth({a, "--exists", "overwite"}), 2, "did you mean overwrite?");
  check_error(smooth({a, "--quality", "101"}), 2, "1 to 100");
  check_error(smooth({a, "-o", dir / "noextension"}), 2, "-f");
  check_error(smooth({a, "-f", "gif"}), 2, "png");
  check_error(smooth({a, "--max-mem", "lots"}), 2, "6G");
  check_error(run({"smoth"}), 2, "did you mean smooth?");
  CHECK(run({}).code == 2);
}

TEST_CASE("smooth: every kind of failure has its exit code") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  const std::string a = dir / "a.png", out = dir / "out.png";
  check_error(smooth({dir / "absent.png"}), 3, "absent.png");
  write_text_file(dir / "text.png", "hello");
  check_error(smooth({dir / "text.png"}), 3, "text");
  std::filesystem::create_directory(dir / "empty");
  check_error(smooth({dir / "empty"}), 3, "no pictures");
  check_error(smooth({a, "-o", "/dev/full", "-f", "png"}), 4, "/dev/full");
  check_error(smooth({a, "-o", dir / "no/such/out.png"}), 4, "no/such/out.png");
  check_error(smooth({a, "-o", a, "--exists", "error"}), 4, "exists");
  check_error(run({"smooth", a, "-o", out, "-m", dir / "none.gguf"}), 5, "none.gguf");
  check_error(run({"smooth", a, "-o", out, "-m", dir / "text.png"}), 5, "text.png");
  check_error(smooth({a, "-o", out, "--device", "cuda"}), 6, "CUDA");
  check_error(smooth({a, "-o", out, "--device", "cuda:3"}), 6, "CUDA");
  check_error(smooth({a, "-o", out, "--precision", "tf32"}), 6, "f32");
  check_error(smooth({a, "-o", out, "--max-mem", "1M"}), 7, "smallest limit");
  CHECK(!exists(out));
}

TEST_CASE("smooth: the smallest limit it names does") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(70, 33));
  const Ended refused = smooth({dir / "a.png", "--max-mem", "1M"});
  REQUIRE(refused.code == 7);
  const size_t at = refused.err.rfind(' ');
  const long long needed = std::stoll(refused.err.substr(at + 1));
  CHECK(smooth({dir / "a.png", "--max-mem", std::to_string(needed)}).code == 0);
  CHECK(smooth({dir / "a.png", "--max-mem", std::to_string(needed - 1)}).code == 7);
}

TEST_CASE("smooth: results that are not numbers are not written") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  set_weights(dir / "huge.gguf", 1e30f);
  check_error(run({"smooth", dir / "a.png", "-o", dir / "out.png", "-m", dir / "huge.gguf"}), 8,
              "a.png");
  CHECK(!exists(dir / "out.png"));
}

TEST_CASE("smooth: weights of zero leave every picture as it is, whatever its kind") {
  const TemporaryFolder dir;
  set_weights(dir / "zero.gguf", 0);
  const std::pair<int, int> sizes[] = {{1, 1}, {2, 1}, {1, 65}, {10, 10}, {63, 64}, {70, 33}};
  int compared = 0;
  for (const auto& [width, height] : sizes)
    for (int channels = 1; channels <= 4; ++channels)
      for (const int bits : {8, 16}) {
        // All kinds at one size, and every size once for each.
        if ((width != 70) && (channels != 1 + width % 4 || bits != 8)) continue;
        CAPTURE(width);
        CAPTURE(channels);
        CAPTURE(bits);
        const Image in = picture(width, height, channels, bits);
        write_picture(dir / "in.png", in);
        const Ended ended =
            run({"smooth", "-q", dir / "in.png", "-o", dir / "out.png", "-m", dir / "zero.gguf"});
        CHECK(ended.code == 0);
        CHECK(ended.err == "");
        const Image out = read_image(dir / "out.png");
        CHECK(out.width == width);
        CHECK(out.height == height);
        CHECK(out.channels == channels);
        CHECK(out.bits == bits);
        CHECK(out.pixels == in.pixels);
        ++compared;
      }
  CHECK(compared == 13);
}

TEST_CASE("smooth: strength mixes, alpha stays, bits convert") {
  const TemporaryFolder dir;
  const Image in = picture(20, 9, 4);
  write_picture(dir / "in.png", in);
  const auto result = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {dir / "in.png", "-o", dir / "out.png"});
    const Ended ended = smooth(more);
    CAPTURE(ended.err);
    CHECK(ended.code == 0);
    return read_image(dir / "out.png");
  };
  CHECK(result({"--strength", "0"}).pixels == in.pixels);
  const Image full = result({}), half = result({"--strength", "0.5"});
  CHECK(full.pixels != in.pixels);
  int mixed = 0;
  for (size_t i = 0; i < in.pixels.size(); ++i) {
    if (i % 4 == 3) {
      CHECK(full.pixels[i] == in.pixels[i]);
    } else if (full.pixels[i] > 0 && full.pixels[i] < 255) {
      CHECK(std::abs(2 * half.pixels[i] - in.pixels[i] - full.pixels[i]) <= 2);
      ++mixed;
    }
  }
  CHECK(mixed > 100);
  const Image deep = result({"--bits", "16"});
  CHECK(deep.bits == 16);
  for (size_t i = 0; i < in.pixels.size(); ++i)
    CHECK(std::abs(deep.pixels[i] / 257.0 - full.pixels[i]) <= 0.51);
}

TEST_CASE("smooth: threads and formats of the model change no bit") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(70, 33));
  CHECK(run({"convert", model_file(), dir / "m.safetensors"}).code == 0);
  CHECK(smooth({dir / "a.png", "-o", dir / "1.png", "--threads", "1"}).code == 0);
  CHECK(smooth({dir / "a.png", "-o", dir / "3.png", "--threads", "3"}).code == 0);
  CHECK(run({"smooth", dir / "a.png", "-o", dir / "s.png", "-m", dir / "m.safetensors"}).code == 0);
  CHECK(file_text(dir / "1.png") == file_text(dir / "3.png"));
  CHECK(file_text(dir / "1.png") == file_text(dir / "s.png"));
}

TEST_CASE("smooth: pipes carry pictures and nothing else") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(12, 7));
  const std::string bytes = file_text(dir / "a.png");
  CHECK(smooth({dir / "a.png", "-o", dir / "b.png"}).code == 0);
  const std::string expected = file_text(dir / "b.png");
  const Ended piped = smooth({"-i", "-", "-o", "-", "-f", "png"}, {.input = bytes});
  CHECK(piped.code == 0);
  CHECK(piped.out == expected);
  CHECK(smooth({"-"}, {.input = bytes}).out == expected);
  CHECK(smooth({dir / "a.png", "-o", "-"}).out == expected);
  CHECK(smooth({"-", "-o", dir / "c.png"}, {.input = bytes}).code == 0);
  CHECK(file_text(dir / "c.png") == expected);
  check_error(smooth({"-"}, {.input = "no picture"}), 3, "standard input");
  check_error(smooth({"-"}, {.input = ""}), 3, "standard input");
  CHECK(smooth({"-"}, {.input = bytes, .output_to = "/dev/full"}).code == 4);
  const Ended jpeg = smooth({"-", "-f", "jpg"}, {.input = bytes});
  CHECK(jpeg.out.substr(0, 2) == "\xff\xd8");
}

TEST_CASE("smooth: the default name lies beside the input and keeps its extension") {
  const TemporaryFolder dir;
  for (const std::string name : {"a.png", "photo.jpg", "x.bmp", "y.tga", "with space.png",
                                 "new\nline.png", "-dash.png", "--help.png", "ümlaut.png"}) {
    CAPTURE(name);
    write_picture(dir / name, picture(9, 9));
    const Ended ended = smooth({"--", name}, {.folder = dir.path()});
    CAPTURE(ended.err);
    CHECK(ended.code == 0);
    const size_t dot = name.rfind('.');
    CHECK(exists(dir / (name.substr(0, dot) + "_smooth" + name.substr(dot))));
  }
}

TEST_CASE("smooth: names too long for an output are refused, the longest that fits is not") {
  const TemporaryFolder dir;
  const std::string fits = std::string(244, 'n') + ".png", longest = std::string(251, 'n') + ".png";
  write_picture(dir / fits, picture(8, 8));
  CHECK(smooth({dir / fits}).code == 0);
  CHECK(exists(dir / (std::string(244, 'n') + "_smooth.png")));
  std::filesystem::rename(dir / fits, dir / longest);
  check_error(smooth({dir / longest}), 4, "_smooth.png");
  CHECK(smooth({dir / longest, "-o", dir / "short.png"}).code == 0);
}

TEST_CASE("smooth: a batch goes on after bad files and lists them") {
  const TemporaryFolder dir;
  for (const std::string folder : {"in", "in/sub", "in/sub/deep er"})
    std::filesystem::create_directory(dir / folder);
  write_picture(dir / "in/a.png", picture(8, 8));
  write_picture(dir / "in/sub/b.jpg", picture(8, 8));
  write_picture(dir / "in/sub/deep er/c.bmp", picture(8, 8));
  write_text_file(dir / "in/bad.png", "this is text");
  write_text_file(dir / "in/notes.txt", "not looked at");
  const std::vector<std::string> all = {"-i", dir / "in", "-o", dir / "out", "-r", "-f", "png"};
  const Ended first = smooth(all);
  CAPTURE(first.err);
  CHECK(first.code == 10);
  CHECK(contains(first.err, "bad.png"));
  CHECK(contains(first.err, "1 of 4"));
  for (const std::string name : {"out/a.png", "out/sub/b.png", "out/sub/deep er/c.png"})
    CHECK(exists(dir / name));
  CHECK(!exists(dir / "out/bad.png"));

  // Again: what exists is skipped; without the bad one nothing is left to complain about.
  std::filesystem::remove(dir / "in/bad.png");
  write_text_file(dir / "out/a.png", "kept");
  const Ended second = smooth(all);
  CHECK(second.code == 0);
  CHECK(file_text(dir / "out/a.png") == "kept");
  std::vector<std::string> over = all;
  over.insert(over.end(), {"--exists", "overwrite"});
  CHECK(smooth(over).code == 0);
  CHECK(file_text(dir / "out/a.png") != "kept");
  over.back() = "rename";
  CHECK(smooth(over).code == 0);
  CHECK(exists(dir / "out/a-1.png"));
  CHECK(exists(dir / "out/sub/b-1.png"));

  // Without -r only the folder itself.
  CHECK(smooth({dir / "in", "-o", dir / "flat"}).code == 0);
  CHECK(exists(dir / "flat/a.png"));
  CHECK(!exists(dir / "flat/sub"));
}

TEST_CASE("smooth: two inputs for one output are refused before any work") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  write_picture(dir / "a.jpg", picture(8, 8));
  check_error(smooth({dir / "a.png", dir / "a.jpg", "-o", dir / "out", "-f", "png"}), 2, "a.jpg");
  CHECK(!exists(dir / "out"));
  CHECK(smooth({dir / "a.png", dir / "a.jpg", "-o", dir / "out"}).code == 0);
  CHECK(exists(dir / "out/a.png"));
  CHECK(exists(dir / "out/a.jpg"));
}

TEST_CASE("smooth: --dry-run writes nothing") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(70, 33));
  const Ended ended = smooth({dir / "a.png", "--dry-run"});
  CHECK(ended.code == 0);
  CHECK(contains(ended.out, "70x33"));
  CHECK(contains(ended.out, "a_smooth.png"));
  CHECK(!exists(dir / "a_smooth.png"));
}

TEST_CASE("smooth: an interrupted batch ends with whole files and 130 or 143") {
  const TemporaryFolder dir;
  std::filesystem::create_directory(dir / "in");
  for (int i = 0; i < 40; ++i)
    write_picture(dir / ("in/" + std::to_string(i) + ".png"), picture(192, 192));
  for (const int signal : {SIGINT, SIGTERM}) {
    const Ended ended =
        smooth({dir / "in", "-o", dir / "out"}, {.signal = signal, .signal_ms = 700});
    CHECK(ended.code == 128 + signal);
    if (!exists(dir / "out")) continue;
    for (const auto& entry : std::filesystem::directory_iterator(dir / "out")) {
      CAPTURE(entry.path().string());
      CHECK(read_image(entry.path().string()).width == 192);
    }
    std::filesystem::remove_all(dir / "out");
  }
}

TEST_CASE("smooth: an interrupt does not wait for the other end of a pipe") {
  const TemporaryFolder dir;
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  // Open for reading and writing, a FIFO without a writer neither ends nor gives data.
  const Ended ended =
      smooth({"-"}, {.input_from = dir / "fifo", .signal = SIGINT, .signal_ms = 600});
  CHECK(ended.code == 130);
}

TEST_CASE("--version and --help go to standard output") {
  const Ended version = run({"--version"});
  CHECK(version.code == 0);
  for (const std::string part : {"mgpnet ", "commit", "compiler", "backends", "codecs", "model"})
    CHECK(contains(version.out, part));
  CHECK(version.err == "");
  const Ended help = run({"smooth", "--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "--strength"));
}

TEST_CASE("a configuration file sets defaults; environment and flags win") {
  const TemporaryFolder dir;
  write_picture(dir / "a.png", picture(8, 8));
  const std::string config = dir / "c.toml";
  const auto with = [&](const std::string& text, std::vector<std::string> more = {},
                        std::vector<std::string> environment = {}) {
    write_text_file(config, text);
    environment.push_back("MGPNET_CONFIG=" + config);
    more.insert(more.begin(), {"smooth", dir / "a.png", "-o", dir / "out.png"});
    return run(more, {.environment = environment});
  };
  const std::string model = "model = '" + model_file() + "'\n";
  CHECK(with(model).code == 0);
  CHECK(with(model + "device = 'cuda'").code == 6);
  CHECK(with(model + "device = 'cuda'", {"--device", "cpu"}).code == 0);
  CHECK(with(model + "device = 'cuda'", {}, {"MGPNET_DEVICE=cpu"}).code == 0);
  CHECK(with(model + "device = 'cpu'", {"--device", "cpu"}, {"MGPNET_DEVICE=cuda"}).code == 0);
  CHECK(with(model, {}, {"MGPNET_DEVICE=cuda"}).code == 6);
  CHECK(with(model + "quiet = true").err == "");
  CHECK(with("[smooth]\nstrength = 0\nmodel = '" + model_file() + "'").code == 0);
  CHECK(read_image(dir / "out.png").pixels == picture(8, 8).pixels);
  check_error(with("[smooth]\nstrength = 7"), 2, "0 to 2");
  check_error(with("thraeds = 2"), 2, "did you mean threads?");
  check_error(with("threads = 2\nthreads = 3"), 2, "line 2");
  check_error(with("threads = "), 2, "line 1");
  check_error(with("threads = nan"), 2, "finite");
  check_error(run({"smooth", dir / "a.png"}, {.environment = {"MGPNET_CONFIG=/no/such"}}), 2,
              "/no/such");
}
