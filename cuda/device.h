// What the CUDA backend (cuda.cpp) asks of a GPU.  Written twice: gpu/device.cpp on the CUDA
// runtime, sim/device.cpp on the simulator.  The linker chooses, so there is one backend, and every
// test of it without a GPU is a test of what runs on one.
#pragma once

#include <memory>

#include "cuda/cuda.h"

namespace satin::cuda {

/// One GPU with one stream, on which everything happens in order.  All but release() may throw
/// DeviceError.
class Device {
 public:
  virtual ~Device() = default;
  /// "cuda (NVIDIA H200)"
  virtual std::string name() const = 0;
  virtual int64_t free_bytes() = 0;

  virtual void* allocate(int64_t bytes) = 0;  ///< 256-byte aligned; null: no memory
  virtual void release(void* memory) = 0;     ///< when what was started is done
  virtual void upload(void* to, const void* host, int64_t bytes) = 0;  ///< host may change after it
  virtual void download(void* host, const void* from, int64_t bytes) = 0;  ///< returns with values
  virtual void synchronize() = 0;

  /// Page-locked memory of the host, and copies that nobody waits for (Backend::send, fetch).
  virtual std::shared_ptr<void> staging(int64_t bytes) = 0;
  virtual void send(void* to, const void* staged, int64_t bytes) = 0;
  virtual void fetch(void* staged, const void* from, int64_t bytes) = 0;
  virtual Backend::Mark mark() = 0;
  virtual void await(const Backend::Mark& mark) = 0;

  /// Kernels that this thread starts from now on go where exec says: its stream, if it names one.
  virtual void select(Exec& exec) = 0;
  /// Kernels are recorded instead of started; nothing but kernels may be asked for meanwhile.
  virtual void begin_recording() = 0;
  virtual std::unique_ptr<Recording> end_recording() = 0;
};

std::unique_ptr<Device> open_device(const Gpu& gpu);

}  // namespace satin::cuda
