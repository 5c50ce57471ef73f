// Two ways to run a graph in a test: through a Program, and node by node with every value in a
// buffer of its own between guard bands.  The second knows nothing of the planner, so it is what
// Programs are compared with; and it sees kernels that write where they should not, or do not write
// at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/program.h"

namespace satin::testing {

using Bytes = std::vector<std::byte>;

/// Host values in f64 and their bytes in a dtype (rounded), both ways.
Bytes encode(const std::vector<double>& values, DType dtype);
std::vector<double> decode(const Bytes& bytes, DType dtype);

/// Whether a Program needs this leaf at all; only then it may be written.
bool reads(const Program& program, const Tensor& leaf);

/// The outputs of a graph whose leaves `inputs` hold `values`, by one run of a Program.
std::vector<Bytes> run_program(const Tensors& outputs,
                               const Tensors& inputs,
                               const std::vector<Bytes>& values,
                               const Backend& backend,
                               const Exec& exec = {},
                               Options options = {});

/// The same in f64, on the default backend: for tests of a few numbers.
std::vector<std::vector<double>> values_of(const Tensors& outputs,
                                           const Tensors& inputs = {},
                                           const std::vector<std::vector<double>>& values = {},
                                           Options options = {});

struct Evaluation {
  std::vector<Bytes> outputs;
  int runs = 0;           ///< kernels that ran
  int runs_in_place = 0;  ///< pointwise kernels run again over one of their inputs
  std::string fault;  ///< the first guard band, input or in-place result that was wrong, or empty
};

/// The same, every kernel on its own: outputs filled with NaN before, 64 guarding bytes on both
/// sides of outputs and scratch, inputs compared afterwards, pointwise kernels also run in place.
Evaluation evaluate(const Tensors& outputs,
                    const Tensors& inputs,
                    const std::vector<Bytes>& values,
                    const Backend& backend,
                    const Exec& exec = {});

/// The same graph with all inputs but the first as parameters, so that weights are packed and what
/// depends on them alone is computed once: what differs from `expected`, or nothing.
std::string fault_with_weights(const std::function<Tensors(const Tensors&)>& build,
                               const Tensors& inputs,
                               const std::vector<Bytes>& values,
                               const Backend& backend,
                               const Exec& exec,
                               const std::vector<Bytes>& expected);

/// operator new calls of the whole process so far.
int64_t allocations();

/// A small generator with the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du) {}
  uint64_t bits() {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(bits() >> 11) * 0x1p-53;
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }

 private:
  uint64_t state_;
};

}  // namespace satin::testing
