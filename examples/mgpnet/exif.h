// The one thing mgpnet needs from an EXIF block: its orientation, read and set to upright.
// The block is otherwise passed on byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mgpnet {

/// Where the orientation stands in a block that starts with its TIFF header.
struct ExifOrientation {
  bool valid = false;  ///< the TIFF header and the first directory lie inside the block
  int value = 1;       ///< 1 to 8; 1 when the tag is absent or holds anything else
  size_t offset = 0;   ///< of the value in the block; 0 when the tag is absent
  bool big_endian = false;
};

ExifOrientation find_orientation(std::span<const uint8_t> exif);

/// Rewrites the tag, if there is one, to 1 (upright).
void set_upright(std::vector<uint8_t>* exif);

}  // namespace mgpnet
