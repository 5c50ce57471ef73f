// A project of its own on an installed satin: d(x^2)/dx at 3.
#include <cstdio>

#include <satin/satin.h>

int main() {
  const satin::Tensor x = satin::input({1});
  const satin::Tensor dx = satin::grad(satin::square(x), {x})[0];
  satin::Program program({dx}, satin::cpu::backend());
  program.write<float>(x, std::vector<float>{3});
  program.run();
  std::printf("dy/dx = %g\n", program.read<float>(dx)[0]);
}
