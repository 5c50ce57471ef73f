// One picture through the network: padding, the run, strength, rounding.  Programs are compiled per
// padded size and share one copy of the weights; the last one is kept, since pictures of a batch
// mostly have one size and each Program holds its own arena.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mgpnet/command.h"
#include "mgpnet/image.h"
#include "mgpnet/model.h"
#include "tensor/program.h"

namespace mgpnet {

/// The side the network is given: a multiple of 64, as the authors pad.
inline int padded(int side) { return (side + 63) / 64 * 64; }

/// Where the mirrored continuation of 0..n-1 (edge not repeated, as often as needed) has place i.
inline int reflected(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * (n - 1);
  i %= period;
  return i < n ? i : period - i;
}

class Smoother {
 public:
  Smoother(const Model& model, const Globals& globals);

  /// in + strength * (network(in) - in), clamped, rounded to nearest, with `bits` bits (8, 16; 0:
  /// as the input).  Gray comes back gray (the mean of R, G and B), alpha is untouched. errors:
  /// Failure(kMemory) over --max-mem or what the machine has, before anything is allocated;
  /// Failure(kNotANumber) if the network's output is not finite; Interrupted
  Image smooth(const Image& in, float strength = 1, int bits = 0);

  /// Bytes the whole process needs for a picture of this size, known without running.
  int64_t needed_bytes(int width, int height, int channels = 3) const;
  /// Throws what smooth() would throw for lack of memory.
  void require_memory(int width, int height, int channels, const std::string& name) const;

 private:
  void compile(int width, int height);
  /// Values of the picture in [0, 1], RGB, continued by reflection.
  void fill(const Image& in);

  const Globals& globals_;
  const satin::Backend& backend_;
  satin::ThreadPool pool_;
  satin::Parameters parameters_;
  NetworkConfig config_;
  satin::Store store_;
  int width_ = 0, height_ = 0;  // padded, of program_
  satin::Tensor input_, output_;
  std::unique_ptr<satin::Program> program_;
  mutable int planned_width_ = 0, planned_height_ = 0;  // of the plan needed_bytes() made last
  mutable int64_t planned_bytes_ = 0, planned_within_ = 0;
};

}  // namespace mgpnet
