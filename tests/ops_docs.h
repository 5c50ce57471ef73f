// docs/ops.md, made from the table and the headers: satin_docs writes it, a test compares.
#pragma once

#include <string>

namespace satin::testing {

/// The page, from tensor/ops.def (as compiled in) and the headers under source_dir/tensor.
std::string ops_page(const std::string& source_dir);

}  // namespace satin::testing
