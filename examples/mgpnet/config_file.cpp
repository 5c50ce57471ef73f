// Reading TOML.  toml++ is used as headers: the program is one static binary, and Debian has the
// library as a shared one only.
#include "mgpnet/config_file.h"

#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <toml++/toml.h>

#include "mgpnet/command.h"
#include "nn/text.h"

namespace mgpnet {

namespace {

constexpr std::uintmax_t kMaxBytes = 1 << 20;

[[noreturn]] void refuse(const std::string& path, int line, const std::string& why) {
  throw Failure(kUsage, "cannot use configuration file", path,
                line > 0 ? satin::cat("line ", line, ": ", why) : why);
}

int line_of(const toml::node& node) { return static_cast<int>(node.source().begin.line); }

std::string text_of(const std::string& path, const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  if (const auto* integer = node.as_integer()) return std::to_string(integer->get());
  if (const auto* number = node.as_floating_point()) {
    if (!std::isfinite(number->get())) refuse(path, line_of(node), "not a finite number");
    std::ostringstream text;
    text.precision(17);
    text << number->get();
    return text.str();
  }
  if (const auto* array = node.as_array()) {
    std::string text;
    for (const toml::node& element : *array) {
      if (element.is_array() || element.is_table())
        refuse(path, line_of(element), "arrays hold plain values here");
      if (!text.empty()) text += ',';
      text += text_of(path, element);
    }
    return text;
  }
  refuse(path, line_of(node), "a text, number, truth value or array of those is expected");
}

void flatten(const std::string& path,
             const toml::table& table,
             const std::string& prefix,
             std::vector<Setting>* settings) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      if (!prefix.empty()) refuse(path, line_of(node), "tables are one level deep here");
      flatten(path, *inner, name + '.', settings);
    } else {
      settings->push_back({name, text_of(path, node), line_of(node)});
    }
  }
}

}  // namespace

std::vector<Setting> read_settings(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) refuse(path, 0, "there is no such file");
  if (!std::filesystem::is_regular_file(path, error))
    refuse(path, 0, "it is a folder, a pipe or a device; name a regular file");
  if (std::filesystem::file_size(path, error) > kMaxBytes)
    refuse(path, 0, "it is over 1 MiB; is this a configuration file?");
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) refuse(path, 0, "it cannot be read; check its permissions");
  toml::table table;
  try {
    table = toml::parse(text.str(), path);
  } catch (const toml::parse_error& e) {
    refuse(path, static_cast<int>(e.source().begin.line), satin::printable(e.description()));
  }
  std::vector<Setting> settings;
  flatten(path, table, "", &settings);
  std::stable_sort(settings.begin(), settings.end(),
                   [](const Setting& a, const Setting& b) { return a.line < b.line; });
  return settings;
}

std::string settings_text(const std::string& heading,
                          const std::vector<std::pair<std::string, std::string>>& settings) {
  toml::table table;
  for (const auto& [name, value] : settings) table.insert(name, value);
  std::ostringstream out;
  out << "# " << heading << "\n" << table << "\n";
  return out.str();
}

std::string settings_file() {
  if (const char* named = std::getenv("MGPNET_CONFIG"); named && *named) return named;
  std::filesystem::path folder;
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config && *config)
    folder = config;
  else if (const char* home = std::getenv("HOME"); home && *home)
    folder = std::filesystem::path(home) / ".config";
  else
    return {};
  const std::filesystem::path file = folder / "mgpnet" / "config.toml";
  std::error_code error;
  return std::filesystem::exists(file, error) ? file.string() : std::string();
}

}  // namespace mgpnet
