// The table: no row without cases.
#include "opcheck.h"
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

}  // namespace
}  // namespace satin
