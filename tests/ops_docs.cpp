#include "ops_docs.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

#include "tensor/error.h"
#include "tensor/op.h"

namespace satin::testing {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(cat(path, ": cannot be opened"));
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The comment that a header opens with, as running text.
std::string opening(const std::string& header) {
  std::istringstream lines(header);
  std::string text;
  for (std::string line; std::getline(lines, line) && line.rfind("//", 0) == 0;)
    text += line.substr(std::min<size_t>(line.size(), 3)) + "\n";
  return text;
}

/// What a header declares: between its namespace's braces.
std::string declarations(const std::string& header) {
  const std::string begin = "namespace satin {\n", end = "\n}  // namespace satin";
  const size_t from = header.find(begin), to = header.rfind(end);
  if (from == std::string::npos || to == std::string::npos) return "";
  std::string text = header.substr(from + begin.size(), to - from - begin.size());
  while (!text.empty() && text.front() == '\n') text.erase(0, 1);
  return text;
}

std::string arity(Arity a) {
  if (a.min == a.max) return cat(a.min);
  return a.max > 100 ? cat(a.min, " or more") : cat(a.min, " to ", a.max);
}

const char* kind(OpKind k) {
  constexpr const char* kNames[] = {"primitive", "pointwise", "view", "composite"};
  return kNames[static_cast<int>(k)];
}

const char* rule(RuleKind r) {
  constexpr const char* kNames[] = {"own rule", "of its composition", "none"};
  return kNames[static_cast<int>(r)];
}

}  // namespace

std::string ops_page(const std::string& source_dir) {
  std::ostringstream page;
  page << "# Operations\n\nMade by `make docs` from `tensor/ops.def` and the headers of `tensor/`; "
          "do not edit.\n\n"
       << all_ops().size() << " operations.  "
       << "How to add one: [add-an-op.md](add-an-op.md).\n";
  std::set<std::string_view> done;
  for (const OpInfo& first : all_ops()) {
    if (!done.insert(first.stem).second) continue;
    const std::string header = text_of(cat(source_dir, "/tensor/", first.stem, ".h"));
    page << "\n## " << first.stem << "\n\n"
         << opening(header) << "\n"
         << "| operation | inputs | outputs | dtypes | kind | derivative | kernel |\n"
         << "|---|---|---|---|---|---|---|\n";
    for (const OpInfo& row : all_ops())
      if (row.stem == first.stem)
        page << "| `" << row.name << "` | " << arity(row.inputs) << " | " << row.outputs << " | "
             << (row.storage_dtypes ? "f32 f64 bf16 f16" : "f32 f64") << " | " << kind(row.kind)
             << " | " << rule(row.rule) << " | "
             << (row.has_scratch  ? "with scratch"
                 : row.has_kernel ? "yes"
                                  : "its composition")
             << " |\n";
    page << "\n```cpp\n" << declarations(header) << "\n```\n";
  }
  return page.str();
}

}  // namespace satin::testing
