// Memory of the simulated device for tests that launch kernels themselves.
#pragma once

#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "cuda/sim/sim.h"

namespace satin::testing {

/// Device memory of n elements.
template <class T>
struct Buffer {
  T* data;
  int64_t size;
  explicit Buffer(int64_t n)
      : data(static_cast<T*>(cuda::sim::allocate(static_cast<size_t>(n) * sizeof(T)))), size(n) {}
  explicit Buffer(const std::vector<T>& values) : Buffer(static_cast<int64_t>(values.size())) {
    write(values);
  }
  ~Buffer() { cuda::sim::release(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void write(const std::vector<T>& values) {
    cuda::sim::upload(data, values.data(), values.size() * sizeof(T));
  }
  void fill(T value) { write(std::vector<T>(static_cast<size_t>(size), value)); }
  std::vector<T> read() const {
    std::vector<T> values(static_cast<size_t>(size));
    cuda::sim::download(values.data(), data, values.size() * sizeof(T));
    return values;
  }
  T at(int64_t i) const {
    T value;
    cuda::sim::download(&value, data + i, sizeof value);
    return value;
  }
};

}  // namespace satin::testing
