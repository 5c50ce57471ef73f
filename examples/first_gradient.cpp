// A gradient in thirty lines: build a graph, differentiate it, run both.
#include <cstdio>

#include <satin/satin.h>

int main() {
  using namespace satin;

  // y = sum of sigmoid(x w): a graph; nothing is computed yet.
  const Tensor x = input({2, 3});
  const Tensor w = input({3, 1});
  const Tensor y = sum(sigmoid(matmul(x, w)));

  // dy/dw is a graph too, so it can be differentiated again.
  const Tensor dw = grad(y, {w})[0];
  const Tensor curvature = grad(sum(square(dw)), {w})[0];

  Program program({y, dw, curvature}, cpu::backend());
  program.write<float>(x, std::vector<float>{1, 2, 3, 4, 5, 6});
  program.write<float>(w, std::vector<float>{0.1f, -0.3f, 0.2f});
  program.run();

  std::printf("y = %g\n", program.read<float>(y)[0]);
  for (const float d : program.read<float>(dw)) std::printf("dy/dw = %g\n", d);
  for (const float c : program.read<float>(curvature)) std::printf("d|dy/dw|^2/dw = %g\n", c);
}
