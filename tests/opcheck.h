// opcheck: how we know that an operation is right.
//
// A test file states cases: inputs by shape and range, a function that builds the graph, and an
// oracle, naive loops over f64 arrays.  From each case opcheck derives every check that applies, on
// every instruction set and on the plain loops:
//
// clang-format off
//   forward     against the oracle, f64 and f32 (and bf16, f16 where the row stores them)
//   derivative  <u, Jv> by finite differences = <J'u, v> by the rule, input by input, random u and v
//   second      the same of the gradient graph
//   mutation    both again with the rule scaled by 1 + 1e-3: must fail
//   linear      <Ax, y> = <x, A'y>
//   exact       small integers: bit-equal to the oracle in every dtype
//   views       inputs that are permuted, strided, offset or broadcast values: the same bits
//   memory      every kernel alone between guard bands, outputs filled with NaN, also in place; the
//               planned Program gives the same bits; its runs allocate nothing
//   cuda        forward again with the CUDA kernels on the simulator, in two orders of threads
//   precisions  products in bf16 (cpu, cuda) and tf32 (cuda): forward, exact and memory once more
//   weights     inputs that are parameters (packed, computed once): the same bits
//   threads     1, 2, 3 and 7 threads: the same bits
// clang-format on
//
// A case is replayed by the command that its failure prints.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tensor/node.h"

namespace satin::opcheck {

/// What oracles read and return: f64 elements, row-major.
struct Array {
  Shape shape;
  std::vector<double> data;

  double& operator[](int64_t i) { return data[static_cast<size_t>(i)]; }
  double operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
};
using Arrays = std::vector<Array>;
Array zeros(const Shape& shape);

/// An input: elements drawn from [low, high], or multiples of `step` off `offset` in there (so that
/// differences stay away from kinks).
struct In {
  Shape shape = {};
  double low = -2, high = 2;
  double step = 0, offset = 0;
  bool flat = false;    ///< the outputs are locally constant in it: its gradient must be zero
  bool linear = false;  ///< the outputs are linear in it
};

/// The bar of the f32 forward check.
struct Bound {
  enum Kind {
    ulp,           ///< units in the last place of the result
    ulp_of_input,  ///< the same, of the larger of result and input 0: error by cancellation
    ulp_of_one,    ///< the same, of the larger of result and 1
    nmse,          ///< sum of squared errors over sum of squares
  } kind = ulp;
  double limit = 4;
};

using Build = std::function<Tensors(const Tensors&)>;
using Oracle = std::function<Arrays(const Arrays&)>;

struct Case {
  std::vector<In> in = {};
  Build build = {};
  Oracle oracle = {};
  Bound f32 = {Bound::nmse, 1e-11};
  bool exact = false;   ///< integers in, integers out
  bool coarse = false;  ///< differences in steps of quarters, from integers: for what rounds
  bool smooth = true;   ///< false: too close to singular for differences
  double step = 1e-3;   ///< of differences; less where the fifth derivative is large
  std::function<void(Arrays&)> adjust = {};     ///< last changes to drawn inputs
  std::vector<std::vector<double>> given = {};  ///< instead of drawn inputs: the header's example
  std::vector<double> expected = {};            ///< and what the header says comes out first
  double expected_within = 1e-6;
};
using Cases = std::vector<Case>;

/// Runs all cases of a row, or the one that OPCHECK_CASE=row#index names.
void check(Op row, const std::function<Cases()>& cases);

/// Rows with cases, for the coverage test.
bool has_cases(Op row);
struct Register {
  explicit Register(Op row);
};

/// The number of (case, dtype, check) that compared something so far.
int64_t cases_checked();

/// f(index) for every index of a shape, in row-major order; offset_of is the way back.
using Index = std::array<int64_t, kMaxRank>;
void for_each_index(const Shape& shape, const std::function<void(const Index&)>& f);
int64_t offset_of(const Shape& shape, const Index& index);

/// Twenty shapes and more: ranks 0 to 6, an empty one, primes, and sizes around vector widths and
/// the pieces in which kernels share work among threads.
const std::vector<Shape>& usual_shapes();

/// Throws away nothing: CHECKs that `call` throws satin::Error whose text holds `sentence`.
void expect_error(const std::function<void()>& call, const std::string& sentence);

}  // namespace satin::opcheck

/// OPCHECK(row) { return Cases{...}; }
#define OPCHECK(row)                                                                          \
  static satin::opcheck::Cases opcheck_cases_##row();                                         \
  static const satin::opcheck::Register kOpcheckRegister_##row(satin::Op::row);               \
  TEST_CASE("opcheck " #row) { satin::opcheck::check(satin::Op::row, &opcheck_cases_##row); } \
  static satin::opcheck::Cases opcheck_cases_##row()
