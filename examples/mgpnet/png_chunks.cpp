// See png_chunks.h.  A file is one signature and chunks of length, name, content and checksum.
#include "mgpnet/png_chunks.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include <zlib.h>

namespace mgpnet {
namespace {

constexpr uint8_t kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kMaxProfileBytes = 16 << 20;

constexpr uint32_t chunk_type(const char (&name)[5]) {
  return uint32_t{static_cast<uint8_t>(name[0])} << 24 |
         uint32_t{static_cast<uint8_t>(name[1])} << 16 |
         uint32_t{static_cast<uint8_t>(name[2])} << 8 | static_cast<uint8_t>(name[3]);
}

struct Chunk {
  uint32_t type;
  size_t offset;  // of its length field
  Bytes data;
  std::string name() const {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(type >> shift & 0xff);
    return text;
  }
};

Chunk next_chunk(const Source& source, size_t at) {
  const Bytes bytes = source.bytes();
  if (at == bytes.size()) source.refuse_at(at, "PNG without its end (no IEND chunk)", kDamaged);
  if (bytes.size() - at < 12) source.refuse_at(at, "PNG ends inside a chunk", kDamaged);
  const uint32_t length = get_u32_be(&bytes[at]);
  const Chunk chunk{get_u32_be(&bytes[at + 4]), at, {}};
  for (int i = 4; i < 8; ++i) {
    const uint8_t letter = bytes[at + i] | 0x20;
    if (letter < 'a' || letter > 'z')
      source.refuse_at(at, "PNG chunk with an impossible name", kDamaged);
  }
  if (length > kMaxPngChunkBytes || length > bytes.size() - at - 12)
    source.refuse_at(at, "PNG chunk " + chunk.name() + " is longer than the file", kDamaged);
  const Bytes data = bytes.subspan(at + 8, length);
  const uint32_t crc = static_cast<uint32_t>(crc32_z(0, &bytes[at + 4], size_t{length} + 4));
  if (crc != get_u32_be(&bytes[at + 8 + length]))
    source.refuse_at(at, "PNG chunk " + chunk.name() + " has a wrong checksum", kDamaged);
  return {chunk.type, at, data};
}

void read_header(const Source& source, const Chunk& chunk, PngLayout* layout) {
  const Bytes d = chunk.data;
  if (d.size() != 13) source.refuse_at(chunk.offset, "PNG header of a wrong length", kDamaged);
  layout->width = get_u32_be(&d[0]);
  layout->height = get_u32_be(&d[4]);
  layout->depth = d[8];
  layout->color = d[9];
  layout->interlaced = d[12] == 1;
  source.check_size(layout->width, layout->height);
  const int depth = layout->depth;
  const bool wide = depth == 8 || depth == 16;
  const bool narrow = depth == 1 || depth == 2 || depth == 4;
  const int color = layout->color;
  const bool legal = color == kGray ? wide || narrow
                     : color == kPalette
                         ? narrow || depth == 8
                         : (color == kRgb || color == kGrayAlpha || color == kRgbAlpha) && wide;
  if (!legal)
    source.refuse_at(chunk.offset,
                     "PNG header with color type " + std::to_string(color) + " and " +
                         std::to_string(depth) + " bit",
                     "there is no such combination; " + std::string(kDamaged));
  if (d[10] != 0 || d[11] != 0 || d[12] > 1)
    source.refuse_at(chunk.offset, "PNG header with an unknown method", kDamaged);
}

std::vector<uint8_t> read_profile(const Source& source, const Chunk& chunk) {
  const Bytes d = chunk.data;
  const auto name_end = std::find(d.begin(), d.begin() + std::min<ptrdiff_t>(80, std::ssize(d)), 0);
  const size_t start = static_cast<size_t>(name_end - d.begin()) + 2;
  if (start > d.size() || name_end == d.begin() || d[start - 1] != 0)
    source.refuse_at(chunk.offset, "PNG with a broken color profile (iCCP)", kDamaged);
  std::vector<uint8_t> profile;
  std::vector<uint8_t> block(64 << 10);
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  stream.next_in = const_cast<uint8_t*>(d.data() + start);
  stream.avail_in = static_cast<uInt>(d.size() - start);
  int state = Z_OK;
  while (state == Z_OK && profile.size() <= kMaxProfileBytes) {
    stream.next_out = block.data();
    stream.avail_out = static_cast<uInt>(block.size());
    state = inflate(&stream, Z_NO_FLUSH);
    profile.insert(profile.end(), block.data(), stream.next_out);
  }
  inflateEnd(&stream);
  if (profile.size() > kMaxProfileBytes)
    source.refuse_at(chunk.offset, "PNG color profile (iCCP) of over 16 MiB",
                     "remove the profile first");
  if (state != Z_STREAM_END)
    source.refuse_at(chunk.offset, "PNG with a broken color profile (iCCP)", kDamaged);
  return profile;
}

// One pass of the picture as it lies in the stream: rows of 1 filter byte and `bytes` bytes.
struct Pass {
  uint64_t bytes, rows;
};

std::vector<Pass> passes_of(const PngLayout& layout) {
  if (!layout.interlaced) return {{layout.row_bytes(layout.width), layout.height}};
  constexpr uint32_t kX0[7] = {0, 4, 0, 2, 0, 1, 0}, kDx[7] = {8, 8, 4, 4, 2, 2, 1};
  constexpr uint32_t kY0[7] = {0, 0, 4, 0, 2, 0, 1}, kDy[7] = {8, 8, 8, 4, 4, 2, 2};
  std::vector<Pass> passes;
  for (int i = 0; i < 7; ++i) {
    const uint64_t columns = (uint64_t{layout.width} + kDx[i] - 1 - kX0[i]) / kDx[i];
    const uint64_t rows = (uint64_t{layout.height} + kDy[i] - 1 - kY0[i]) / kDy[i];
    if (columns > 0 && rows > 0) passes.push_back({layout.row_bytes(columns), rows});
  }
  return passes;
}

// Position in the inflated stream, to find filter bytes and the end.
class RowCheck {
 public:
  explicit RowCheck(std::vector<Pass> passes) : passes_(std::move(passes)) {}

  // False at a wrong filter byte or when there is more than the picture needs.
  bool take(Bytes block) {
    size_t at = 0;
    while (at < block.size()) {
      if (pass_ == passes_.size()) return false;
      if (in_row_ == 0 && block[at] > 4) return false;
      const uint64_t step =
          std::min<uint64_t>(block.size() - at, passes_[pass_].bytes + 1 - in_row_);
      at += static_cast<size_t>(step);
      in_row_ += step;
      if (in_row_ <= passes_[pass_].bytes) continue;
      in_row_ = 0;
      if (++row_ < passes_[pass_].rows) continue;
      row_ = 0;
      ++pass_;
    }
    return true;
  }
  bool complete() const { return pass_ == passes_.size(); }

 private:
  std::vector<Pass> passes_;
  size_t pass_ = 0;
  uint64_t row_ = 0, in_row_ = 0;
};

bool begins_data(Bytes bytes, size_t at) {
  return bytes.size() - at >= 8 && get_u32_be(&bytes[at + 4]) == chunk_type("IDAT");
}

}  // namespace

PngLayout read_png_chunks(const Source& source, Scan* scan) {
  const Bytes bytes = source.bytes();
  if (bytes.size() < 8 || std::memcmp(bytes.data(), kSignature, 8) != 0)
    source.refuse_at(0, "PNG with a broken signature",
                     std::string("it was perhaps copied as text; ") + kDamaged);
  PngLayout layout;
  bool data_ended = false;
  auto once = [&](const Chunk& chunk, bool seen) {
    if (seen) source.refuse_at(chunk.offset, "PNG with two " + chunk.name() + " chunks", kDamaged);
  };
  for (size_t at = 8;;) {
    if (!source.complete() && begins_data(bytes, at)) return layout;
    const Chunk chunk = next_chunk(source, at);
    const bool first = at == 8;
    at += 12 + chunk.data.size();
    if (first != (chunk.type == chunk_type("IHDR")))
      source.refuse_at(chunk.offset, "PNG whose header (IHDR) is not its first chunk", kDamaged);
    data_ended = data_ended || (!layout.data.empty() && chunk.type != chunk_type("IDAT"));
    const bool before_data = layout.data.empty();
    switch (chunk.type) {
      case chunk_type("IHDR"):
        read_header(source, chunk, &layout);
        break;
      case chunk_type("PLTE"): {
        once(chunk, !layout.palette.empty());
        const size_t entries = chunk.data.size() / 3;
        const bool gray = layout.color == kGray || layout.color == kGrayAlpha;
        if (!before_data || !layout.transparency.empty() || gray || chunk.data.size() % 3 != 0 ||
            entries == 0 || entries > 256 ||
            (layout.color == kPalette && entries > size_t{1} << layout.depth))
          source.refuse_at(chunk.offset, "PNG with a wrong palette (PLTE)", kDamaged);
        layout.palette = chunk.data;
        break;
      }
      case chunk_type("tRNS"): {
        once(chunk, !layout.transparency.empty());
        const size_t n = chunk.data.size();
        const bool fits = layout.color == kPalette ? n >= 1 && 3 * n <= layout.palette.size()
                          : layout.color == kGray  ? n == 2
                          : layout.color == kRgb   ? n == 6
                                                   : false;
        if (!before_data || !fits)
          source.refuse_at(chunk.offset, "PNG with wrong transparency (tRNS)", kDamaged);
        layout.transparency = chunk.data;
        break;
      }
      case chunk_type("IDAT"):
        if (data_ended)
          source.refuse_at(chunk.offset, "PNG whose pixel data (IDAT) are interrupted", kDamaged);
        layout.data.push_back(chunk.data);
        break;
      case chunk_type("IEND"):
        if (!chunk.data.empty())
          source.refuse_at(chunk.offset, "PNG with a wrong end (IEND)", kDamaged);
        if (layout.data.empty())
          source.refuse_at(chunk.offset, "PNG without pixel data (IDAT)", kDamaged);
        if (layout.color == kPalette && layout.palette.empty())
          source.refuse_at(chunk.offset, "PNG without its palette (PLTE)", kDamaged);
        return layout;
      case chunk_type("iCCP"):
        if (scan != nullptr && scan->icc.empty()) scan->icc = read_profile(source, chunk);
        break;
      case chunk_type("eXIf"):
        if (scan != nullptr && scan->exif.empty())
          scan->exif.assign(chunk.data.begin(), chunk.data.end());
        break;
      case chunk_type("gAMA"):
      case chunk_type("cHRM"):
      case chunk_type("sRGB"):
      case chunk_type("cICP"):
        if (scan != nullptr && chunk.data.size() <= 32) {
          const Bytes whole = bytes.subspan(chunk.offset, chunk.data.size() + 12);
          if (scan->png_color.size() < 256)
            scan->png_color.insert(scan->png_color.end(), whole.begin(), whole.end());
        }
        break;
      default:
        if ((chunk.type >> 24 & 0x20) == 0)
          source.refuse_at(chunk.offset, "PNG with an unknown critical chunk " + chunk.name(),
                           "it needs a newer reader; convert the picture first");
    }
  }
}

void check_png_stream(const Source& source, const PngLayout& layout) {
  std::vector<uint8_t> block(64 << 10);
  RowCheck rows(passes_of(layout));
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  int state = Z_OK;
  const char* problem = nullptr;
  const uint8_t* where = layout.data.front().data();
  for (const Bytes part : layout.data) {
    stream.next_in = const_cast<uint8_t*>(part.data());
    stream.avail_in = static_cast<uInt>(part.size());
    while (problem == nullptr && stream.avail_in > 0) {
      where = stream.next_in;
      if (state == Z_STREAM_END) {
        problem = "PNG whose pixel data go on after their end";
        break;
      }
      stream.next_out = block.data();
      stream.avail_out = static_cast<uInt>(block.size());
      state = inflate(&stream, Z_NO_FLUSH);
      if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) {
        problem = "PNG whose compressed pixel data are corrupt";
      } else if (!rows.take({block.data(), stream.next_out})) {
        problem = rows.complete() ? "PNG with more pixel data than its size needs"
                                  : "PNG with an unknown row filter";
      }
    }
    if (problem != nullptr) break;
  }
  // What is still inside the decompressor once the input is used up.
  while (problem == nullptr && state == Z_OK) {
    stream.next_out = block.data();
    stream.avail_out = static_cast<uInt>(block.size());
    state = inflate(&stream, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END) break;
    if (!rows.take({block.data(), stream.next_out}))
      problem = rows.complete() ? "PNG with more pixel data than its size needs"
                                : "PNG with an unknown row filter";
  }
  inflateEnd(&stream);
  if (problem == nullptr && !rows.complete())
    problem = "PNG with fewer pixel data than its size needs";
  if (problem == nullptr && state != Z_STREAM_END)
    problem = "PNG whose compressed pixel data have no end";
  if (problem != nullptr)
    source.refuse_at(static_cast<size_t>(where - source.bytes().data()), problem, kDamaged);
}

}  // namespace mgpnet
