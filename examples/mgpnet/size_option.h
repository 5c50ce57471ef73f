// The option --size WxH of bench and inspect.
#pragma once

#include "mgpnet/command_line.h"

namespace mgpnet {

/// WIDTHxHEIGHT, each side 1 to 16384.
inline CLI::Validator picture_size() {
  return CLI::Validator(
      [](std::string& value) -> std::string {
        const auto size = parse_picture_size(value);
        if (!size) return "a size such as 512x384";
        return size->width <= 16384 && size->height <= 16384 ? std::string()
                                                             : "sides are 1 to 16384";
      },
      "WxH");
}

}  // namespace mgpnet
