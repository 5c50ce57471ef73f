// The cases of where.
#include "tensor/where.h"

#include "opcheck.h"

namespace satin {
namespace {

using opcheck::Array;
using opcheck::Arrays;
using opcheck::Bound;
using opcheck::Cases;
using opcheck::Index;

double broadcast_at(const Array& a, const Shape& shape, const Index& index) {
  Index own{};
  for (int i = 0; i < a.shape.rank(); ++i)
    own[i] = a.shape[i] == 1 ? 0 : index[i + shape.rank() - a.shape.rank()];
  return a[opcheck::offset_of(a.shape, own)];
}

OPCHECK(where) {
  Cases cases;
  const auto add = [&](const Shape& c, const Shape& x, const Shape& y) {
    cases.push_back(
        {.in = {{.shape = c, .flat = true}, {.shape = x}, {.shape = y}},
         .build = [](const Tensors& t) { return Tensors{where(t[0], t[1], t[2])}; },
         .oracle =
             [](const Arrays& a) {
               const Shape shape =
                   broadcast_shape(a[0].shape, broadcast_shape(a[1].shape, a[2].shape));
               Array z = opcheck::zeros(shape);
               opcheck::for_each_index(shape, [&](const Index& i) {
                 z[opcheck::offset_of(shape, i)] =
                     broadcast_at(a[broadcast_at(a[0], shape, i) != 0 ? 1 : 2], shape, i);
               });
               return Arrays{z};
             },
         .f32 = {Bound::ulp, 0},
         .exact = true,
         .adjust = [](Arrays& a) {  // conditions far from 0 would hide the choice: 1000s and zeros
           for (double& value : a[0].data) value = value > 0 ? 1000 : 0;
         }});
    cases.back().in[0].flat = true;
  };
  add({2}, {2}, {2});
  cases[0].given = {{1, 0}, {2, 3}, {4, 5}};
  cases[0].expected = {2, 5};
  for (const Shape& shape : opcheck::usual_shapes()) add(shape, shape, shape);
  add({}, {3}, {3});
  add({3, 1}, {1, 4}, {});
  add({4}, {2, 4}, {2, 1});
  add({2, 1, 3}, {5, 1}, {3});
  add({0}, {1}, {});
  return cases;
}

TEST_CASE("where: errors") {
  const Tensor x = input({2});
  opcheck::expect_error([&] { where(input({3}), x, x); },
                        "where: shapes [3] and [2] do not broadcast");
  opcheck::expect_error([&] { where(x, x, input({2}, DType::f64)); }, "cast one of them");
  opcheck::expect_error([&] { where(x, Tensor(), x); }, "where: an operand is an empty Tensor");
}

}  // namespace
}  // namespace satin
