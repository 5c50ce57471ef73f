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
#include "mgpnet/png_chunks.h"
#include "nn/atomic_file.h"

namespace mgpnet {
namespace {

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
// scan_png and check_png_stream have judged the file; what libpng still warns of decides pixels.
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

class PngReader : public PngState {
 public:
  PngReader() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, static_cast<PngState*>(this),
                                 mgpnet_png_error, mgpnet_png_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_read_struct(&png, &info, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
};

class PngWriter : public PngState {
 public:
  PngWriter() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, static_cast<PngState*>(this),
                                  mgpnet_png_error, mgpnet_png_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_write_struct(&png, &info);
      throw std::bad_alloc();
    }
  }
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;
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
  png_set_user_limits(png, kMaxPngChunkBytes, kMaxPngChunkBytes);
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
void look_up(const Source& source, const PngLayout& layout, size_t count, Image* image) {
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
  png_set_user_limits(png, kMaxPngChunkBytes, kMaxPngChunkBytes);
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
  const PngLayout layout = read_png_chunks(source, &scan);
  scan.header = {static_cast<int>(layout.width), static_cast<int>(layout.height), layout.channels(),
                 layout.bits(), Format::png};
  return scan;
}

void decode_png(const Source& source, Image* image) {
  const PngLayout layout = read_png_chunks(source, nullptr);
  check_png_stream(source, layout);
  const size_t count = static_cast<size_t>(image->width) * static_cast<size_t>(image->height);
  image->pixels.resize(count * static_cast<size_t>(image->channels));
  const bool indexed = layout.color == kPalette;
  const int channels = indexed ? 1 : image->channels;
  std::vector<uint8_t> row(static_cast<size_t>(image->width) * static_cast<size_t>(channels));
  PngReader reader;
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
  PngWriter writer;
  writer.output = &out;
  if (!write_rows(&writer, &image, std::clamp(options.png_level, 0, 9), row.data(),
                  passengers.data(), static_cast<int>(passengers.size())))
    throw satin::WriteError("cannot encode PNG", writer.message);
  return out;
}

}  // namespace mgpnet
