// JPEG.  scan_jpeg walks all segments up to the end mark: frame, tables that each scan needs,
// number of scans, APP1 EXIF and APP2 ICC; decode_jpeg lets libjpeg-turbo decode, where every
// warning that means damage is an error (libjpeg itself fills a truncated picture with gray and
// goes on).
//
// libjpeg's errors leave by longjmp: the functions that call setjmp hold no object with a
// destructor.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <jpeglib.h>
// after jpeglib.h
#include <jerror.h>

#include "mgpnet/image_codec.h"
#include "nn/atomic_file.h"

namespace mgpnet {
namespace {

// Each scan of a progressive picture costs a pass over all its coefficients.  Ordinary files have
// 10, optimizers make up to about 60.
constexpr int kMaxScans = 100;
constexpr char kExifMagic[] = "Exif\0";      // and the literal's own NUL: 6 bytes
constexpr char kIccMagic[] = "ICC_PROFILE";  // with its NUL: 12 bytes
constexpr size_t kMaxExifBytes = 65533 - sizeof kExifMagic;
constexpr size_t kMaxIccBytes = size_t{255} * 65519;
// Above this a picture is decoded once without keeping pixels, so that a damaged one is refused
// before memory for them is asked for.
//
// What that costs in a progressive picture is damage in its last scan: every scan before it must be
// decoded, and all coefficients kept, 3 to 6 bytes a pixel, until then; no reader can know earlier.
// Measured with damage at the very end (4:2:0, 10 scans, one core): 0.27 s and 85 MB for 24
// megapixels, 1.1 s and 330 MB for the 100 that are the most.
constexpr size_t kTrialBytes = 32 << 20;

enum Marker {
  kSof0 = 0xc0,
  kSof1 = 0xc1,
  kSof2 = 0xc2,
  kDht = 0xc4,
  kRst0 = 0xd0,
  kRst7 = 0xd7,
  kSoi = 0xd8,
  kEoi = 0xd9,
  kSos = 0xda,
  kDqt = 0xdb,
  kDnl = 0xdc,
  kDri = 0xdd,
  kApp1 = 0xe1,
  kApp2 = 0xe2,
  kTem = 0x01
};

// The walk over the segments.
class Walk {
 public:
  Walk(const Source& source, Scan* scan) : source_(source), bytes_(source.bytes()), scan_(scan) {}

  // The offset behind the end mark; of a file's beginning that of the first scan.
  size_t run() {
    if (bytes_.size() < 4)
      source_.refuse_at(bytes_.size(), "JPEG ends inside its header", kDamaged);
    size_t at = 2;
    for (;;) {
      const size_t marker_at = at;
      if (at < bytes_.size() && bytes_[at] != 0xff)
        source_.refuse_at(at, "JPEG with bytes that belong to no segment", kDamaged);
      while (at < bytes_.size() && bytes_[at] == 0xff) ++at;
      if (at >= bytes_.size()) source_.refuse_at(bytes_.size(), "JPEG without its end", kDamaged);
      const int marker = bytes_[at++];
      if (marker == kEoi) {
        if (scans_ == 0) source_.refuse_at(marker_at, "JPEG without pixel data", kDamaged);
        finish_profile();
        return at;
      }
      if (marker == kTem) continue;
      if (marker == kSos && components_ > 0 && !source_.complete()) return marker_at;
      if (marker == 0 || marker == kSoi || (marker >= kRst0 && marker <= kRst7) ||
          (marker > kTem && marker < kSof0))
        source_.refuse_at(marker_at, "JPEG with a misplaced marker", kDamaged);
      if (bytes_.size() - at < 2)
        source_.refuse_at(marker_at, "JPEG ends inside a segment", kDamaged);
      const size_t length = get_u16_be(&bytes_[at]);
      if (length < 2 || length > bytes_.size() - at)
        source_.refuse_at(marker_at, "JPEG segment longer than the file", kDamaged);
      segment(marker, marker_at, bytes_.subspan(at + 2, length - 2));
      at += length;
      if (marker == kSos) at = skip_entropy_data(at);
    }
  }

 private:
  void segment(int marker, size_t at, Bytes data) {
    if (marker >= kSof0 && marker <= 0xcf && marker != kDht && marker != 0xc8 && marker != 0xcc)
      return frame(marker, at, data);
    switch (marker) {
      case 0xcc:
        source_.refuse_at(at, "arithmetic-coded JPEG is not supported", kConvert);
      case kDnl:
        source_.refuse_at(at, "JPEG whose height comes late (DNL) is not supported", kConvert);
      case kDht:
        return huffman_tables(at, data);
      case kDqt:
        return quantization_tables(at, data);
      case kSos:
        return scan_header(at, data);
      case kApp1:
        if (scan_->exif.empty() && data.size() >= sizeof kExifMagic &&
            std::memcmp(data.data(), kExifMagic, sizeof kExifMagic) == 0)
          scan_->exif.assign(data.begin() + sizeof kExifMagic, data.end());
        return;
      case kApp2:
        if (data.size() >= sizeof kIccMagic + 2 &&
            std::memcmp(data.data(), kIccMagic, sizeof kIccMagic) == 0)
          profile_part(at, data);
        return;
      default:
        return;
    }
  }

  void frame(int marker, size_t at, Bytes data) {
    if (marker > kSof2) {
      const bool arithmetic = marker >= 0xc9;
      source_.refuse_at(at,
                        arithmetic       ? "arithmetic-coded JPEG is not supported"
                        : marker == 0xc3 ? "lossless JPEG is not supported"
                                         : "hierarchical JPEG is not supported",
                        kConvert);
    }
    if (components_ > 0) source_.refuse_at(at, "JPEG with two frames", kDamaged);
    if (data.size() < 6 || data.size() != 6 + size_t{3} * data[5])
      source_.refuse_at(at, "JPEG frame header of a wrong length", kDamaged);
    if (data[0] != 8)
      source_.refuse_at(
          at, "JPEG with " + std::to_string(data[0]) + " bits per sample is not supported",
          kConvert);
    const int64_t height = get_u16_be(&data[1]);
    const int64_t width = get_u16_be(&data[3]);
    source_.check_size(width, height);
    components_ = data[5];
    if (components_ == 4)
      source_.refuse_at(at, "CMYK JPEG is not supported", "convert it to RGB first");
    if (components_ != 1 && components_ != 3)
      source_.refuse_at(at,
                        "JPEG with " + std::to_string(components_) + " components is not supported",
                        kConvert);
    progressive_ = marker == kSof2;
    for (int c = 0; c < components_; ++c) {
      const uint8_t* entry = &data[6 + size_t{3} * static_cast<size_t>(c)];
      const int across = entry[1] >> 4, down = entry[1] & 15;
      if (across < 1 || across > 4 || down < 1 || down > 4)
        source_.refuse_at(at, "JPEG with an impossible sampling factor", kDamaged);
      if (entry[2] > 3) source_.refuse_at(at, "JPEG with an impossible table number", kDamaged);
      for (int other = 0; other < c; ++other)
        if (ids_[static_cast<size_t>(other)] == entry[0])
          source_.refuse_at(at, "JPEG with two components of one name", kDamaged);
      ids_[static_cast<size_t>(c)] = entry[0];
      quantizers_[static_cast<size_t>(c)] = entry[2];
    }
    scan_->header = {static_cast<int>(width), static_cast<int>(height), components_, 8,
                     Format::jpg};
  }

  void huffman_tables(size_t at, Bytes data) {
    while (!data.empty()) {
      const size_t kind = data[0] >> 4, number = data[0] & 15;
      size_t symbols = 0;
      if (data.size() >= 17)
        for (int i = 1; i <= 16; ++i) symbols += data[static_cast<size_t>(i)];
      if (data.size() < 17 || kind > 1 || number > 3 || symbols > 256 || data.size() < 17 + symbols)
        source_.refuse_at(at, "JPEG with a broken Huffman table", kDamaged);
      huffman_[kind][number] = true;
      data = data.subspan(17 + symbols);
    }
  }

  void quantization_tables(size_t at, Bytes data) {
    while (!data.empty()) {
      const size_t size = data[0] >> 4 == 0 ? 65 : 129;
      const size_t number = data[0] & 15;
      if (data[0] >> 4 > 1 || number > 3 || data.size() < size)
        source_.refuse_at(at, "JPEG with a broken quantization table", kDamaged);
      quantization_[number] = true;
      data = data.subspan(size);
    }
  }

  // libjpeg-turbo would silently use standard Huffman tables where a scan has none.
  void scan_header(size_t at, Bytes data) {
    if (components_ == 0) source_.refuse_at(at, "JPEG without a frame header", kDamaged);
    if (++scans_ > kMaxScans)
      source_.refuse_at(at, "JPEG with more than " + std::to_string(kMaxScans) + " scans",
                        kConvert);
    const size_t count = data.empty() ? 0 : data[0];
    if (count < 1 || count > static_cast<size_t>(components_) || data.size() != 4 + 2 * count)
      source_.refuse_at(at, "JPEG with a broken scan header", kDamaged);
    const int first = data[1 + 2 * count];
    const int refining = data[3 + 2 * count] >> 4;
    for (size_t i = 0; i < count; ++i) {
      const uint8_t id = data[1 + 2 * i];
      const size_t dc = data[2 + 2 * i] >> 4, ac = data[2 + 2 * i] & 15;
      const auto end = ids_.begin() + components_;
      const auto found = std::find(ids_.begin(), end, id);
      if (found == end || dc > 3 || ac > 3)
        source_.refuse_at(at, "JPEG scan of a component that is not there", kDamaged);
      if (!quantization_[quantizers_[static_cast<size_t>(found - ids_.begin())]])
        source_.refuse_at(at, "JPEG without the quantization table of a component", kDamaged);
      const bool needs_dc = !progressive_ || (first == 0 && refining == 0);
      const bool needs_ac = !progressive_ || first > 0;
      if ((needs_dc && !huffman_[0][dc]) || (needs_ac && !huffman_[1][ac]))
        source_.refuse_at(at, "JPEG without a Huffman table that a scan needs", kDamaged);
    }
  }

  // To the next marker that is neither stuffing nor a restart.
  size_t skip_entropy_data(size_t at) const {
    while (at < bytes_.size()) {
      const void* hit = std::memchr(&bytes_[at], 0xff, bytes_.size() - at);
      if (hit == nullptr) break;
      at = static_cast<size_t>(static_cast<const uint8_t*>(hit) - bytes_.data());
      if (at + 1 >= bytes_.size()) break;
      const int next = bytes_[at + 1];
      if (next != 0 && next != 0xff && !(next >= kRst0 && next <= kRst7)) return at;
      at += next == 0xff ? 1 : 2;
    }
    source_.refuse_at(bytes_.size(), "JPEG ends inside its pixel data", kDamaged);
  }

  void profile_part(size_t at, Bytes data) {
    const size_t number = data[sizeof kIccMagic], count = data[sizeof kIccMagic + 1];
    if (number < 1 || number > count || (profile_count_ != 0 && count != profile_count_))
      source_.refuse_at(at, "JPEG with a broken color profile", kDamaged);
    profile_count_ = count;
    if (profile_[number - 1].empty()) profile_[number - 1] = data.subspan(sizeof kIccMagic + 2);
  }

  void finish_profile() {
    for (size_t i = 0; i < profile_count_; ++i) {
      if (profile_[i].empty())
        source_.refuse("JPEG with a part of its color profile missing", kDamaged);
      scan_->icc.insert(scan_->icc.end(), profile_[i].begin(), profile_[i].end());
    }
  }

  static constexpr char kConvert[] = "save it as ordinary JPEG or PNG first";

  const Source& source_;
  Bytes bytes_;
  Scan* scan_;
  int components_ = 0;
  int scans_ = 0;
  bool progressive_ = false;
  std::array<uint8_t, 3> ids_{};
  std::array<uint8_t, 3> quantizers_{};
  std::array<bool, 4> quantization_{};
  std::array<std::array<bool, 4>, 2> huffman_{};
  std::array<Bytes, 255> profile_{};
  size_t profile_count_ = 0;
};

struct JpegErrors {
  jpeg_error_mgr manager;  // first: libjpeg hands back its address
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

// The encoder's output: malloc'd, because it must survive a longjmp.
struct JpegOutput {
  jpeg_destination_mgr manager;  // first, as above
  uint8_t* data;
  size_t size;
};

constexpr size_t kFirstOutputBytes = 64 << 10;

extern "C" {
static void mgpnet_jpeg_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

// Warnings mean damage, except three about metadata that no pixel depends on.
static void mgpnet_jpeg_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level >= 0 || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC || code == JWRN_JFIF_MAJOR)
    return;
  mgpnet_jpeg_error(info);
}

static void mgpnet_jpeg_output(j_common_ptr) {}

static void mgpnet_jpeg_start(j_compress_ptr info) {
  auto* out = reinterpret_cast<JpegOutput*>(info->dest);
  out->data = static_cast<uint8_t*>(std::malloc(kFirstOutputBytes));
  out->size = kFirstOutputBytes;
  if (out->data == nullptr) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
  out->manager.next_output_byte = out->data;
  out->manager.free_in_buffer = out->size;
}

static boolean mgpnet_jpeg_grow(j_compress_ptr info) {
  auto* out = reinterpret_cast<JpegOutput*>(info->dest);
  auto* larger = static_cast<uint8_t*>(std::realloc(out->data, 2 * out->size));
  if (larger == nullptr) ERREXIT1(info, JERR_OUT_OF_MEMORY, 1);
  out->data = larger;
  // The buffer is full, whatever free_in_buffer says (libjpeg's contract).
  out->manager.next_output_byte = larger + out->size;
  out->manager.free_in_buffer = out->size;
  out->size *= 2;
  return TRUE;
}

static void mgpnet_jpeg_end(j_compress_ptr info) {
  auto* out = reinterpret_cast<JpegOutput*>(info->dest);
  out->size -= out->manager.free_in_buffer;
}
}

jpeg_error_mgr* set_errors(JpegErrors* errors) {
  jpeg_std_error(&errors->manager);
  errors->manager.error_exit = mgpnet_jpeg_error;
  errors->manager.emit_message = mgpnet_jpeg_message;
  errors->manager.output_message = mgpnet_jpeg_output;
  errors->message[0] = '\0';
  return &errors->manager;
}

// Decodes into `pixels`, or into nothing when that is null.  setjmp: only plain values here, and
// those used after the jump are not changed after setjmp.
bool read_rows(JpegErrors* errors,
               const uint8_t* data,
               size_t size,
               int width,
               int height,
               int channels,
               uint8_t* row,
               uint16_t* pixels) {
  jpeg_decompress_struct info;
  std::memset(&info, 0, sizeof info);
  info.err = set_errors(errors);
  if (setjmp(errors->escape) != 0) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, data, static_cast<unsigned long>(size));
  jpeg_read_header(&info, TRUE);
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&info);
  if (info.output_width != static_cast<JDIMENSION>(width) ||
      info.output_height != static_cast<JDIMENSION>(height) || info.output_components != channels)
    ERREXIT(&info, JERR_BAD_LENGTH);
  const size_t values = static_cast<size_t>(width) * static_cast<size_t>(channels);
  while (info.output_scanline < info.output_height) {
    const size_t y = info.output_scanline;
    jpeg_read_scanlines(&info, &row, 1);
    if (pixels == nullptr) continue;
    uint16_t* to = pixels + y * values;
    for (size_t i = 0; i < values; ++i) to[i] = row[i];
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

struct Passengers {
  const uint8_t* exif;  // with its "Exif\0\0"
  size_t exif_size;
  const uint8_t* icc;
  size_t icc_size;
};

bool write_rows(JpegErrors* errors,
                JpegOutput* out,
                const uint8_t* pixels,
                int width,
                int height,
                int channels,
                int quality,
                const Passengers* passengers) {
  jpeg_compress_struct info;
  std::memset(&info, 0, sizeof info);
  info.err = set_errors(errors);
  if (setjmp(errors->escape) != 0) {
    jpeg_destroy_compress(&info);
    return false;
  }
  jpeg_create_compress(&info);
  out->manager.init_destination = mgpnet_jpeg_start;
  out->manager.empty_output_buffer = mgpnet_jpeg_grow;
  out->manager.term_destination = mgpnet_jpeg_end;
  info.dest = &out->manager;
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  info.optimize_coding = TRUE;
  if (channels == 3 && quality >= 90)
    info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  if (passengers->exif_size > 0)
    jpeg_write_marker(&info, JPEG_APP0 + 1, passengers->exif,
                      static_cast<unsigned>(passengers->exif_size));
  if (passengers->icc_size > 0)
    jpeg_write_icc_profile(&info, passengers->icc, static_cast<unsigned>(passengers->icc_size));
  const size_t stride = static_cast<size_t>(width) * static_cast<size_t>(channels);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(pixels + info.next_scanline * stride);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  return true;
}

}  // namespace

Scan scan_jpeg(const Source& source) {
  Scan scan;
  Walk(source, &scan).run();
  return scan;
}

void decode_jpeg(const Source& source, Image* image) {
  Scan ignored;
  const size_t end = Walk(source, &ignored).run();
  const size_t values = static_cast<size_t>(image->width) * static_cast<size_t>(image->channels);
  const size_t total = values * static_cast<size_t>(image->height);
  std::vector<uint8_t> row(values);
  JpegErrors errors;
  auto decode = [&](uint16_t* pixels) {
    if (!read_rows(&errors, source.bytes().data(), end, image->width, image->height,
                   image->channels, row.data(), pixels))
      source.refuse(std::string("JPEG cannot be decoded (") + errors.message + ")", kDamaged);
  };
  if (total * sizeof(uint16_t) > kTrialBytes) decode(nullptr);
  image->pixels.resize(total);
  decode(image->pixels.data());
}

std::vector<uint8_t> encode_jpeg(const Image& image, const EncodeOptions& options) {
  const int channels = image.channels >= 3 ? 3 : 1;
  const std::vector<uint8_t> pixels = to_bytes(image, channels);
  std::vector<uint8_t> exif;
  if (!image.exif.empty() && image.exif.size() <= kMaxExifBytes) {
    exif.assign(kExifMagic, kExifMagic + sizeof kExifMagic);
    exif.insert(exif.end(), image.exif.begin(), image.exif.end());
  }
  const bool has_profile = !image.icc.empty() && image.icc.size() <= kMaxIccBytes;
  const Passengers passengers{exif.data(), exif.size(), image.icc.data(),
                              has_profile ? image.icc.size() : 0};
  JpegErrors errors;
  JpegOutput out{};
  const bool done = write_rows(&errors, &out, pixels.data(), image.width, image.height, channels,
                               std::clamp(options.quality, 1, 100), &passengers);
  const std::unique_ptr<uint8_t, decltype(&std::free)> owner(out.data, &std::free);
  if (!done) throw satin::WriteError("cannot encode JPEG", errors.message);
  return {out.data, out.data + out.size};
}

}  // namespace mgpnet
