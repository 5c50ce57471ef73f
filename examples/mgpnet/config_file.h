// Configuration files (TOML) as a flat list of settings; who reads one decides what they mean.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mgpnet {

struct Setting {
  std::string key;    ///< "threads", or with its table "smooth.strength"
  std::string value;  ///< as it would be typed on a command line; arrays joined by commas
  int line = 0;
};

/// The settings of a file in its order.
/// errors: Failure(kUsage): unreadable, over 1 MiB, not TOML, values that are no text, number,
/// truth value or array of those; keys that come twice
std::vector<Setting> read_settings(const std::string& path);

/// The text of a file that read_settings reads back: every value as a TOML string, so that it is
/// exact whatever it is.  heading: a line of comment.
std::string settings_text(const std::string& heading,
                          const std::vector<std::pair<std::string, std::string>>& settings);

/// The file of the environment variable MGPNET_CONFIG, or mgpnet/config.toml in the user's folder
/// of configurations if that exists; otherwise empty.
std::string settings_file();

}  // namespace mgpnet
