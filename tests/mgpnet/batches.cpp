// Batches: what was read ahead is what reading one by one gives, on any number of threads.
#include "mgpnet/batches.h"

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include <doctest/doctest.h>

namespace mgpnet {
namespace {

/// Pictures of one value: the number of the sample for the input, twice that for the ground truth.
/// Sample `bad` and the one behind it cannot be read.
class Numbered : public PairSource {
 public:
  explicit Numbered(uint64_t bad = ~uint64_t{1}) : bad_(bad) {}
  Pair crop(uint64_t sample, int size) const override {
    ++read;
    if (sample == bad_ || sample == bad_ + 1)
      throw DataError("sample", std::to_string(sample), "cannot be read");
    const auto filled = [&](uint64_t value) {
      Image image;
      image.width = image.height = size;
      image.channels = 3;
      image.pixels.assign(static_cast<size_t>(size) * static_cast<size_t>(size) * 3,
                          static_cast<uint16_t>(value % 256));
      return image;
    };
    return {filled(2 * sample), filled(sample)};
  }
  uint64_t count() const override { return 0; }
  std::string name(uint64_t sample) const override { return std::to_string(sample); }

  mutable std::atomic<int> read = 0;

 private:
  uint64_t bad_;
};

std::shared_ptr<void> memory(int64_t bytes) {
  return std::make_shared<std::byte[]>(static_cast<size_t>(bytes));
}

void check(const Batch& batch, int64_t iteration, int64_t size, int64_t crop) {
  const int64_t pixels = crop * crop * 3;
  REQUIRE(static_cast<int64_t>(batch.input.size()) == size * pixels);
  REQUIRE(static_cast<int64_t>(batch.target.size()) == size * pixels);
  for (int64_t i = 0; i < size * pixels; ++i) {
    const int64_t sample = iteration * size + i / pixels;
    REQUIRE(batch.input[static_cast<size_t>(i)] == static_cast<float>(sample % 256) / 255.0f);
    REQUIRE(batch.target[static_cast<size_t>(i)] == static_cast<float>(2 * sample % 256) / 255.0f);
  }
}

TEST_CASE("batches: in order, whoever reads them, and from wherever asked") {
  for (const int threads : {1, 2, 7})
    for (const int64_t ahead : {1, 2, 5}) {
      const Numbered source;
      Batches batches(source, 3, 4, threads, ahead, memory);
      Batch batch;
      for (int64_t i = 5; i < 40; ++i) {
        batches.take(i, batch);
        check(batch, i, 3, 4);
      }
      for (const int64_t i : {7, 8, 30, 0}) {
        batches.take(i, batch);
        check(batch, i, 3, 4);
      }
    }
}

TEST_CASE("batches: nothing is read before it is asked for, nor further ahead than allowed") {
  const Numbered source;
  {
    Batches batches(source, 2, 4, 3, 2, memory);
    CHECK(source.read == 0);
    Batch batch;
    batches.take(0, batch);
    batches.take(1, batch);
  }
  CHECK(source.read >= 4);
  CHECK(source.read <= 8);
}

TEST_CASE("batches: the first pair that cannot be read is the one that is named") {
  for (int repeat = 0; repeat < 20; ++repeat) {
    const Numbered source(9);
    Batches batches(source, 4, 2, 4, 3, memory);
    Batch batch;
    batches.take(0, batch);
    batches.take(1, batch);
    try {
      batches.take(2, batch);
      FAIL("no error");
    } catch (const DataError& e) {
      CHECK(std::string(e.what()).find("9") != std::string::npos);
    }
    batches.take(3, batch);  // the others are there
    check(batch, 3, 4, 2);
  }
}

}  // namespace
}  // namespace mgpnet
