// PNG.  scan_png walks all chunks: order, lengths, checksums, palette; it takes out what is passed
// on (iCCP, eXIf, color chunks).  decode_png inflates the pixel data once without keeping it, so
// that a short, over-long or corrupt stream is known before memory for pixels is asked for; then
// libpng decodes.
//
// libpng sees only the chunks that decide pixels (IHDR PLTE tRNS IDAT IEND); all its warnings are
// errors. Its errors leave by longjmp: the functions that call setjmp hold no object with a
// destructor.
#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <png.h>
#include <zlib.h>

#include "mgpnet/image_codec.h"
#include "nn/atomic_file.h"

namespace mgpnet {
namespace {

constexpr uint8_t kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kMaxProfileBytes = 16 << 20;
constexpr uint32_t kMaxChunkBytes = 0x7fffffff;

enum ColorType { kGray = 0, kRgb = 2, kPalette = 3, kGrayAlpha = 4, kRgbAlpha = 6 };

constexpr uint32_t chunk_type(const char (&name)[5]) {
  return uint32_t{static_cast<uint8_t>(name[0])} << 24 |
         uint32_t{static_cast<uint8_t>(name[1])} << 16 |
         uint32_t{static_cast<uint8_t>(name[2])} << 8 | static_cast<uint8_t>(name[3]);
}

struct Layout {
  uint32_t width = 0, height = 0;
  int depth = 0, color = 0;
  bool interlaced = false;
  Bytes palette, transparency;  // contents of PLTE and tRNS
  std::vector<Bytes> data;      // contents of the IDAT chunks

  int samples() const {
    constexpr int kSamples[7] = {1, 0, 3, 1, 2, 0, 4};
    return kSamples[color];
  }
  int channels() const {
    return (color == kPalette ? 3 : samples()) + (transparency.empty() ? 0 : 1);
  }
  int bits() const { return depth == 16 ? 16 : 8; }
  uint64_t row_bytes(uint64_t pixels) const {
    return (pixels * static_cast<uint64_t>(samples() * depth) + 7) / 8;
  }
};

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
  if (length > kMaxChunkBytes || length > bytes.size() - at - 12)
    source.refuse_at(at, "PNG chunk " + chunk.name() + " is longer than the file", kDamaged);
  const Bytes data = bytes.subspan(at + 8, length);
  const uint32_t crc = static_cast<uint32_t>(crc32_z(0, &bytes[at + 4], size_t{length} + 4));
  if (crc != get_u32_be(&bytes[at + 8 + length]))
    source.refuse_at(at, "PNG chunk " + chunk.name() + " has a wrong checksum", kDamaged);
  return {chunk.type, at, data};
}

void read_header(const Source& source, const Chunk& chunk, Layout* layout) {
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

// All chunks in order.  `scan` may be null when only the layout is wanted.
Layout read_chunks(const Source& source, Scan* scan) {
  const Bytes bytes = source.bytes();
  if (bytes.size() < 8 || std::memcmp(bytes.data(), kSignature, 8) != 0)
    source.refuse_at(0, "PNG with a broken signature",
                     std::string("it was perhaps copied as text; ") + kDamaged);
  Layout layout;
  bool data_ended = false;
  auto once = [&](const Chunk& chunk, bool seen) {
    if (seen) source.refuse_at(chunk.offset, "PNG with two " + chunk.name() + " chunks", kDamaged);
  };
  for (size_t at = 8;;) {
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

// One pass of the picture as it lies in the stream: rows of 1 filter byte and `bytes` bytes.
struct Pass {
  uint64_t bytes, rows;
};

std::vector<Pass> passes_of(const Layout& layout) {
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

// The whole pixel stream inflated into a small window: exact length, filters, checksum, no rest.
void check_stream(const Source& source, const Layout& layout) {
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

// State of one libpng reader or writer; everything that must survive a longjmp lives here.
struct PngState {
  png_structp png = nullptr;
  png_infop info = nullptr;
  Bytes input;
  std::vector<uint8_t>* output = nullptr;
  char message[200] = "";
};

extern "C" {
static void mgpnet_png_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::strncpy(state->message, message, sizeof state->message - 1);
  png_longjmp(png, 1);
}
// scan_png and check_stream have judged the file; what libpng still warns of decides pixels.
static void mgpnet_png_warning(png_structp png, png_const_charp message) {
  mgpnet_png_error(png, message);
}

static void mgpnet_png_read(png_structp png, png_bytep to, size_t size) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (size > state->input.size()) png_error(png, "the file ends too early");
  std::memcpy(to, state->input.data(), size);
  state->input = state->input.subspan(size);
}

static void mgpnet_png_write(png_structp png, png_bytep from, size_t size) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  bool full = false;
  try {
    state->output->insert(state->output->end(), from, from + size);
  } catch (const std::bad_alloc&) {
    full = true;
  }
  if (full) png_error(png, "out of memory");
}
static void mgpnet_png_flush(png_structp) {}
}

class Reader : public PngState {
 public:
  Reader() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, static_cast<PngState*>(this),
                                 mgpnet_png_error, mgpnet_png_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_read_struct(&png, &info, nullptr);
      throw std::bad_alloc();
    }
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

class Writer : public PngState {
 public:
  Writer() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, static_cast<PngState*>(this),
                                  mgpnet_png_error, mgpnet_png_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_write_struct(&png, &info);
      throw std::bad_alloc();
    }
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
};

// Pixels row by row, straight into `pixels`; for 8 bits through `row`, which for an interlaced
// picture carries what earlier passes left.
// An indexed picture gives its indices, one value a pixel.  setjmp: only plain values here.
bool read_rows(PngState* state,
               bool indexed,
               int width,
               int height,
               int channels,
               int bits,
               uint16_t* pixels,
               uint8_t* row) {
  png_structp png = state->png;
  png_infop info = state->info;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, state, mgpnet_png_read);
  png_set_user_limits(png, kMaxChunkBytes, kMaxChunkBytes);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_benign_errors(png, 0);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  if (indexed) {
    png_set_packing(png);
  } else {
    png_set_expand(png);
  }
  if (bits == 16) png_set_swap(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t values = static_cast<size_t>(width) * static_cast<size_t>(channels);
  if (png_get_rowbytes(png, info) != values * static_cast<size_t>(bits / 8))
    png_error(png, "rows of an unexpected length");
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      uint16_t* to = pixels + static_cast<size_t>(y) * values;
      if (bits == 16) {
        png_read_row(png, reinterpret_cast<png_bytep>(to), nullptr);
        continue;
      }
      if (pass > 0)
        for (size_t i = 0; i < values; ++i) row[i] = static_cast<uint8_t>(to[i]);
      png_read_row(png, row, nullptr);
      for (size_t i = 0; i < values; ++i) to[i] = row[i];
    }
  }
  png_read_end(png, nullptr);
  return true;
}

// Replaces the indices at the start of the pixels by their colors, last pixel first.  libpng would
// take an index that the palette does not have for black.
void look_up(const Source& source, const Layout& layout, size_t count, Image* image) {
  const size_t channels = static_cast<size_t>(image->channels);
  const size_t entries = layout.palette.size() / 3;
  uint16_t* pixels = image->pixels.data();
  for (size_t i = count; i-- > 0;) {
    const size_t index = pixels[i];
    if (index >= entries)
      source.refuse("PNG with a palette index " + std::to_string(index) + " in a palette of " +
                        std::to_string(entries),
                    kDamaged);
    uint16_t* to = pixels + i * channels;
    for (size_t c = 0; c < 3; ++c) to[c] = layout.palette[3 * index + c];
    if (channels == 4)
      to[3] = index < layout.transparency.size() ? layout.transparency[index] : 255;
  }
}

struct Passenger {
  const char* name;
  const uint8_t* data;
  size_t size;
};

bool write_rows(PngState* state,
                const Image* image,
                int level,
                uint8_t* row,
                const Passenger* passengers,
                int passenger_count) {
  constexpr int kColors[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                              PNG_COLOR_TYPE_RGB_ALPHA};
  png_structp png = state->png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, state, mgpnet_png_write, mgpnet_png_flush);
  png_set_user_limits(png, kMaxChunkBytes, kMaxChunkBytes);
  png_set_compression_level(png, level);
  png_set_IHDR(png, state->info, static_cast<png_uint_32>(image->width),
               static_cast<png_uint_32>(image->height), image->bits, kColors[image->channels],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, state->info);
  for (int i = 0; i < passenger_count; ++i)
    png_write_chunk(png, reinterpret_cast<png_const_bytep>(passengers[i].name), passengers[i].data,
                    passengers[i].size);
  const size_t values = static_cast<size_t>(image->width) * static_cast<size_t>(image->channels);
  for (int y = 0; y < image->height; ++y) {
    const uint16_t* from = image->pixels.data() + static_cast<size_t>(y) * values;
    if (image->bits == 16) {
      for (size_t i = 0; i < values; ++i) {
        row[2 * i] = static_cast<uint8_t>(from[i] >> 8);
        row[2 * i + 1] = static_cast<uint8_t>(from[i] & 0xff);
      }
    } else {
      for (size_t i = 0; i < values; ++i) row[i] = static_cast<uint8_t>(from[i]);
    }
    png_write_row(png, row);
  }
  png_write_end(png, nullptr);
  return true;
}

// An iCCP chunk: name, NUL, method 0, zlib stream.
std::vector<uint8_t> profile_chunk(const std::vector<uint8_t>& icc) {
  constexpr char kName[] = "ICC Profile";  // with its NUL
  uLongf size = compressBound(icc.size());
  std::vector<uint8_t> chunk(sizeof kName + 1 + size);
  std::memcpy(chunk.data(), kName, sizeof kName);
  if (compress2(chunk.data() + sizeof kName + 1, &size, icc.data(), icc.size(), 9) != Z_OK)
    throw std::bad_alloc();
  chunk.resize(sizeof kName + 1 + size);
  return chunk;
}

}  // namespace

Scan scan_png(const Source& source) {
  Scan scan;
  const Layout layout = read_chunks(source, &scan);
  scan.header = {static_cast<int>(layout.width), static_cast<int>(layout.height), layout.channels(),
                 layout.bits(), Format::png};
  return scan;
}

void decode_png(const Source& source, Image* image) {
  const Layout layout = read_chunks(source, nullptr);
  check_stream(source, layout);
  const size_t count = static_cast<size_t>(image->width) * static_cast<size_t>(image->height);
  image->pixels.resize(count * static_cast<size_t>(image->channels));
  const bool indexed = layout.color == kPalette;
  const int channels = indexed ? 1 : image->channels;
  std::vector<uint8_t> row(static_cast<size_t>(image->width) * static_cast<size_t>(channels));
  Reader reader;
  reader.input = source.bytes();
  if (!read_rows(&reader, indexed, image->width, image->height, channels, image->bits,
                 image->pixels.data(), row.data()))
    source.refuse(std::string("PNG cannot be decoded (") + reader.message + ")", kDamaged);
  if (indexed) look_up(source, layout, count, image);
}

std::vector<uint8_t> encode_png(const Image& image, const EncodeOptions& options) {
  std::vector<uint8_t> out;
  std::vector<uint8_t> profile;
  std::vector<Passenger> passengers;
  // Color chunks as they came; a profile replaces an sRGB statement.
  for (size_t at = 0; at + 12 <= image.png_color.size();) {
    const uint8_t* chunk = &image.png_color[at];
    const size_t length = get_u32_be(chunk);
    if (length > image.png_color.size() - at - 12) break;
    const bool srgb = std::memcmp(chunk + 4, "sRGB", 4) == 0;
    if (image.icc.empty() || !srgb)
      passengers.push_back({reinterpret_cast<const char*>(chunk + 4), chunk + 8, length});
    at += 12 + length;
  }
  if (!image.icc.empty()) {
    profile = profile_chunk(image.icc);
    passengers.push_back({"iCCP", profile.data(), profile.size()});
  }
  if (!image.exif.empty()) passengers.push_back({"eXIf", image.exif.data(), image.exif.size()});
  std::vector<uint8_t> row(static_cast<size_t>(image.width) * static_cast<size_t>(image.channels) *
                           static_cast<size_t>(image.bits / 8));
  Writer writer;
  writer.output = &out;
  if (!write_rows(&writer, &image, std::clamp(options.png_level, 0, 9), row.data(),
                  passengers.data(), static_cast<int>(passengers.size())))
    throw satin::WriteError("cannot encode PNG", writer.message);
  return out;
}

}  // namespace mgpnet
