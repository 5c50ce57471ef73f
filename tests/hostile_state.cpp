// Hostile state containers, written byte by byte, with checksums made right again where the row is
// about what lies behind them.
#include <limits>
#include <span>

#include "hostile_files.h"
#include "nn/container.h"

namespace satin::testing {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

struct Part {
  std::string name;
  Bytes data;
  std::optional<uint64_t> name_length = {}, data_length = {};
};

struct State {
  Bytes magic = Bytes().raw("\x93SAT\r\n\x1a\n");
  uint32_t version = 1, schema = 7;
  std::string kind = "test-state";
  uint64_t reserved = 0;
  std::optional<uint64_t> count = {}, length = {};
  std::vector<Part> parts = {{"config", Bytes().raw("levels = 3")},
                             {"position", Bytes().u64(41)},
                             {"weights", Bytes().f32(1).f32(2).f32(3)},
                             {"moments", Bytes().f32(4).f32(5).f32(6)}};
  bool end_mark = true;
  uint8_t padding = 0;

  static uint64_t sum(const Bytes& bytes, uint64_t seed = 0) {
    return checksum64(std::as_bytes(std::span(bytes.data(), bytes.size())), seed);
  }

  Bytes bytes() const {
    Bytes body;
    std::vector<uint64_t> sums;
    const auto pad = [&] {
      while (body.size() % 8 != 0) body.push_back(padding);
    };
    for (const Part& part : parts) {
      Bytes head;
      head.u64(part.name_length.value_or(part.name.size()));
      head.u64(part.data_length.value_or(part.data.size())).u64(sum(part.data));
      sums.push_back(sum(Bytes().raw(part.name), sum(head)));
      body.append(head).u64(sums.back()).raw(part.name);
      pad();
      body.append(part.data);
      pad();
    }
    Bytes out;
    out.append(magic).u32(version).u32(schema);
    out.u64(length.value_or(64 + body.size() + (end_mark ? 16 : 0)));
    out.raw(kind).zeros(16 - kind.size()).u64(count.value_or(parts.size())).u64(reserved);
    uint64_t total = sum(out);
    out.u64(total).append(body);
    for (const uint64_t s : sums) total = sum(Bytes().u64(s), total);
    if (end_mark) out.raw("SATINEND").u64(total);
    return out;
  }
};

HostileFile row(std::string name, std::string reason, std::function<void(State&)> spoil) {
  return {std::move(name), std::move(reason), [spoil = std::move(spoil)] {
            State state;
            spoil(state);
            return state.bytes();
          }};
}

}  // namespace

Bytes state_bytes() { return State().bytes(); }

std::vector<HostileFile> hostile_state() {
  return {
      {"empty", "the file is empty", [] { return Bytes(); }},
      {"another file", "not a training state", [] { return gguf_bytes(); }},
      row("magic changed by a text transfer", "not a training state",
          [](State& s) { s.magic[4] = '\n'; }),
      row("other container version", "container version 2", [](State& s) { s.version = 2; }),
      row("other schema", "schema 8, this program reads 7", [](State& s) { s.schema = 8; }),
      row("other kind", "a container of kind \"other\", not \"test-state\"",
          [](State& s) { s.kind = "other"; }),
      row("length too small", "its header says", [](State& s) { s.length = 64; }),
      row("length of 2^64-1", "its header says", [](State& s) { s.length = kHuge; }),
      row("reserved field set", "reserved field", [](State& s) { s.reserved = 1; }),
      row("end mark missing", "ends inside the end mark", [](State& s) { s.end_mark = false; }),
      row("fewer sections than counted", "", [](State& s) { s.count = 5; }),
      row("more sections than counted", "end mark is missing", [](State& s) { s.count = 3; }),
      row("2^64-1 sections", "more than the file can hold", [](State& s) { s.count = kHuge; }),
      row("section name of 2^64-1", "a section name of",
          [](State& s) { s.parts[0].name_length = kHuge; }),
      row("section name empty", "is empty", [](State& s) { s.parts[0].name = ""; }),
      row("section name with NUL", "holds a NUL byte",
          [](State& s) { s.parts[0].name = std::string("a\0b", 3); }),
      row("section twice", "\"weights\" is there twice",
          [](State& s) { s.parts[3].name = "weights"; }),
      row("section of 2^64-1", "are left", [](State& s) { s.parts[3].data_length = kHuge; }),
      row("section of 2^64-8", "are left", [](State& s) { s.parts[3].data_length = kHuge - 7; }),
      row("section longer than the file", "are left",
          [](State& s) { s.parts[3].data_length = 1000; }),
      row("section longer by a byte", "the checksum of section \"moments\"",
          [](State& s) { s.parts[3].data_length = 13; }),
      row("padding not zero", "is not zero", [](State& s) { s.padding = 1; }),
      {"a trailing byte", "its header says", [] { return state_bytes().zeros(1); }},
      {"two states in one file", "its header says",
       [] { return state_bytes().append(state_bytes()); }},

      row("weights missing", "section \"weights\" is missing",
          [](State& s) { s.parts[2].name = "wieghts"; }),
      row("moments short", "section \"moments\" has 8 bytes, 12 are needed",
          [](State& s) { s.parts[3].data.resize(8); }),
      row("moments long", "section \"moments\" has 16 bytes, 12 are needed",
          [](State& s) { s.parts[3].data.u32(0); }),
      row("position negative", "section \"position\" is -1, outside 0 to 100",
          [](State& s) { s.parts[1].data = Bytes().u64(kHuge); }),
      row("position too far", "section \"position\" is 101, outside 0 to 100",
          [](State& s) { s.parts[1].data = Bytes().u64(101); }),
      row("position of 4 bytes", "section \"position\" has 4 bytes, 8 are needed",
          [](State& s) { s.parts[1].data = Bytes().u32(1); }),
      row("other configuration", "is \"levels = 4\", not \"levels = 3\"",
          [](State& s) { s.parts[0].data = Bytes().raw("levels = 4"); }),
      row("configuration not UTF-8", "is not UTF-8",
          [](State& s) { s.parts[0].data = Bytes().raw("\xff"); }),
      row("an unknown section", "section \"more\" is not known",
          [](State& s) {
            s.parts.push_back({"more", Bytes().u64(1)});
          }),
  };
}

}  // namespace satin::testing
