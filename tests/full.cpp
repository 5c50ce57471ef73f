// The cases of full.
#include "tensor/full.h"

#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;

// full has no inputs to tell the dtype by: each case builds one, in f64 and through f32 alike.
OPCHECK(full) {
  Cases cases;
  const auto add = [&](const Shape& shape, double value) {
    cases.push_back(
        {.in = {{.shape = shape, .flat = true}},
         .build = [=](const Tensors& x) { return Tensors{full(shape, value, x[0].dtype())}; },
         .oracle =
             [=](const Arrays&) {
               opcheck::Array y = opcheck::zeros(shape);
               for (double& element : y.data) element = value;
               return Arrays{y};
             },
         .f32 = {Bound::ulp, 0},
         .exact = true});
  };
  add({2}, 0.5);
  cases[0].given = {{0, 0}};
  cases[0].expected = {0.5, 0.5};
  double value = -3;
  for (const Shape& shape : opcheck::usual_shapes()) add(shape, value += 0.25);
  return cases;
}

TEST_CASE("full and constant: f64 values are rounded once") {
  // Through f32 this would be a tie, and go to 1.
  const double above_a_tie = 1 + 0x1p-8 + 0x1p-40;
  for (const DType t : {DType::bf16, DType::f16}) {
    const double x = t == DType::bf16 ? above_a_tie : 1 + 0x1p-11 + 0x1p-40;
    const double up = t == DType::bf16 ? 1 + 0x1p-7 : 1 + 0x1p-10;
    CHECK(testing::values_of({full({}, x, t)})[0][0] == up);
    CHECK(testing::values_of({constant({x}, {1}, t)})[0][0] == up);
  }
}

TEST_CASE("constant: errors") {
  opcheck::expect_error([] { constant({1, 2}, {3}); }, "constant: 2 values for shape [3]");
}

}  // namespace
}  // namespace satin
