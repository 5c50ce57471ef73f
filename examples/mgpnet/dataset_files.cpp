// Finding and reading pairs: folder layouts, partners by stem, halves of one picture.
#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "mgpnet/dataset.h"
#include "mgpnet/image_io.h"

namespace mgpnet {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLayouts =
    "expected one of gt + train, val_gt + val_textured, sps_gt + sps_textured, nks_gt + nks_tx, gt "
    "+ lq, "
    "gt + input, or pictures holding ground truth (left) and input side by side";

struct Layout {
  const char* gt;
  const char* input;
};
constexpr Layout kTraining[] = {{"gt", "train"},
                                {"sps_gt", "sps_textured"},
                                {"nks_gt", "nks_tx"},
                                {"gt", "lq"},
                                {"gt", "input"}};
constexpr Layout kValidation = {"val_gt", "val_textured"};

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

void require_folder(const std::string& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status))
    throw DataError("no such folder", folder, "check the path given to --data, --val or --gt");
  if (!fs::is_directory(status))
    throw DataError("not a folder", folder, "give the folder that holds the pairs");
}

// Up to four names, then how many more.
std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 4; ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > 4) text += " and " + std::to_string(names.size() - 4) + " more";
  return text;
}

std::map<std::string, std::string> by_stem(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const std::string& path : list_pictures(folder)) {
    const std::string stem = fs::path(path).stem().string();
    const auto [place, added] = files.emplace(stem, path);
    if (!added)
      throw DataError(
          "two pictures of one name", folder,
          fs::path(place->second).filename().string() + " and " +
              fs::path(path).filename().string() +
              " have the same stem, so their partner is not clear; remove or rename one");
  }
  return files;
}

std::vector<PairFiles> side_by_side(const std::string& folder) {
  std::vector<PairFiles> pairs;
  for (const auto& [stem, path] : by_stem(folder)) pairs.push_back({stem, path, path, true});
  return pairs;
}

bool holds_pictures(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (has_picture_extension(it->path().filename().string()) && !is_folder(it->path()))
      return true;
  return false;
}

Image part(const Image& image, int x0, int width) {
  Image out;
  out.width = width;
  out.height = image.height;
  out.pixels.resize(static_cast<size_t>(width) * image.height * 3);
  const bool color = image.channels >= 3;
  uint16_t* to = out.pixels.data();
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < width; ++x) {
      const uint16_t* from = image.at(x0 + x, y);
      for (int c = 0; c < 3; ++c) {
        const unsigned v = from[color ? c : 0];
        *to++ = static_cast<uint16_t>(image.bits == 8 ? v : (v * 255u + 32767u) / 65535u);
      }
    }
  return out;
}

std::string size_text(const Image& image) {
  return std::to_string(image.width) + " x " + std::to_string(image.height);
}

}  // namespace

std::vector<std::string> list_pictures(const std::string& folder) {
  require_folder(folder);
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (has_picture_extension(it->path().filename().string()) && !is_folder(it->path()))
      paths.push_back(it->path().string());
  if (error) throw DataError("cannot list the folder", folder, error.message());
  if (paths.empty())
    throw DataError("no pictures", folder,
                    "there is no .png, .jpg, .jpeg, .bmp or .tga file right in this folder");
  std::sort(paths.begin(), paths.end(), [](const std::string& a, const std::string& b) {
    const std::string p = fs::path(a).stem().string(), q = fs::path(b).stem().string();
    return p != q ? p < q : a < b;
  });
  return paths;
}

std::vector<PairFiles> match_folders(const std::string& gt, const std::string& input) {
  const auto truths = by_stem(gt), inputs = by_stem(input);
  std::vector<std::string> lonely_truths, lonely_inputs;
  std::vector<PairFiles> pairs;
  for (const auto& [stem, path] : truths) {
    const auto partner = inputs.find(stem);
    if (partner == inputs.end()) {
      lonely_truths.push_back(stem);
    } else {
      pairs.push_back({stem, path, partner->second, false});
    }
  }
  for (const auto& [stem, path] : inputs)
    if (!truths.count(stem)) lonely_inputs.push_back(stem);
  const auto complain = [](const std::vector<std::string>& names, const std::string& here,
                           const std::string& there) {
    if (names.empty()) return;
    throw DataError("pictures without a partner", here,
                    std::to_string(names.size()) + " of them (" + some_of(names) +
                        ") have no picture of the same name in " + there +
                        "; add the partners or remove these");
  };
  complain(lonely_truths, gt, input);
  complain(lonely_inputs, input, gt);
  return pairs;
}

std::vector<PairFiles> find_pairs(const std::string& folder, Split split) {
  require_folder(folder);
  const fs::path root(folder);
  const auto present = [&](const Layout& l) {
    return is_folder(root / l.gt) && is_folder(root / l.input);
  };
  const auto match = [&](const Layout& l) {
    return match_folders((root / l.gt).string(), (root / l.input).string());
  };
  if (split == Split::kValidation && present(kValidation)) return match(kValidation);

  std::vector<Layout> found;
  std::string names;
  for (const Layout& layout : kTraining)
    if (present(layout)) {
      found.push_back(layout);
      names += std::string(names.empty() ? "" : ", ") + layout.gt + " + " + layout.input;
    }
  if (found.size() > 1)
    throw DataError("several sets of pairs", folder,
                    "it holds " + names + "; leave one of them or move the others");
  if (found.size() == 1) return match(found[0]);
  if (present(kValidation)) return match(kValidation);

  for (const Layout& layout : kTraining)
    if (is_folder(root / layout.gt) != is_folder(root / layout.input))
      throw DataError("half of a layout", folder,
                      std::string("it has ") +
                          (is_folder(root / layout.gt) ? layout.gt : layout.input) +
                          "/ but not its partner; " + kLayouts);
  if (holds_pictures(folder)) return side_by_side(folder);
  throw DataError("no pairs", folder, kLayouts);
}

Pair load_pair(const PairFiles& files, const Reader& read) {
  const Image first = read(files.gt);
  if (files.side_by_side) {
    if (first.width < 2 || first.width % 2)
      throw DataError("not two halves", files.gt,
                      "a picture that holds ground truth and input side by side has an even width; "
                      "this one is " +
                          size_text(first));
    const int half = first.width / 2;
    return {part(first, 0, half), part(first, half, half)};
  }
  const Image second = read(files.input);
  if (first.width != second.width || first.height != second.height)
    throw DataError("sizes differ", files.input,
                    "it is " + size_text(second) + ", its ground truth " + files.gt + " is " +
                        size_text(first) + "; both pictures of a pair have the same size");
  return {part(first, 0, first.width), part(second, 0, second.width)};
}

}  // namespace mgpnet
