// The simulator of CUDA kernels turns red for each kind of bug, and for nothing else.
#include <cmath>
#include <csignal>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/cuda.h"
#include "cuda/sim/sim.h"
#include "tensor/binary.h"
#include "tensor/cast.h"
#include "tensor/program.h"
#include "tests/complaint.h"
#include "tests/cuda/buffer.h"
#include "tests/cuda/planted.h"

using namespace satin;
using namespace satin::testing;

TEST_CASE("cuda_sim: a missing barrier is a race in shared memory, in any order of threads") {
  Buffer<float> in(200), out(200);
  in.fill(1);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    cuda::sim::seed(seed);
    planted::sums(out.data, in.data, 200, false);
    CHECK(out.at(0) == 64);
    CHECK(out.at(199) == 8);
    const std::string text = complaint([&] { planted::sums(out.data, in.data, 200, true); });
    says(text, "race");
    says(text, "shared memory");
    says(text, "sums, block (");
    says(text, ("SATIN_SIM_SEED=" + std::to_string(seed)).c_str());
  }
}

TEST_CASE("cuda_sim: shuffles, and a lane that does not come") {
  Buffer<float> in(32), out(1);
  std::vector<float> lanes(32);
  for (int i = 0; i < 32; ++i) lanes[static_cast<size_t>(i)] = static_cast<float>(i);
  in.write(lanes);
  planted::warp_sum(out.data, in.data, false);
  CHECK(out.at(0) == 496);
  const std::string text = complaint([&] { planted::warp_sum(out.data, in.data, true); });
  says(text, "threads have parted");
  says(text, "shuffle");
}

TEST_CASE("cuda_sim: threads that part at barriers") {
  Buffer<float> out(64);
  says(complaint([&] { planted::parted(out.data, false); }), "waits at the barrier of line");
  says(complaint([&] { planted::parted(out.data, true); }), "has ended");
}

TEST_CASE("cuda_sim: accesses outside of allocations") {
  for (const int64_t n : {1, 3, 1024, 5000}) {
    Buffer<float> out(n), other(n);
    says(complaint([&] { planted::one_too_many(out.data, n); }), "past the end of device memory");
    planted::one_too_many(out.data, n - 1);
    CHECK(std::isnan(other.at(0)));
  }
  float* gone;
  {
    Buffer<float> released(10);
    gone = released.data;
  }
  says(complaint([&] { planted::one_too_many(gone, 5); }), "outside of all allocations");
  Buffer<float> out(64);
  says(complaint([&] { planted::past_shared(out.data); }), "past the end of shared memory");
}

TEST_CASE("cuda_sim: vector accesses that are not aligned") {
  Buffer<float> in(16), out(1);
  in.fill(1);
  planted::vector_load(out.data, in.data, 4);
  CHECK(out.at(0) == 4);
  for (const int64_t offset : {1, 2, 3})
    says(complaint([&] { planted::vector_load(out.data, in.data, offset); }), "no multiple");
  says(complaint([&] { planted::vector_load(out.data, in.data, 16); }), "past the end");
}

TEST_CASE("cuda_sim: races between blocks, through vectors, within a warp") {
  Buffer<float> out(64);
  out.fill(0);
  says(complaint([&] { planted::blocks_race(out.data); }), "race");
  planted::vectors_race(out.data, false);
  says(complaint([&] { planted::vectors_race(out.data, true); }), "race");
  planted::warp_hand_over(out.data, false);
  CHECK(out.at(0) == 1);
  CHECK(out.at(63) == 62);
  says(complaint([&] { planted::warp_hand_over(out.data, true); }), "race");
  Buffer<uint16_t> from(1001), to(1001);
  from.fill(3);
  planted::halves(to.data, from.data, 1001);  // neighbors in one word are no race
  CHECK(to.at(1000) == 3);
}

TEST_CASE("cuda_sim: asynchronous copies, not waited for, read too early, badly aligned") {
  using planted::Slip;
  Buffer<float> in(64), out(32);
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  in.write(values);
  planted::async_copies(out.data, in.data, Slip::none);
  CHECK(out.at(0) == 4 + 36);
  CHECK(out.at(31) == 3 + 35);
  planted::async_copies(out.data, in.data, Slip::wait_missing);  // of the second group
  CHECK(std::isnan(out.at(0)));
  const auto slips = [&](Slip slip) {
    return complaint([&] { planted::async_copies(out.data, in.data, slip); });
  };
  says(slips(Slip::barrier_missing), "race");
  says(slips(Slip::overwritten), "race");
  says(slips(Slip::misaligned), "no multiple");
  says(slips(Slip::to_global), "no shared memory");
}

TEST_CASE("cuda_sim: shared memory starts as NaN") {
  Buffer<float> out(64);
  planted::unwritten(out.data);
  for (int i = 0; i < 64; ++i) CHECK(std::isnan(out.at(i)));
}

TEST_CASE("cuda_sim: a kernel that is given memory of the host") {
  Buffer<float> out(1);
  const std::vector<float> heap = {1};
  const float stack = 1;
  for (const float* in : {heap.data(), &stack})
    says(complaint([&] { planted::host_memory(out.data, in); }), "bytes of the host's memory");
}

TEST_CASE("cuda_sim: the host cannot touch device memory, and copies keep to allocations") {
  Buffer<float> in(8);
  const auto died = [&](auto touch) {
    const pid_t child = fork();
    if (child == 0) {
      for (const int s : {SIGSEGV, SIGBUS}) std::signal(s, [](int) { _exit(7); });
      touch();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
  };
  volatile float* data = in.data;
  CHECK(died([&] { data[0] = 1; }));
  CHECK(died([&] { (void)data[7]; }));
  CHECK_FALSE(died([] {}));
  float host[9] = {};
  says(complaint([&] { cuda::sim::upload(in.data, host, sizeof host); }), "across the end");
  says(complaint([&] { cuda::sim::download(host, in.data + 8, 4); }), "past the end");
  says(complaint([&] { cuda::sim::upload(host, host, 4); }), "an address of the host");
}

TEST_CASE("cuda: a dtype that it does not compute in is refused, not misread") {
  const Tensor wide = input({2}, DType::f64);
  says(complaint([&] { Program({wide + wide}, cuda::backend()); }), "does not compute in f64");
  Program({cast(wide, DType::f32)}, cuda::backend());
}

TEST_CASE("cuda_sim: limits of a launch") {
  planted::launch_of(1024, 99 * 1024);
  says(complaint([] { planted::launch_of(1025, 0); }), "1025 threads a block");
  says(complaint([] { planted::launch_of(0, 0); }), "empty");
  says(complaint([] { planted::launch_of(32, 99 * 1024 + 1); }), "bytes of shared memory");
}
