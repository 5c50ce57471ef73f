// Training data, read ahead.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "mgpnet/dataset.h"

namespace mgpnet {

/// Pairs as the network reads them: [batch, crop, crop, 3] each, values 0 to 1.
struct Batch {
  std::span<float> input, target;
  std::shared_ptr<void> memory;  ///< of both
};

/// Reads the batches to come on threads of its own, pair by pair, while somebody trains on those
/// before.  Batch i holds the samples i * batch to (i + 1) * batch - 1 of the source, whatever the
/// number of threads.
class Batches {
 public:
  /// Memory for a batch: so many bytes.
  using Allocate = std::function<std::shared_ptr<void>(int64_t bytes)>;
  /// `ahead`: complete batches that may lie ready, at least 1.  The source must outlive this.
  Batches(const PairSource& source,
          int64_t batch,
          int64_t crop,
          int threads,
          int64_t ahead,
          Allocate allocate);
  ~Batches();
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  /// The batch of that iteration, in exchange for one that is no longer needed (or never was).
  /// Waits until it is there; any other than the one behind the last taken drops what was read
  /// ahead.
  /// errors: what the source throws for the first of its pairs that cannot be read
  void take(int64_t iteration, Batch& batch);

  static int64_t bytes(int64_t batch, int64_t crop);  ///< of a batch

 private:
  struct Slot {
    Batch values;
    int64_t missing = 0;  ///< pairs still to be read
    int64_t bad = 0;      ///< the first sample that could not be, and why
    std::exception_ptr error;
  };
  void start(int64_t iteration);
  void stop();
  void work();
  Slot& slot(int64_t iteration) { return slots_[static_cast<size_t>(iteration) % slots_.size()]; }
  void prepare(Slot& slot) const;

  const PairSource& source_;
  const int64_t batch_, crop_;
  const int count_;  // of threads
  const Allocate allocate_;
  std::vector<Slot> slots_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t first_ = 0;   // the batch to be taken next
  int64_t sample_ = 0;  // the pair to be read next
  bool stopping_ = false;
};

}  // namespace mgpnet
