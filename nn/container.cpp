#include "nn/container.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "nn/checked.h"
#include "nn/tensor_file.h"
#include "nn/text.h"

namespace satin {
namespace {

constexpr uint32_t kContainerVersion = 1;
constexpr size_t kKindBytes = 16;
constexpr uint64_t kLongestName = 255, kMaxSections = 65536;
// The first byte is no text, and the line ends reveal a transfer in text mode.
constexpr std::array<char, 8> kMagic = {'\x93', 'S', 'A', 'T', '\r', '\n', '\x1a', '\n'};
constexpr std::array<char, 8> kEndMagic = {'S', 'A', 'T', 'I', 'N', 'E', 'N', 'D'};

struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t schema;
  uint64_t length;
  std::array<char, kKindBytes> kind;
  uint64_t sections;
  uint64_t reserved;
  uint64_t checksum;
};
static_assert(sizeof(Header) == 64);

struct SectionHead {
  uint64_t name_length;
  uint64_t data_length;
  uint64_t data_checksum;
  uint64_t checksum;  // of the three above and the name
};
static_assert(sizeof(SectionHead) == 32);

struct End {
  std::array<char, 8> magic;
  uint64_t checksum;
};

template <class T>
std::span<const std::byte> bytes_of(const T& x) {
  return std::as_bytes(std::span(&x, 1));
}

uint64_t header_checksum(const Header& h) {
  return checksum64(bytes_of(h).first(offsetof(Header, checksum)));
}

uint64_t head_checksum(const SectionHead& head, std::string_view name) {
  const uint64_t numbers = checksum64(bytes_of(head).first(offsetof(SectionHead, checksum)));
  return checksum64(std::as_bytes(std::span(name)), numbers);
}

constexpr uint64_t kLeastSection = sizeof(SectionHead) + 8;  // with a short name and no data

std::array<char, kKindBytes> padded_kind(std::string_view kind) {
  if (kind.empty() || kind.size() > kKindBytes)
    throw Error(
        cat("container: kind ", in_quotes(kind), " must have 1 to ", kKindBytes, " characters"));
  std::array<char, kKindBytes> out{};
  std::copy(kind.begin(), kind.end(), out.begin());
  return out;
}

// XXH64: four lanes over 32-byte stripes, merged, then the rest word by word.  Every step is a
// bijection of the state for fixed input and of the input for fixed state.
constexpr uint64_t kP1 = 0x9E3779B185EBCA87, kP2 = 0xC2B2AE3D27D4EB4F, kP3 = 0x165667B19E3779F9,
                   kP4 = 0x85EBCA77C2B2AE63, kP5 = 0x27D4EB2F165667C5;

uint64_t round_of(uint64_t lane, uint64_t word) { return std::rotl(lane + word * kP2, 31) * kP1; }

template <class T>
T load(const std::byte* p) {
  T x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

}  // namespace

uint64_t checksum64(std::span<const std::byte> bytes, uint64_t seed) {
  const std::byte* p = bytes.data();
  size_t left = bytes.size();
  uint64_t h = seed + kP5;
  if (left >= 32) {
    uint64_t lanes[4] = {seed + kP1 + kP2, seed + kP2, seed, seed - kP1};
    for (; left >= 32; left -= 32, p += 32)
      for (int i = 0; i < 4; ++i) lanes[i] = round_of(lanes[i], load<uint64_t>(p + 8 * i));
    h = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
        std::rotl(lanes[3], 18);
    for (const uint64_t lane : lanes) h = (h ^ round_of(0, lane)) * kP1 + kP4;
  }
  h += bytes.size();
  for (; left >= 8; left -= 8, p += 8)
    h = std::rotl(h ^ round_of(0, load<uint64_t>(p)), 27) * kP1 + kP4;
  if (left >= 4) {
    h = std::rotl(h ^ (load<uint32_t>(p) * kP1), 23) * kP2 + kP3;
    left -= 4;
    p += 4;
  }
  for (; left > 0; --left, ++p) h = std::rotl(h ^ (static_cast<uint64_t>(*p) * kP5), 11) * kP1;
  h = (h ^ (h >> 33)) * kP2;
  h = (h ^ (h >> 29)) * kP3;
  return h ^ (h >> 32);
}

std::vector<uint8_t> pack_sections(std::string_view kind,
                                   uint32_t schema,
                                   std::span<const Section> sections) {
  Header header{.magic = kMagic,
                .version = kContainerVersion,
                .schema = schema,
                .length = sizeof(Header) + sizeof(End),
                .kind = padded_kind(kind),
                .sections = sections.size(),
                .reserved = 0,
                .checksum = 0};
  if (sections.size() > kMaxSections)
    throw Error(cat("container: more than ", kMaxSections, " sections"));
  std::vector<std::string_view> names;
  names.reserve(sections.size());
  for (const Section& s : sections) {
    if (s.name.size() > kLongestName || !name_fault(s.name).empty())
      throw Error(cat("container: section name ", in_quotes(s.name), " must be 1 to ", kLongestName,
                      " bytes of UTF-8 without control characters"));
    names.push_back(s.name);
    header.length += sizeof(SectionHead) + checked::pad(s.name.size(), 8).value() +
                     checked::pad(s.data.size(), 8).value();
  }
  if (const size_t twice = first_duplicate(names); twice < names.size())
    throw Error(cat("container: section ", in_quotes(names[twice]), " is there twice"));
  header.checksum = header_checksum(header);

  std::vector<uint8_t> out;
  out.reserve(header.length);
  const auto append = [&](std::span<const std::byte> bytes) {
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.data());
    out.insert(out.end(), from, from + bytes.size());
    out.resize(checked::pad(out.size(), 8).value());
  };
  append(bytes_of(header));
  End end{.magic = kEndMagic, .checksum = header.checksum};
  for (const Section& s : sections) {
    SectionHead head{.name_length = s.name.size(),
                     .data_length = s.data.size(),
                     .data_checksum = checksum64(s.data),
                     .checksum = 0};
    head.checksum = head_checksum(head, s.name);
    append(bytes_of(head));
    append(std::as_bytes(std::span(s.name)));
    append(s.data);
    end.checksum = checksum64(bytes_of(head.checksum), end.checksum);
  }
  append(bytes_of(end));
  return out;
}

std::vector<Section> unpack_sections(ByteReader& in, std::string_view kind, uint32_t schema) {
  if (in.size() == 0) in.fail(0, "the file is empty");
  Header header;
  in.read(&header, sizeof header, "the header");
  if (header.magic != kMagic)
    in.fail(0, "not a training state: the first eight bytes are others", "name a state file");
  if (header.checksum != header_checksum(header)) in.fail(0, "the header's checksum is wrong");
  if (header.version != kContainerVersion)
    in.fail(8,
            cat("container version ", header.version, ", this program reads ", kContainerVersion),
            "use the program that wrote it");
  if (header.kind != padded_kind(kind))
    in.fail(24,
            cat("a container of kind ",
                in_quotes(std::string(header.kind.data(), header.kind.size()).c_str()), ", not ",
                in_quotes(kind)),
            "name a state file");
  if (header.schema != schema)
    in.fail(12, cat("schema ", header.schema, ", this program reads ", schema),
            "use the program that wrote it");
  if (header.length != in.size())
    in.fail(in.size(), cat("the file has ", in.size(), " bytes, its header says ", header.length));
  if (header.reserved != 0) in.fail(48, "the reserved field is not zero");
  if (header.sections > kMaxSections || header.sections > in.left() / kLeastSection)
    in.fail(40, cat(header.sections, " sections are more than the file can hold"));

  std::vector<Section> sections;
  sections.reserve(header.sections);
  std::vector<uint64_t> offsets;
  uint64_t total = header.checksum;
  for (uint64_t i = 0; i < header.sections; ++i) {
    const uint64_t at = in.offset();
    offsets.push_back(at);
    SectionHead head;
    in.read(&head, sizeof head, "a section");
    if (head.name_length > kLongestName)
      in.fail(at,
              cat("a section name of ", head.name_length, " bytes, the limit is ", kLongestName));
    Section s{.name = in.get_text(head.name_length, "a section's name"), .data = {}};
    if (head.checksum != head_checksum(head, s.name))
      in.fail(at, "the checksum of a section's name and length is wrong");
    if (const std::string fault = name_fault(s.name); !fault.empty())
      in.fail(at, cat("the name of section ", in_quotes(s.name), " ", fault));
    in.expect_zeros(checked::pad(s.name.size(), 8).value() - s.name.size(),
                    "the padding of a section's name");

    const uint64_t data_at = in.offset();
    const auto padded = checked::pad(head.data_length, 8);
    if (!padded || *padded > in.left())
      in.fail(at, cat("section ", in_quotes(s.name), " of ", head.data_length, " bytes, ",
                      in.left(), " are left"));
    s.data.resize(head.data_length);
    in.read(s.data.data(), s.data.size(), "a section's data");
    if (checksum64(s.data) != head.data_checksum)
      in.fail(data_at, cat("the checksum of section ", in_quotes(s.name), " is wrong"));
    in.expect_zeros(*padded - head.data_length, "the padding of a section");
    total = checksum64(bytes_of(head.checksum), total);
    sections.push_back(std::move(s));
  }
  const uint64_t at = in.offset();
  End end;
  in.read(&end, sizeof end, "the end mark");
  if (end.magic != kEndMagic) in.fail(at, "the end mark is missing");
  if (end.checksum != total) in.fail(at, "the end mark's checksum is wrong");
  in.expect_end("the end mark");

  std::vector<std::string_view> names;
  names.reserve(sections.size());
  for (const Section& s : sections) names.push_back(s.name);
  if (const size_t twice = first_duplicate(names); twice < names.size())
    in.fail(offsets[twice], cat("section ", in_quotes(names[twice]), " is there twice"));
  return sections;
}

bool SectionMap::has(std::string_view name) const {
  return std::any_of(sections_.begin(), sections_.end(),
                     [&](const Section& s) { return s.name == name; });
}

const std::vector<std::byte>& SectionMap::bytes(std::string_view name) const {
  for (const Section& s : sections_)
    if (s.name == name) return s.data;
  fail(name, "is missing");
}

int64_t SectionMap::integer(std::string_view name, int64_t least, int64_t most) const {
  const int64_t x = values<int64_t>(name, 1)[0];
  if (x < least || x > most) fail(name, cat("is ", x, ", outside ", least, " to ", most));
  return x;
}

std::string SectionMap::text(std::string_view name) const {
  const std::vector<std::byte>& data = bytes(name);
  std::string out(reinterpret_cast<const char*>(data.data()), data.size());
  if (!valid_utf8(out)) fail(name, "is not UTF-8");
  return out;
}

void SectionMap::expect_text(std::string_view name,
                             std::string_view wanted,
                             std::string_view advice) const {
  const std::string found = text(name);
  if (found != wanted)
    fail(name, cat("is ", in_quotes(found), ", not ", in_quotes(wanted)), std::string(advice));
}

void SectionMap::expect_only(std::span<const std::string_view> names) const {
  for (const Section& s : sections_)
    if (std::find(names.begin(), names.end(), s.name) == names.end()) fail(s.name, "is not known");
}

void SectionMap::fail(std::string_view name, std::string_view reason, std::string advice) const {
  if (advice.empty()) advice = "use the program and configuration that wrote the state";
  throw FileError(file_, {}, cat("section ", in_quotes(name), " ", reason), std::move(advice));
}

void SectionMap::copy_out(std::string_view name, std::span<std::byte> to) const {
  const std::vector<std::byte>& data = bytes(name);
  if (data.size() != to.size())
    fail(name, cat("has ", data.size(), " bytes, ", to.size(), " are needed"));
  std::copy(data.begin(), data.end(), to.begin());
}

Section integer_section(std::string name, int64_t value) {
  return values_section(std::move(name), std::span<const int64_t>(&value, 1));
}

Section text_section(std::string name, std::string_view text) {
  return values_section(std::move(name), std::span<const char>(text));
}

}  // namespace satin
