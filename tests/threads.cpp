// The thread pool: every index once, whatever the numbers of threads and indices.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "cpu/thread_pool.h"

namespace satin {
namespace {

template <class Body>
void parallel(ThreadPool& pool, int64_t n, Body body) {
  pool.parallel(
      n, [](void* context, int64_t i) { (*static_cast<Body*>(context))(i); }, &body);
}

TEST_CASE("threads: every index runs exactly once") {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int64_t n : {0, 1, 2, 3, 7, 64, 1000}) {
      const auto count = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(n) + 1);
      parallel(pool, n, [&](int64_t i) { ++count[static_cast<size_t>(i)]; });
      int wrong = 0;
      for (int64_t i = 0; i < n; ++i) wrong += count[static_cast<size_t>(i)] != 1;
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("threads: what bodies wrote is seen after the loop, loop after loop") {
  ThreadPool pool(3);
  std::vector<int64_t> values(257);
  for (int64_t round = 1; round <= 2000; ++round) {
    parallel(pool, 257, [&](int64_t i) { values[static_cast<size_t>(i)] += i; });
    if (values[256] != 256 * round || values[1] != round) {
      FAIL("round " << round);
    }
  }
}

TEST_CASE("threads: callers on several threads take turns") {
  ThreadPool pool(2);
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) parallel(pool, 10, [&](int64_t i) { total += i; });
    });
  for (std::thread& t : callers) t.join();
  CHECK(total == 4 * 200 * 45);
}

TEST_CASE("threads: pools come and go") {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 5);
    std::atomic<int> runs{0};
    if (i % 2) parallel(pool, 8, [&](int64_t) { ++runs; });
    CHECK(runs == (i % 2 ? 8 : 0));
  }
  CHECK(ThreadPool().threads() == usable_cores());
  CHECK(usable_cores() >= 1);
}

}  // namespace
}  // namespace satin
