// The headers' examples and gradients of the losses.
#include "nn/losses.h"

#include "autograd/grad.h"
#include "evaluate.h"
#include "opcheck.h"

namespace satin {
namespace {

TEST_CASE("losses: the header's examples, their gradients, shapes that differ") {
  const Tensor y = input({2}, DType::f64), t = input({2}, DType::f64);
  const std::pair<Tensor (*)(const Tensor&, const Tensor&), std::vector<double>> cases[] = {
      {l1_loss, {1.5, -0.5, 0.5}}, {l2_loss, {2.5, -2, 1}}};
  for (const auto& [loss, expected] : cases) {
    const Tensor value = loss(y, t);
    CHECK(value.shape() == Shape{});
    const auto v = testing::values_of({value, grad(value, {y})[0]}, {y, t}, {{1, 2}, {3, 1}});
    CHECK(v[0] == std::vector<double>{expected[0]});
    CHECK(v[1] == std::vector<double>{expected[1], expected[2]});
    CHECK_THROWS_AS(loss(y, input({1}, DType::f64)), Error);
  }
}

}  // namespace
}  // namespace satin
