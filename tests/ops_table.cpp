// The table: no row without cases, and docs/ops.md in step with it.
#include <fstream>
#include <iterator>

#include "opcheck.h"
#include "ops_docs.h"
#include "tensor/op.h"

namespace satin {
namespace {

TEST_CASE("ops: every row of tensor/ops.def has cases") {
  for (const OpInfo& row : all_ops()) {
    const auto op = static_cast<Op>(&row - all_ops().data());
    CHECK_MESSAGE(opcheck::has_cases(op), row.name, " has no OPCHECK in tests/", row.stem, ".cpp");
    CHECK(name_of(op) == row.name);
  }
}

TEST_CASE("ops: docs/ops.md is in step") {
  std::ifstream file(SATIN_SOURCE_DIR "/docs/ops.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const bool equal = page == testing::ops_page(SATIN_SOURCE_DIR);
  CHECK_MESSAGE(equal, "docs/ops.md differs from the table and the headers: run make docs");
}

}  // namespace
}  // namespace satin
