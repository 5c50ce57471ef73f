// Inside opcheck: the name of a case, its inputs, error measures, and the tally.
#pragma once

#include <string>
#include <vector>

#include "opcheck.h"

namespace satin::opcheck {

/// Where in the cases we are; enough to replay it.
struct CaseName {
  Op row;
  int index;
  uint64_t seed;
  DType dtype = DType::f64;
  std::string path = {};  ///< instruction set, or input
};

/// Whether this program's kernels run on a GPU (gpu_tests): then that is all that is checked, since
/// everything else is the host's and has been checked where the program was built.
bool on_gpu();

/// Runs every check of one case.
void check_case(const Case& c, const CaseName& name);

enum class Draw { reals, integers };

/// The inputs of a case: given, or drawn from its ranges with the seed.
Arrays draw(const Case& c, uint64_t seed, Draw what = Draw::reals);

/// The worst error by the measure of `bound`; infinite where a NaN is.  `input`: what ulp_of_input
/// looks at.
double error_of(const Bound& bound,
                const std::vector<double>& expected,
                const std::vector<double>& values,
                const Array* input);

/// The worst error relative to the element or to the root mean square of all, whichever is larger.
double worst_f64(const std::vector<double>& expected, const std::vector<double>& values);

/// One check of one case compared `size` elements: red if `error` is not within `bar`.
void compare(const CaseName& name, const char* check, double error, double bar, size_t size);
void passes(const CaseName& name, const char* check, size_t size);
void fails(const CaseName& name, const char* check, const std::string& why);

}  // namespace satin::opcheck
