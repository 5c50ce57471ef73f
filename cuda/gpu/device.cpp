// A GPU by way of the CUDA runtime, which is linked statically and looks for the driver when it is
// first asked: the program starts where there is none, and gpus() says so.
#include "cuda/device.h"

#include <array>

#include <cuda_runtime.h>

#include "cuda/kernels.h"

namespace satin::cuda {
namespace {

constexpr int kOldest = 8;  // compute capability 8.0: the oldest of the cubins (CMakePresets.json)

std::string version_text(int version) { return cat(version / 1000, '.', version % 1000 / 10); }

[[noreturn]] void fail(const std::string& what, cudaError_t error) {
  throw DeviceError(cat(what, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ")"));
}

/// An error that shows up here may be of any kernel that was started before.
void check(const char* what, cudaError_t error) {
  if (error != cudaSuccess)
    fail(cat(what, " failed, or a kernel before it; rerun with --debug-sync to learn which"),
         error);
}

class CudaRecording final : public Recording {
 public:
  CudaRecording(int gpu, cudaStream_t stream, cudaGraph_t graph) : gpu_(gpu), stream_(stream) {
    const cudaError_t error = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check("making a graph of a run", error);
  }
  ~CudaRecording() override { cudaGraphExecDestroy(graph_); }

  void replay(const Exec& exec) override {
    cudaSetDevice(gpu_);
    const auto stream = exec.stream ? static_cast<cudaStream_t>(exec.stream) : stream_;
    check("starting the graph of a run", cudaGraphLaunch(graph_, stream));
  }

 private:
  int gpu_;
  cudaStream_t stream_;
  cudaGraphExec_t graph_ = nullptr;
};

class RuntimeDevice final : public Device {
 public:
  explicit RuntimeDevice(const Gpu& gpu) : gpu_(gpu) {
    use();
    const cudaError_t error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    if (error != cudaSuccess)
      fail(cat("GPU ", gpu.number, " (", gpu.name, ") does not start"), error);
  }

  std::string name() const override { return cat("cuda (", gpu_.name, ")"); }
  int64_t free_bytes() override {
    use();
    size_t free = 0, all = 0;
    check("asking for free memory", cudaMemGetInfo(&free, &all));
    return static_cast<int64_t>(free);
  }

  void* allocate(int64_t bytes) override {
    use();
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, static_cast<size_t>(bytes));
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it is told, and not kept for the next kernel
      return nullptr;
    }
    check("cudaMalloc", error);
    return memory;
  }
  void release(void* memory) override {
    use();
    cudaStreamSynchronize(stream_);
    cudaFree(memory);
  }
  // The runtime copies pageable memory aside before it returns.
  void upload(void* to, const void* host, int64_t bytes) override {
    use();
    check("copying to the GPU",
          cudaMemcpyAsync(to, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_));
  }
  void download(void* host, const void* from, int64_t bytes) override {
    use();
    check("copying from the GPU",
          cudaMemcpyAsync(host, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_));
    check("copying from the GPU", cudaStreamSynchronize(stream_));
  }
  void synchronize() override {
    use();
    check("waiting for the GPU", cudaStreamSynchronize(stream_));
  }

  std::shared_ptr<void> staging(int64_t bytes) override {
    use();
    void* memory = nullptr;
    check("page-locked memory", cudaMallocHost(&memory, static_cast<size_t>(bytes)));
    return {memory, [this](void* p) {
              use();
              cudaStreamSynchronize(stream_);  // which waits for the copies it has asked for
              cudaFreeHost(p);
            }};
  }
  // Values cross over to a buffer on a stream of their own, while kernels run; the kernels' stream
  // then moves them to their place.  Buffers are used in turns, so that copies wait for none of the
  // kernels that still read what was sent before.
  void send(void* to, const void* staged, int64_t bytes) override {
    use();
    const auto size = static_cast<size_t>(bytes);
    Buffer& buffer = buffers_[next_buffer_];
    next_buffer_ = (next_buffer_ + 1) % buffers_.size();
    if (!copies_)
      check("a stream for copies", cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
    if (buffer.size < size) resize(buffer, size);
    check("copying to the GPU", cudaStreamWaitEvent(copies_, buffer.taken));
    check("copying to the GPU",
          cudaMemcpyAsync(buffer.memory, staged, size, cudaMemcpyHostToDevice, copies_));
    check("copying to the GPU", cudaEventRecord(buffer.arrived, copies_));
    check("copying to the GPU", cudaStreamWaitEvent(stream_, buffer.arrived));
    check("copying to the GPU",
          cudaMemcpyAsync(to, buffer.memory, size, cudaMemcpyDeviceToDevice, stream_));
    check("copying to the GPU", cudaEventRecord(buffer.taken, stream_));
  }
  void fetch(void* staged, const void* from, int64_t bytes) override {
    use();
    check("copying from the GPU", cudaMemcpyAsync(staged, from, static_cast<size_t>(bytes),
                                                  cudaMemcpyDeviceToHost, stream_));
  }
  Backend::Mark mark() override {
    use();
    const cudaEvent_t event = new_event();
    const Backend::Mark mark(event, [this](void* e) {
      use();
      cudaEventDestroy(static_cast<cudaEvent_t>(e));
    });
    check("marking a place in the stream", cudaEventRecord(event, stream_));
    return mark;
  }
  void await(const Backend::Mark& mark) override {
    use();
    if (mark)
      check("waiting for the GPU", cudaEventSynchronize(static_cast<cudaEvent_t>(mark.get())));
  }

  void select(Exec& exec) override {
    use();
    if (!exec.stream) exec.stream = stream_;
  }
  // Other threads may go on with the runtime: only what this one does is refused.
  void begin_recording() override {
    use();
    check("recording a run", cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  }
  std::unique_ptr<Recording> end_recording() override {
    cudaGraph_t graph = nullptr;
    check("recording a run", cudaStreamEndCapture(stream_, &graph));
    return std::make_unique<CudaRecording>(gpu_.number, stream_, graph);
  }

 private:
  /// What is sent on its way.
  struct Buffer {
    void* memory = nullptr;
    size_t size = 0;
    cudaEvent_t arrived = nullptr, taken = nullptr;
  };

  void use() const { cudaSetDevice(gpu_.number); }  // of this thread; costs next to nothing
  static cudaEvent_t new_event() {
    cudaEvent_t event = nullptr;
    check("an event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
  }
  void resize(Buffer& buffer, size_t size) {
    check("copying to the GPU", cudaStreamSynchronize(stream_));
    cudaFree(buffer.memory);
    buffer.size = 0;
    buffer.memory = allocate(static_cast<int64_t>(size));
    if (!buffer.memory)
      throw OutOfMemory(cat(name(), " has no ", size, " bytes left for what is sent to it"));
    buffer.size = size;
    if (!buffer.arrived) buffer.arrived = new_event();
    if (!buffer.taken) buffer.taken = new_event();
  }

  Gpu gpu_;
  cudaStream_t stream_ = nullptr;  ///< of kernels, and of copies that wait their turn
  cudaStream_t copies_ = nullptr;  ///< of those that cross over meanwhile
  std::array<Buffer, Backend::kSends> buffers_;
  size_t next_buffer_ = 0;
};

}  // namespace

Gpus gpus() {
  Gpus found;
  int driver = 0, count = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) {
    found.problem = "there is no NVIDIA driver: libcuda.so.1 was not found";
    return found;
  }
  found.driver = version_text(driver);
  if (driver < CUDART_VERSION / 1000 * 1000) {
    found.problem = cat("the driver is too old: it knows CUDA ", found.driver, ", and CUDA ",
                        CUDART_VERSION / 1000, ".0 is needed (driver 580 or newer)");
    return found;
  }
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    cudaGetLastError();
    found.problem = error == cudaSuccess || error == cudaErrorNoDevice
                        ? "the driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)"
                        : cat("the driver does not start: ", cudaGetErrorString(error));
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    if (p.major >= kOldest)
      found.list.push_back({i, p.name, p.major, p.minor, static_cast<int64_t>(p.totalGlobalMem)});
    else
      found.problem = cat(p.name, " is of compute capability ", p.major, '.', p.minor, ", and ",
                          kOldest, ".0 is needed");
  }
  if (!found.list.empty())
    found.problem.clear();
  else if (found.problem.empty())
    found.problem = "the driver does not say what its GPUs are";
  return found;
}

std::unique_ptr<Device> open_device(const Gpu& gpu) { return std::make_unique<RuntimeDevice>(gpu); }

int64_t shared_limit() {
  int gpu = 0, bytes = 0;
  check("asking for a GPU's limits", cudaGetDevice(&gpu));
  check("asking for a GPU's limits",
        cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu));
  return bytes;
}

void launched(const Call& call, const char* kernel) {
  cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess && call.exec->debug_sync)
    error = cudaStreamSynchronize(static_cast<cudaStream_t>(call.exec->stream));
  if (error == cudaSuccess) return;
  if (call.exec->debug_sync) fail(cat("kernel ", kernel), error);
  check(cat("starting kernel ", kernel).c_str(), error);
}

}  // namespace satin::cuda
