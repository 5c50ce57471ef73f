#include "mgpnet/batches.h"

#include <algorithm>
#include <utility>

namespace mgpnet {
namespace {

void write(float* to, const Image& image) {
  const auto scale = static_cast<float>(image.max_value());
  for (const uint16_t p : image.pixels) *to++ = static_cast<float>(p) / scale;
}

}  // namespace

Batches::Batches(const PairSource& source,
                 int64_t batch,
                 int64_t crop,
                 int threads,
                 int64_t ahead,
                 Allocate allocate)
    : source_(source),
      batch_(batch),
      crop_(crop),
      count_(std::max(1, threads)),
      allocate_(std::move(allocate)),
      slots_(static_cast<size_t>(std::max<int64_t>(1, ahead))) {}

Batches::~Batches() { stop(); }

int64_t Batches::bytes(int64_t batch, int64_t crop) {
  return 2 * batch * crop * crop * 3 * static_cast<int64_t>(sizeof(float));
}

void Batches::prepare(Slot& slot) const {
  Batch& values = slot.values;
  if (!values.memory) {
    const auto size = static_cast<size_t>(batch_ * crop_ * crop_ * 3);
    values.memory = allocate_(bytes(batch_, crop_));
    auto* const floats = static_cast<float*>(values.memory.get());
    values.input = {floats, size};
    values.target = {floats + size, size};
  }
  slot.missing = batch_;
  slot.error = nullptr;
}

void Batches::start(int64_t iteration) {
  first_ = iteration;
  sample_ = iteration * batch_;
  for (Slot& s : slots_) prepare(s);
  stopping_ = false;
  for (int i = 0; i < count_; ++i) threads_.emplace_back([this] { work(); });
}

void Batches::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
}

void Batches::work() {
  const auto ahead = static_cast<int64_t>(slots_.size()), pixels = crop_ * crop_ * 3;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || sample_ < (first_ + ahead) * batch_; });
    if (stopping_) return;
    const int64_t sample = sample_++;
    Slot& mine = slot(sample / batch_);
    lock.unlock();
    std::exception_ptr error;
    try {
      const Pair pair = source_.crop(static_cast<uint64_t>(sample), static_cast<int>(crop_));
      write(mine.values.input.data() + sample % batch_ * pixels, pair.input);
      write(mine.values.target.data() + sample % batch_ * pixels, pair.gt);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && (!mine.error || sample < mine.bad)) {
      mine.error = error;
      mine.bad = sample;
    }
    if (--mine.missing == 0) changed_.notify_all();
  }
}

void Batches::take(int64_t iteration, Batch& batch) {
  if (threads_.empty() || iteration != first_) {
    stop();
    start(iteration);
  }
  std::exception_ptr error;
  {
    std::unique_lock lock(mutex_);
    Slot& mine = slot(iteration);
    changed_.wait(lock, [&] { return mine.missing == 0; });
    error = mine.error;
    std::swap(batch, mine.values);
    prepare(mine);
    ++first_;
  }
  changed_.notify_all();
  if (error) std::rethrow_exception(error);
}

}  // namespace mgpnet
