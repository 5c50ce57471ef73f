// The container of training states: named sections of bytes, each with its checksum, so that any
// flipped bit and any truncation is found before a byte of the content is believed.
//
//     header, 64 bytes    magic, container version, schema, length of the file, kind, number of
//                         sections, checksum of the 56 bytes before it
//     per section         lengths of name and data, checksum of the data, checksum of those three
//                         and the name; name and data, each padded with zeros to 8 bytes
//     end mark, 16 bytes  magic, checksum of all these checksums
//
// Numbers are little-endian, checksums XXH64 (checksum64).  The content is the trainer's affair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/byte_reader.h"

namespace satin {

struct Section {
  std::string name;
  std::vector<std::byte> data;
};

/// XXH64 with the given seed.  It differs for any two inputs that differ in one byte.
uint64_t checksum64(std::span<const std::byte> bytes, uint64_t seed = 0);

/// The bytes of a container.  kind: 1 to 16 characters, what the content is; schema: the version of
/// the content's own layout.  The same content gives the same bytes.
/// errors: Error for an empty, long or repeated name.
std::vector<uint8_t> pack_sections(std::string_view kind,
                                   uint32_t schema,
                                   std::span<const Section> sections);

/// The sections of a container of exactly this kind and schema.
/// errors: FileError for anything else, down to a single wrong bit.
/// memory: the file's size and under 64 MiB (under 1 MiB for up to a thousand sections).
std::vector<Section> unpack_sections(ByteReader& reader, std::string_view kind, uint32_t schema);

/// Sections with the checks that content needs: every accessor throws FileError naming the file and
/// the section when it is missing or does not hold what was asked for.
class SectionMap {
 public:
  SectionMap(ByteReader& reader, std::string_view kind, uint32_t schema)
      : file_(reader.file()), sections_(unpack_sections(reader, kind, schema)) {}

  const std::vector<Section>& sections() const { return sections_; }
  bool has(std::string_view name) const;
  const std::vector<std::byte>& bytes(std::string_view name) const;
  /// Exactly `count` elements of T.
  template <class T>
  std::vector<T> values(std::string_view name, size_t count) const {
    std::vector<T> out(count);
    copy_out(name, std::as_writable_bytes(std::span(out)));
    return out;
  }
  /// An integer stored as i64, in [least, most].
  int64_t integer(std::string_view name, int64_t least, int64_t most) const;
  std::string text(std::string_view name) const;
  /// errors: the section's text is not `wanted`, e.g. the configuration the state must fit.
  void expect_text(std::string_view name, std::string_view wanted, std::string_view advice) const;
  /// errors: a section that is not one of these.
  void expect_only(std::span<const std::string_view> names) const;

  [[noreturn]] void fail(std::string_view name,
                         std::string_view reason,
                         std::string advice = {}) const;

 private:
  void copy_out(std::string_view name, std::span<std::byte> to) const;

  std::string file_;
  std::vector<Section> sections_;
};

/// Sections for the accessors above.
template <class T>
Section values_section(std::string name, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), {bytes.begin(), bytes.end()}};
}
Section integer_section(std::string name, int64_t value);
Section text_section(std::string name, std::string_view text);

}  // namespace satin
