// The graph: ids, module names, leaves, and that long chains are released without recursion.
#include "tensor/node.h"

#include <thread>

#include "evaluate.h"
#include "opcheck.h"
#include "tensor/binary.h"
#include "tensor/cost.h"
#include "tensor/unary.h"

namespace satin {
namespace {

TEST_CASE("node: a chain of 100000 nodes is destroyed on a small stack") {
  // 256 KiB would not hold 100000 nested destructors.
  Tensor end = input({1});
  for (int i = 0; i < 100000; ++i) end = i % 3 == 0 ? add(end, end) : neg(end);
  CHECK(nodes_of({end}).size() == 100001);
  std::thread([t = std::move(end)]() mutable { t = {}; }).join();
  CHECK(!end);
}

TEST_CASE("node: ids rise in the order of building") {
  const Tensor a = input({2}), b = input({2}), c = add(a, b), d = neg(c);
  CHECK(a.node().id < b.node().id);
  CHECK(b.node().id < c.node().id);
  CHECK(c.node().id < d.node().id);
  const auto nodes = nodes_of({d});
  REQUIRE(nodes.size() == 4);
  CHECK(nodes[0] == a.node_ptr());
  CHECK(nodes[3] == d.node_ptr());
}

TEST_CASE("node: module names nest, come back, and stand in errors") {
  CHECK(current_module().empty());
  {
    const ModuleScope outer("encoder1");
    const ModuleScope inner("rcab");
    CHECK(current_module() == "encoder1.rcab");
    CHECK(*neg(input({1})).node().module == "encoder1.rcab");
    opcheck::expect_error([] { clamp(input({1}), 2, 1); },
                          "in encoder1.rcab: clamp: the lower bound");
  }
  CHECK(current_module().empty());
}

TEST_CASE("node: leaves") {
  opcheck::expect_error([] { parameter({3}, DType::f32, "w", testing::Bytes(8)); },
                        "parameter w: 8 bytes given, [3] of f32 needs 12");
  CHECK(testing::values_of({parameter({2}, DType::f64, "w")})[0] == std::vector<double>{0, 0});
  CHECK(testing::values_of({constant({1, 2}, {2}, DType::f16)})[0] == std::vector<double>{1, 2});
  opcheck::expect_error([] { Tensor().shape(); }, "an empty Tensor where a value is needed");
}

TEST_CASE("shape: errors") {
  opcheck::expect_error([] { Shape({1, 1, 1, 1, 1, 1, 1}); }, "a shape of 7 axes: at most 6");
  opcheck::expect_error([] { Shape({2, -1}); }, "shape [2,-1] has a negative extent");
  opcheck::expect_error(
      [] {
        Shape({int64_t{1} << 40, int64_t{1} << 40});
      },
      "more elements than any");
  opcheck::expect_error([] { Shape({0, int64_t{1} << 40, int64_t{1} << 40}); }, "more elements");
  opcheck::expect_error([] { Shape({2}).at(1); }, "axis 1 is not one of the 1 axes");
}

}  // namespace
}  // namespace satin
