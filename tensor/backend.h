// The one interface through which tensor/ knows how computations run: Backend, the Call it is given
// and the run-time context Exec.  Everything here is a plain struct, so that kernels compiled for
// another instruction set or device may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "tensor/node.h"

namespace satin {

/// Where the elements of a value are: contiguous, row-major, 64-byte aligned unless they start
/// inside another value.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::f32;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

class ThreadPool;

/// Told how long every step of a run took.
class Profiler {
 public:
  virtual ~Profiler() = default;
  virtual void step(const Node& node, double seconds) = 0;
};

/// The processes (or threads) that train one model together; each runs the same Program.
class Communicator {
 public:
  virtual ~Communicator() = default;
  /// Replaces n elements by their sum over all ranks, added in the order of ranks: the same bits
  /// everywhere.  Returns when this rank's memory holds them.  data: memory of the backend.
  virtual void all_reduce(void* data, int64_t n, DType dtype) = 0;
};

/// The context of a run, passed to every kernel; never global.
struct Exec {
  ThreadPool* pool = nullptr;  ///< null: the calling thread only
  void* stream = nullptr;      ///< of the device; null: the one its backend uses for all else
  Profiler* profiler = nullptr;
  Communicator* communicator = nullptr;  ///< null: this process trains alone
  bool plain = false;       ///< run the loops that state what an operation means, not the fast ones
  bool debug_sync = false;  ///< wait after every kernel, so that the one that fails is named
};

/// One execution of an operation.  Outputs may share memory with inputs only as the row's kind
/// allows (pointwise: the same element).  A spare output that nothing reads has null for data.
struct Call {
  Op op;
  const Attrs* attrs;
  std::span<const View> in;
  std::span<const View> out;
  void* scratch;  ///< as many bytes as scratch(call) asked for, 64-byte aligned
  const Exec* exec;
  const View* packed =
      nullptr;  ///< the weights as packing(call) wanted them; null: only as they are
  Precision precision = Precision::f32;  ///< of products

  template <class A>
  A as() const {
    return attrs->as<A>();
  }
};

/// The layout in which a kernel likes its weights.  It may depend on the weights' shapes and on
/// `form`, never on the size of pictures, so that all Programs of a model share packed weights.
struct Packing {
  int form = 0;
  int64_t elements = 0;  ///< of the node's dtype; 0: it takes them as they are
  uint32_t inputs = 0;   ///< bit i: input i is among the weights
  bool bf16 = false;     ///< for products in bf16

  bool reads(size_t i) const { return inputs >> i & 1; }
};

/// The calls of a run, kept by a device so that they can be started again as one.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void replay(const Exec& exec) = 0;
};

/// A kind of machine.  Kernels never allocate, throw, check shapes or synchronize.
///
/// Where memory is not the host's (on_host() is false), nobody but kernels, write() and read()
/// touches what allocate() returns.  run() then only starts a kernel: kernels, writes and reads
/// happen one after the other, in the order of the calls, and read() waits for its values.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  /// Whether it has a kernel for this row; a composite without one runs as its composition.
  virtual bool has(Op op) const { return info(op).has_kernel; }
  /// Whether its kernels compute in this dtype.
  virtual bool computes(DType) const { return true; }
  /// Bytes of scratch this call needs; fixed by the problem, never by the number of threads.
  virtual int64_t scratch(const Call& call) const = 0;
  virtual Packing packing(const Call& call) const = 0;
  virtual void run(const Call& call) const = 0;

  /// Whether the host may read and write this memory in place.
  virtual bool on_host() const { return true; }
  /// The bytes there are for all allocations together; 0: as many as the process may use.
  virtual int64_t memory_bytes() const { return 0; }
  virtual void* allocate(int64_t bytes) const = 0;  ///< 64-byte aligned; throws OutOfMemory
  virtual void release(void* memory) const = 0;     ///< when what was started is done
  virtual void write(void* to, const void* host, int64_t bytes) const = 0;
  virtual void read(void* host, const void* from, int64_t bytes) const = 0;
  /// Memory of the host that a device copies from and to by itself; the backend outlives it.
  virtual std::shared_ptr<void> staging(int64_t bytes) const;
  /// As write() and read(), but nobody waits: the device copies in its turn, what it sends while
  /// kernels run that came before.  `staged` lies in memory of staging().  It must not change, and
  /// does not hold what was fetched, before await() of a later mark() or finish() has returned.
  virtual void send(void* to, const void* staged, int64_t bytes) const { write(to, staged, bytes); }
  virtual void fetch(void* staged, const void* from, int64_t bytes) const {
    read(staged, from, bytes);
  }
  /// As much memory of its own as the largest of send() takes a device up to this many times.
  static constexpr int kSends = 4;
  /// A place in the order of calls, and waiting until the device has come there.
  using Mark = std::shared_ptr<void>;
  virtual Mark mark() const { return nullptr; }
  virtual void await(const Mark&) const {}
  /// Returns when all that was started is done.  Throws DeviceError if it failed.
  virtual void finish() const {}
  /// Records the calls of run() that `calls` makes, instead of starting them.  Null, and nothing
  /// was called: this backend gains nothing by it.
  virtual std::unique_ptr<Recording> record(const Exec&, const std::function<void()>&) const {
    return nullptr;
  }
};

}  // namespace satin
