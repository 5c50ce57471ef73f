// before_after SHEET BEFORE AFTER [BEFORE AFTER ...]: pairs of pictures side by side on one sheet,
// before left, after right; one pair a row, from four pairs on two.  Large pictures are shrunk by
// averaging, so a sheet of camera pictures stays a sheet.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "mgpnet/image_codec.h"
#include "mgpnet/image_io.h"
#include "nn/atomic_file.h"

namespace {

using mgpnet::Image;

constexpr int kSide = 480;  // longest side of a cell
constexpr int kGap = 6;     // white around cells

// As RGB of 8 bits, its longest side at most `side`: every pixel is the mean of a whole block.
Image shrunk(const Image& image, int side) {
  const std::vector<uint8_t> bytes = mgpnet::to_bytes(image, 3);
  const int step = (std::max(image.width, image.height) + side - 1) / side;
  Image small;
  small.width = (image.width + step - 1) / step;
  small.height = (image.height + step - 1) / step;
  small.pixels.resize(static_cast<size_t>(small.width) * small.height * 3);
  for (int y = 0; y < small.height; ++y)
    for (int x = 0; x < small.width; ++x)
      for (int c = 0; c < 3; ++c) {
        const int y1 = std::min(image.height, (y + 1) * step);
        const int x1 = std::min(image.width, (x + 1) * step);
        int sum = 0, count = 0;
        for (int v = y * step; v < y1; ++v)
          for (int u = x * step; u < x1; ++u, ++count)
            sum += bytes[(static_cast<size_t>(v) * image.width + u) * 3 + c];
        small.at(x, y)[c] = static_cast<uint16_t>((sum + count / 2) / count);
      }
  return small;
}

void paste(const Image& cell, int x0, int y0, Image* sheet) {
  for (int y = 0; y < cell.height; ++y)
    std::copy_n(cell.at(0, y), static_cast<size_t>(cell.width) * 3, sheet->at(x0, y0 + y));
}

void draw(int argc, char** argv) {
  std::vector<Image> cells;
  int width = 0, height = 0;
  for (int i = 2; i < argc; ++i) {
    cells.push_back(shrunk(mgpnet::read_image(argv[i]), kSide));
    width = std::max(width, cells.back().width);
    height = std::max(height, cells.back().height);
  }
  const int columns = cells.size() >= 8 ? 4 : 2;
  const int rows = (static_cast<int>(cells.size()) + columns - 1) / columns;
  Image sheet;
  sheet.width = kGap + columns * (width + kGap);
  sheet.height = kGap + rows * (height + kGap);
  sheet.pixels.assign(static_cast<size_t>(sheet.width) * sheet.height * 3, 255);
  for (int i = 0; i < static_cast<int>(cells.size()); ++i)
    paste(cells[i], kGap + i % columns * (width + kGap), kGap + i / columns * (height + kGap),
          &sheet);

  const std::string path = argv[1];
  mgpnet::Format format = mgpnet::Format::png;
  const size_t dot = path.rfind('.');
  if (dot != std::string::npos) mgpnet::format_from_name(path.substr(dot), &format);
  satin::write_file(path, mgpnet::encode_image(sheet, format, {.quality = 90}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc % 2 != 0) {
    std::fprintf(stderr, "usage: before_after SHEET BEFORE AFTER [BEFORE AFTER ...]\n");
    return 2;
  }
  try {
    draw(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "before_after: %s\n", e.what());
    return 1;
  }
  return 0;
}
