// See exif.h.  TIFF: "II" or "MM", 42, offset of the first directory; a directory is a count and
// entries of 12 bytes (tag, type, count, value).
#include "mgpnet/exif.h"

namespace mgpnet {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kTypeShort = 3;

struct Tiff {
  std::span<const uint8_t> bytes;
  bool big_endian;

  uint32_t u16(size_t at) const {
    return big_endian ? uint32_t{bytes[at]} << 8 | bytes[at + 1]
                      : uint32_t{bytes[at + 1]} << 8 | bytes[at];
  }
  uint32_t u32(size_t at) const {
    return big_endian ? u16(at) << 16 | u16(at + 2) : u16(at + 2) << 16 | u16(at);
  }
};

}  // namespace

ExifOrientation find_orientation(std::span<const uint8_t> exif) {
  ExifOrientation found;
  if (exif.size() < 8) return found;
  found.big_endian = exif[0] == 'M';
  if ((exif[0] != 'M' && exif[0] != 'I') || exif[1] != exif[0]) return found;
  const Tiff tiff{exif, found.big_endian};
  const size_t directory = tiff.u32(4);
  if (tiff.u16(2) != 42 || directory < 8 || directory > exif.size() - 2) return found;
  const size_t entries = tiff.u16(directory);
  if (entries > (exif.size() - directory - 2) / 12) return found;
  found.valid = true;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (tiff.u16(entry) != kOrientationTag) continue;
    if (tiff.u16(entry + 2) != kTypeShort || tiff.u32(entry + 4) != 1) break;
    found.offset = entry + 8;
    const uint32_t value = tiff.u16(found.offset);
    if (value >= 1 && value <= 8) found.value = static_cast<int>(value);
    break;
  }
  return found;
}

void set_upright(std::vector<uint8_t>* exif) {
  const ExifOrientation found = find_orientation(*exif);
  if (found.offset == 0) return;
  (*exif)[found.offset] = found.big_endian ? 0 : 1;
  (*exif)[found.offset + 1] = found.big_endian ? 1 : 0;
}

}  // namespace mgpnet
