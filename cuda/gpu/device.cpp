// A GPU by way of the CUDA runtime, which is linked statically and looks for the driver when it is
// first asked: the program starts where there is none, and gpus() says so.
#include "cuda/device.h"

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
  void use() const { cudaSetDevice(gpu_.number); }  // of this thread; costs next to nothing

  Gpu gpu_;
  cudaStream_t stream_ = nullptr;
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
