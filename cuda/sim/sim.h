// CUDA's names as plain C++, for .cu files that the host's compiler compiles: what a kernel sees of
// the device is here, and launch() runs it.
//
// One fiber per thread.  Blocks run one after the other in random order; within a block, which
// thread goes on is random whenever one stops at a barrier, at a shuffle or at its end.  The order
// comes from a seed, printed with everything that goes wrong (SATIN_SIM_SEED sets it).
//
// Every access to memory in a kernel is seen, through whatever pointer: the kernels are compiled
// with the thread sanitizer's instrumentation, and the functions it calls are ours (hooks.cpp). Red
// (an Error that names kernel, block, thread and seed) are: accesses outside of what was allocated
// or to the host's memory, vector accesses that are not aligned, races (shadow.h), barriers and
// shuffles that not all threads reach, limits of a launch.  Shared memory starts as NaN.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
namespace satin::cuda {
struct OpenBlas;
}

namespace satin::cuda::sim {
/// Fails if p, the address of a vector in device memory, is no multiple of its size.
void check_alignment(const void* p, size_t bytes);

/// A vector of N elements, read and written as one.  The compiler copies them one by one, so that
/// the copy itself must look at the address.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector;
template <class T>
struct alignas(sizeof(T) * 2) Vector<T, 2> {
  T x, y;
  Vector() = default;
  Vector(T x_, T y_) : x(x_), y(y_) {}
  Vector(const Vector& v) : x(v.x), y(v.y) { check_alignment(&v, sizeof(v)); }
  Vector& operator=(const Vector& v) {
    check_alignment(this, sizeof(v));
    check_alignment(&v, sizeof(v));
    x = v.x, y = v.y;
    return *this;
  }
};
template <class T>
struct alignas(sizeof(T) * 4) Vector<T, 4> {
  T x, y, z, w;
  Vector() = default;
  Vector(T x_, T y_, T z_, T w_) : x(x_), y(y_), z(z_), w(w_) {}
  Vector(const Vector& v) : x(v.x), y(v.y), z(v.z), w(v.w) { check_alignment(&v, sizeof(v)); }
  Vector& operator=(const Vector& v) {
    check_alignment(this, sizeof(v));
    check_alignment(&v, sizeof(v));
    x = v.x, y = v.y, z = v.z, w = v.w;
    return *this;
  }
};
}  // namespace satin::cuda::sim

using float2 = satin::cuda::sim::Vector<float, 2>;
using float4 = satin::cuda::sim::Vector<float, 4>;
using uint2 = satin::cuda::sim::Vector<unsigned, 2>;
using uint4 = satin::cuda::sim::Vector<unsigned, 4>;

namespace satin::cuda::sim {

/// What a real device would refuse.
struct Limits {
  unsigned threads = 1024, grid_x = 2147483647, grid_yz = 65535, block_z = 64;
  size_t shared_bytes = 99 * 1024;  ///< the smallest of compute capability 8.0 and later
  size_t argument_bytes = 4096;
};

/// Who runs now: threadIdx and friends.
struct Position {
  dim3 grid, block;          ///< sizes
  dim3 block_at, thread_at;  ///< indices
};
extern Position position;

void* shared_memory();
/// `line` is where it is called: all threads of a block must meet at the same place.
void barrier(int line);
void warp_barrier(int line);
/// What a warp does together: every lane brings `count` words and reads what all lanes brought,
/// lane i's from kGatherWords * i on, until the next gather.  `what` names it in messages.
inline constexpr int kGatherWords = 8;
const uint32_t* gather(const uint32_t* words, int count, const char* what, int line);
/// The 32 bits that lane `lane` of the warp brings to this shuffle.
uint32_t exchange(uint32_t bits, int lane, int line);
int lane();
int lanes();  ///< of this warp: 32, or fewer in the last one of a block
/// Ends the launch: what this thread did is wrong.  Nothing on its stack may own memory.
[[noreturn]] void fail(std::string&& what);

/// A kernel and its arguments, which a launch copies as a device does: nothing else of the host can
/// be seen by its threads.
struct Launch {
  const char* kernel;
  dim3 grid, block;
  size_t shared_bytes = 0;
  std::unique_ptr<const void, void (*)(const void*)> arguments;
  size_t argument_bytes = 0;
  void (*body)(const void* arguments) = nullptr;  ///< of one thread
};
template <class... Parameters>
Launch launch_of(const char* name,
                 dim3 grid,
                 dim3 block,
                 size_t shared_bytes,
                 void (*kernel)(Parameters...),
                 Parameters... arguments) {
  using Packet = std::tuple<void (*)(Parameters...), Parameters...>;
  return {name,
          grid,
          block,
          shared_bytes,
          {new Packet(kernel, arguments...),
           [](const void* packet) { delete static_cast<const Packet*>(packet); }},
          sizeof(Packet),
          [](const void* packet) {
            std::apply([](auto function, auto... parameters) { function(parameters...); },
                       *static_cast<const Packet*>(packet));
          }};
}
/// Runs it once per thread.  Throws Error.
void run(const Launch& launch);
/// The same, or keeps it while this thread records.
void launch(Launch launch);
void begin_recording();
bool recording();
std::vector<Launch> end_recording();
/// Launches that were recorded, and recordings that were started again, since the process began.
struct Counts {
  int64_t launches = 0, recorded = 0, replays = 0;
};
Counts counts();
void count_replay();

/// Device memory, filled with NaN; what lies between two allocations belongs to nobody.  allocate
/// throws std::bad_alloc.
void* allocate(size_t bytes);
void release(void* memory);
/// Copies into and out of one allocation.  Throws Error.
void upload(void* to, const void* host, size_t bytes);
void download(void* host, const void* from, size_t bytes);
/// What open_blas() gives from now on (cuda/blas.h); null, as at first: no cuBLAS.
void use_blas(const OpenBlas* blas);

/// What a device of limit_memory() bytes would have left.
size_t free_bytes();
void limit_memory(size_t bytes);
/// The seed of random order from now on.
void seed(uint64_t value);

template <class T>
T shuffle(T value, int from, int line) {
  static_assert(sizeof(T) % 4 == 0 && std::is_trivially_copyable_v<T>);
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &value, sizeof(T));
  for (uint32_t& word : words) word = exchange(word, from, line);
  std::memcpy(&value, words, sizeof(T));
  return value;
}

}  // namespace satin::cuda::sim

/// The upper halves of products.
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>(Wide{a} * b >> 64);
}

#define threadIdx                      (satin::cuda::sim::position.thread_at)
#define blockIdx                       (satin::cuda::sim::position.block_at)
#define blockDim                       (satin::cuda::sim::position.block)
#define gridDim                        (satin::cuda::sim::position.grid)
#define __syncthreads()                satin::cuda::sim::barrier(__LINE__)
#define __syncwarp()                   satin::cuda::sim::warp_barrier(__LINE__)
#define __shfl_sync(mask, value, from) satin::cuda::sim::shuffle(value, from, __LINE__)
#define __shfl_xor_sync(mask, value, bits) \
  satin::cuda::sim::shuffle(value, satin::cuda::sim::lane() ^ (bits), __LINE__)
#define __shfl_down_sync(mask, value, by) \
  satin::cuda::sim::shuffle(value, satin::cuda::sim::lane() + (by), __LINE__)
