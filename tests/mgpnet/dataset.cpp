// Folder layouts, partners, crops by random access, blending of folders.
#include "mgpnet/dataset.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using namespace mgpnet;

// A folder that goes away with the test.  Files are empty: the reader below invents the pictures.
struct Folder {
  fs::path root;
  Folder() {
    static int number = 0;
    root = fs::temp_directory_path() /
           ("mgpnet_dataset_" + std::to_string(getpid()) + "_" + std::to_string(number++));
    fs::create_directories(root);
  }
  ~Folder() { fs::remove_all(root); }
  void add(const std::string& path) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << "x";
  }
  std::string path() const { return root.string(); }
};

Image picture(int w, int h, int channels, int first) {
  Image image;
  image.width = w;
  image.height = h;
  image.channels = channels;
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint16_t>((first + x + 37 * y + 101 * c) % 256));
  return image;
}

// 40 x 30 for every file, different by name; inputs are 7 brighter so that halves can be told
// apart.
Image read_invented(const std::string& path) {
  const fs::path p(path);
  const std::string stem = p.stem().string();
  int first = 0;
  for (char c : stem) first = first * 31 + c;
  first %= 97;
  const std::string folder = p.parent_path().filename().string();
  const bool gt = folder.size() >= 2 && folder.substr(folder.size() - 2) == "gt";
  return picture(40, 30, 3, first + (gt ? 0 : 7));
}

std::string why_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const DataError& e) {
    return std::string(e.what()) + " | " + e.why();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  MESSAGE(text);
  return false;
}

std::vector<PairFiles> many_pairs(const Folder& folder, int n) {
  for (int i = 0; i < n; ++i)
    for (const char* side : {"gt", "input"})
      folder.add(std::string(side) + "/p" + std::to_string(100 + i) + ".png");
  return find_pairs(folder.path());
}

}  // namespace

TEST_CASE("dataset: every layout met in the field") {
  const std::pair<const char*, const char*> layouts[] = {{"gt", "train"},
                                                         {"val_gt", "val_textured"},
                                                         {"sps_gt", "sps_textured"},
                                                         {"nks_gt", "nks_tx"},
                                                         {"gt", "lq"},
                                                         {"gt", "input"}};
  for (const auto& [gt, input] : layouts) {
    const Folder folder;
    CAPTURE(gt);
    for (const char* stem : {"b", "a", "c10", "c9"}) {
      folder.add(std::string(gt) + "/" + stem + ".png");
      folder.add(std::string(input) + "/" + stem + (stem[0] == 'b' ? ".JPG" : ".png"));
    }
    folder.add("pairs.tsv");
    folder.add(std::string(gt) + "/Thumbs.db");
    const std::vector<PairFiles> pairs = find_pairs(folder.path());
    REQUIRE(pairs.size() == 4);
    CHECK(pairs[0].name == "a");
    CHECK(pairs[1].name == "b");
    CHECK(pairs[2].name == "c10");
    CHECK(pairs[3].name == "c9");
    CHECK(pairs[1].gt == (folder.root / gt / "b.png").string());
    CHECK(pairs[1].input == (folder.root / input / "b.JPG").string());
    CHECK_FALSE(pairs[1].side_by_side);
  }
}

TEST_CASE("dataset: training and validation pairs in one folder") {
  const Folder folder;
  for (const char* path : {"gt/t.png", "train/t.png", "val_gt/v.png", "val_textured/v.png"})
    folder.add(path);
  CHECK(find_pairs(folder.path()).at(0).name == "t");
  CHECK(find_pairs(folder.path(), Split::kValidation).at(0).name == "v");
}

TEST_CASE("dataset: both halves in one picture, ground truth left") {
  const Folder folder;
  folder.add("two.png");
  folder.add("one.png");
  const std::vector<PairFiles> pairs = find_pairs(folder.path());
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].name == "one");
  CHECK(pairs[0].side_by_side);
  const Pair pair = load_pair(pairs[0], [](const std::string&) { return picture(10, 4, 3, 5); });
  CHECK(pair.gt.width == 5);
  CHECK(pair.input.width == 5);
  CHECK(pair.gt.at(0, 0)[0] == 5);
  CHECK(pair.input.at(0, 0)[0] == 10);
  CHECK(pair.input.at(4, 3)[2] == (5 + 9 + 3 * 37 + 202) % 256);
  CHECK(contains(
      why_of([&] { load_pair(pairs[0], [](const std::string&) { return picture(9, 4, 3, 0); }); }),
      "even width; this one is 9 x 4"));
}

TEST_CASE("dataset: what cannot be used is named") {
  CHECK(contains(why_of([] { find_pairs("/nonexistent/folder"); }),
                 "no such folder: /nonexistent/folder"));
  {
    const Folder folder;
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }), "expected one of gt + train"));
    folder.add("file");
    CHECK(contains(why_of([&] { find_pairs((folder.root / "file").string()); }), "not a folder"));
  }
  {
    const Folder folder;
    for (const char* path : {"gt/a.png", "gt/b.png", "input/a.png", "input/z.png"})
      folder.add(path);
    const std::string text = why_of([&] { find_pairs(folder.path()); });
    CHECK(contains(text, "pictures without a partner"));
    CHECK(contains(text, "1 of them (b)"));
  }
  {
    const Folder folder;
    folder.add("gt/a.png");
    for (const char* stem : {"a", "q1", "q2", "q3", "q4", "q5", "q6"})
      folder.add(std::string("lq/") + stem + ".png");
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }),
                   "6 of them (q1, q2, q3, q4 and 2 more)"));
  }
  {
    const Folder folder;
    for (const char* path : {"gt/a.png", "gt/a.jpg", "input/a.png"}) folder.add(path);
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }), "two pictures of one name"));
  }
  {
    const Folder folder;
    for (const char* path : {"gt/a.png", "lq/a.png", "input/a.png"}) folder.add(path);
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }), "it holds gt + lq, gt + input"));
  }
  {
    const Folder folder;
    folder.add("gt/a.png");
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }), "it has gt/ but not its partner"));
    fs::create_directories(folder.root / "input");
    CHECK(contains(why_of([&] { find_pairs(folder.path()); }), "no pictures"));
  }
  const PairFiles files{"a", "gt/a.png", "input/a.png", false};
  const Reader uneven = [](const std::string& path) {
    return picture(path[0] == 'g' ? 8 : 9, 8, 3, 0);
  };
  CHECK(contains(why_of([&] { load_pair(files, uneven); }),
                 "sizes differ: input/a.png | it is 9 x 8, its ground truth gt/a.png is 8 x 8"));
}

TEST_CASE("dataset: gray, alpha and 16 bits become RGB of 8 bits") {
  const PairFiles files{"a", "gt", "input", false};
  const Pair pair = load_pair(files, [](const std::string& path) {
    if (path == "gt") return picture(6, 5, 2, 3);
    Image deep = picture(6, 5, 4, 3);
    deep.bits = 16;
    for (uint16_t& v : deep.pixels) v = static_cast<uint16_t>(v * 257);
    return deep;
  });
  CHECK(pair.gt.channels == 3);
  CHECK(pair.input.channels == 3);
  CHECK(pair.input.bits == 8);
  CHECK(pair.gt.at(2, 1)[0] == 3 + 2 + 37);
  CHECK(pair.gt.at(2, 1)[2] == 3 + 2 + 37);
  CHECK(pair.input.at(2, 1)[1] == 3 + 2 + 37 + 101);
}

TEST_CASE("dataset: shuffled is a permutation for every size, another one for every seed") {
  for (uint64_t n : {1, 2, 3, 5, 16, 17, 100, 1000}) {
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < n; ++i) seen.insert(shuffled(i, n, 42));
    CHECK(seen.size() == n);
    CHECK(*seen.rbegin() == n - 1);
  }
  int moved = 0, equal = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    moved += shuffled(i, 1000, 1) != i;
    equal += shuffled(i, 1000, 1) == shuffled(i, 1000, 2);
  }
  CHECK(moved > 990);
  CHECK(equal < 10);
}

TEST_CASE(
    "dataset: without augmentation and shuffling, pictures of the crop's size whole in name "
    "order") {
  const Folder folder;
  const std::vector<PairFiles> pairs = many_pairs(folder, 5);
  const Reader square = [](const std::string& path) {
    return picture(16, 16, 3, path[path.size() - 5] * 3);
  };
  const auto source =
      folder_source(pairs, {.flip = false, .rotate = false, .shuffle = false}, square);
  CHECK(source->count() == 5);
  for (int i = 0; i < 12; ++i) {
    CHECK(source->name(i) == "p10" + std::to_string(i % 5));
    const Pair whole = load_pair(pairs[i % 5], square);
    const Pair crop = source->crop(i, 16);
    CHECK(crop.gt.pixels == whole.gt.pixels);
    CHECK(crop.input.pixels == whole.input.pixels);
  }
}

TEST_CASE("dataset: a crop depends on seed and sample only") {
  const Folder folder;
  const std::vector<PairFiles> pairs = many_pairs(folder, 7);
  const auto source = folder_source(pairs, {.seed = 3}, read_invented);
  const auto uncached = folder_source(pairs, {.seed = 3, .cache_bytes = 0}, read_invented);
  std::vector<Pair> forward;
  for (int i = 0; i < 40; ++i) forward.push_back(source->crop(i, 12));
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 39 - t; i >= 0; i -= 4) {
        const Pair again = uncached->crop(i, 12);
        wrong[t] += again.gt.pixels != forward[i].gt.pixels ||
                    again.input.pixels != forward[i].input.pixels;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));

  // Both pictures of a pair are cut and turned alike: the input stays 7 brighter.
  for (const Pair& pair : forward)
    for (size_t k = 0; k < pair.gt.pixels.size(); ++k)
      REQUIRE(pair.input.pixels[k] == (pair.gt.pixels[k] + 7) % 256);

  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<std::string> names;
    for (int i = 0; i < 7; ++i) names.insert(source->name(epoch * 7 + i));
    CHECK(names.size() == 7);
  }
  const auto other = folder_source(pairs, {.seed = 4}, read_invented);
  int same = 0;
  for (int i = 0; i < 40; ++i) same += other->crop(i, 12).gt.pixels == forward[i].gt.pixels;
  CHECK(same < 5);
  const auto limited = folder_source(pairs, {.limit = 2}, read_invented);
  CHECK(limited->count() == 2);
}

TEST_CASE("dataset: flips and turns reach all eight positions, and only those asked for") {
  const Folder folder;
  const std::vector<PairFiles> pairs = many_pairs(folder, 1);
  const Reader square = [](const std::string&) { return picture(8, 8, 3, 0); };
  const auto positions = [&](bool flip, bool rotate) {
    const auto source = folder_source(pairs, {.flip = flip, .rotate = rotate}, square);
    std::map<std::vector<uint16_t>, int> seen;
    for (int i = 0; i < 400; ++i) ++seen[source->crop(i, 8).gt.pixels];
    for (const auto& [pixels, times] : seen) CHECK(times > 400 / static_cast<int>(seen.size()) / 2);
    return seen.size();
  };
  CHECK(positions(false, false) == 1);
  CHECK(positions(true, false) == 4);
  CHECK(positions(false, true) == 4);
  CHECK(positions(true, true) == 8);
}

TEST_CASE("dataset: a picture smaller than the crop continues by reflection") {
  const Folder folder;
  const std::vector<PairFiles> pairs = many_pairs(folder, 1);
  const Reader tiny = [](const std::string&) { return picture(3, 1, 3, 10); };
  const auto source = folder_source(pairs, {.flip = false, .rotate = false}, tiny);
  const Pair crop = source->crop(0, 8);
  const int want[8] = {10, 11, 12, 11, 10, 11, 12, 11};
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) CHECK(crop.gt.at(x, y)[0] == want[x]);
}

TEST_CASE("dataset: the generator as a source") {
  const auto source = synth_source({.seed = 9});
  CHECK(source->count() == 0);
  const Pair direct = synth_pair({.width = 32, .height = 32, .seed = 9}, 5);
  CHECK(source->crop(5, 32).input.pixels == direct.input.pixels);
  const auto limited =
      synth_source({.seed = 9, .flip = false, .rotate = false, .shuffle = false, .limit = 3});
  CHECK(limited->count() == 3);
  CHECK(limited->crop(7, 32).gt.pixels ==
        synth_pair({.width = 32, .height = 32, .seed = 9}, 1).gt.pixels);
}

TEST_CASE("dataset: blending by hand") {
  Image structure = picture(3, 2, 3, 0), texture;
  structure.pixels.assign(18, 100);
  structure.at(1, 0)[0] = 250;
  texture.width = 2;
  texture.height = 1;
  texture.channels = 1;
  texture.pixels = {40, 60};
  // Layer rows 40 60 40, mean 280 / 6 = 46.67: -6.67, 13.33, -6.67.
  const Pair pair = blend_pair(structure, texture, {});
  CHECK(pair.gt.pixels == structure.pixels);
  CHECK(pair.input.at(0, 0)[0] == 93);
  CHECK(pair.input.at(1, 0)[0] == 255);
  CHECK(pair.input.at(1, 0)[1] == 113);
  CHECK(pair.input.at(2, 1)[2] == 93);
  // Standard deviation 10 capped to 5: half the layer.
  CHECK(blend_pair(structure, texture, {.max_std = 5.0f}).input.at(0, 0)[0] == 97);
}

TEST_CASE("dataset: blending folders meets every combination once") {
  const Folder folder;
  for (const char* path : {"s/one.png", "s/two.png", "s/three.png", "t/x.png", "t/y.png"})
    folder.add(path);
  const FolderBlender blender((folder.root / "s").string(), (folder.root / "t").string(),
                              {.seed = 1}, read_invented);
  REQUIRE(blender.count() == 6);
  std::set<std::string> names;
  for (uint64_t i = 0; i < 6; ++i) {
    std::string name;
    const Pair pair = blender.pair(i, &name);
    CHECK(pair.gt.width == 40);
    names.insert(name);
  }
  CHECK(names.size() == 6);
  CHECK(names.count("one__x") == 1);
}
