// The fragments of cuda/mma.h, lane by lane, against the tables of the PTX manual (section "Matrix
// Fragments for mma.m16n8k16 with floating point type" and "... for mma.m16n8k8"), which are
// written down here once more, element by element and in the manual's own words, without a look at
// mma.h.
#include "cuda/mma.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cuda/sim/sim.h"
#include "evaluate.h"
#include "tests/complaint.h"
#include "tests/cuda/buffer.h"
#include "tests/cuda/fragments.h"

using namespace satin;
using fragments::Mistake;
using namespace satin::testing;

namespace {

struct Place {
  int row, col;
};

/// An operand's fragment as the manual defines it: element i of a lane.
struct Manual {
  int k, a_elements, b_elements;
  Place (*a)(int lane, int i);
  Place (*b)(int lane, int i);
};

// groupID = %laneid >> 2, threadID_in_group = %laneid % 4
constexpr int group(int lane) { return lane >> 2; }
constexpr int in_group(int lane) { return lane % 4; }

/// .bf16, a0..a7:
///   row = groupID for ai where 0 <= i < 2 || 4 <= i < 6, groupID + 8 otherwise
///   col = threadID_in_group * 2 + (i & 0x1) for ai where i < 4, the same + 8 for i >= 4
/// b0..b3:
///   row = threadID_in_group * 2 + (i & 0x1) for bi where i < 2, the same + 8 for i >= 2
///   col = groupID
constexpr Manual kBf16 = {
    16, 8, 4,
    [](int lane, int i) {
      return Place{(0 <= i && i < 2) || (4 <= i && i < 6) ? group(lane) : group(lane) + 8,
                   i < 4 ? in_group(lane) * 2 + (i & 1) : in_group(lane) * 2 + (i & 1) + 8};
    },
    [](int lane, int i) {
      return Place{i < 2 ? in_group(lane) * 2 + (i & 1) : in_group(lane) * 2 + (i & 1) + 8,
                   group(lane)};
    }};

/// .tf32, a0..a3:
///   row = groupID for a0 and a2, groupID + 8 for a1 and a3
///   col = threadID_in_group for a0 and a1, threadID_in_group + 4 for a2 and a3
/// b0, b1:
///   row = threadID_in_group for b0, threadID_in_group + 4 for b1
///   col = groupID
constexpr Manual kTf32 = {8, 4, 2,
                          [](int lane, int i) {
                            return Place{i == 0 || i == 2 ? group(lane) : group(lane) + 8,
                                         i == 0 || i == 1 ? in_group(lane) : in_group(lane) + 4};
                          },
                          [](int lane, int i) {
                            return Place{i == 0 ? in_group(lane) : in_group(lane) + 4, group(lane)};
                          }};

/// c0..c3 of both: row = groupID for ci where i < 2, groupID + 8 for i >= 2;
/// col = threadID_in_group * 2 + (i & 0x1)
constexpr Place manual_c(int lane, int i) {
  return {i < 2 ? group(lane) : group(lane) + 8, in_group(lane) * 2 + (i & 1)};
}

/// a [16, k], b [k, 8], c [16, 8], of small integers: every sum is exact in any order.
struct Matrices {
  std::vector<float> a, b, c;
  int k;

  Matrices(int depth, uint64_t seed) : k(depth) {
    testing::Random random(seed);
    const auto draw = [&](int n) {
      std::vector<float> x;
      for (int i = 0; i < n; ++i) x.push_back(static_cast<float>(random.below(31)) - 15);
      return x;
    };
    a = draw(16 * k);
    b = draw(k * 8);
    c = draw(16 * 8);
  }
  float product(int row, int col) const {
    float sum = c[static_cast<size_t>(row * 8 + col)];
    for (int i = 0; i < k; ++i)
      sum += a[static_cast<size_t>(row * k + i)] * b[static_cast<size_t>(i * 8 + col)];
    return sum;
  }
};

/// Element i of what a lane holds in its words: the lower half of a word comes first.
void set(uint32_t* words, int i, float x, bool bf16) {
  if (bf16)
    words[i / 2] |= uint32_t{to_bf16(x).bits} << (i % 2 * 16);
  else
    words[i] = std::bit_cast<uint32_t>(x);
}

std::vector<fragments::Lane> lanes_of(const Matrices& m, const Manual& manual, bool bf16) {
  std::vector<fragments::Lane> lanes(32);
  for (int lane = 0; lane < 32; ++lane) {
    fragments::Lane& l = lanes[static_cast<size_t>(lane)];
    for (int i = 0; i < manual.a_elements; ++i) {
      const Place p = manual.a(lane, i);
      set(l.a, i, m.a[static_cast<size_t>(p.row * m.k + p.col)], bf16);
    }
    for (int i = 0; i < manual.b_elements; ++i) {
      const Place p = manual.b(lane, i);
      set(l.b, i, m.b[static_cast<size_t>(p.row * 8 + p.col)], bf16);
    }
    for (int i = 0; i < 4; ++i) {
      const Place p = manual_c(lane, i);
      l.c[i] = m.c[static_cast<size_t>(p.row * 8 + p.col)];
    }
  }
  return lanes;
}

/// How many elements of d are not what the matrices' product says, lane by lane.
int wrong(const std::vector<fragments::Lane>& lanes, const Matrices& m, bool bf16) {
  Buffer<fragments::Lane> in(lanes);
  Buffer<float> out(128);
  fragments::multiply(out.data, in.data, bf16, Mistake::none);
  const std::vector<float> d = out.read();
  int differing = 0;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const Place p = manual_c(lane, i);
      differing += d[static_cast<size_t>(lane * 4 + i)] != m.product(p.row, p.col);
    }
  return differing;
}

}  // namespace

TEST_CASE("mma: a product of fragments as the manual lays them out") {
  for (const bool bf16 : {true, false}) {
    CAPTURE(bf16);
    const Manual& manual = bf16 ? kBf16 : kTf32;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      cuda::sim::seed(seed);
      const Matrices m(manual.k, seed);
      CHECK(wrong(lanes_of(m, manual, bf16), m, bf16) == 0);
    }
  }
}

TEST_CASE("mma: the places that cuda/mma.h names are the manual's") {
  for (int lane = 0; lane < 32; ++lane) {
    for (const bool bf16 : {true, false}) {
      const Manual& manual = bf16 ? kBf16 : kTf32;
      const int per_word = bf16 ? 2 : 1;
      for (int i = 0; i < manual.a_elements; ++i) {
        const Place p = manual.a(lane, i);
        CHECK(cuda::a_row(lane, i / per_word) == p.row);
        CHECK(cuda::a_word(lane, i / per_word) * per_word + i % per_word == p.col);
      }
      for (int i = 0; i < manual.b_elements; ++i) {
        const Place p = manual.b(lane, i);
        CHECK(cuda::b_word(lane, i / per_word) * per_word + i % per_word == p.row);
        CHECK(cuda::b_col(lane) == p.col);
      }
    }
    for (int i = 0; i < 4; ++i) {
      CHECK(cuda::c_row(lane, i) == manual_c(lane, i).row);
      CHECK(cuda::c_col(lane, i) == manual_c(lane, i).col);
    }
  }
}

TEST_CASE("mma: fragments in other places are noticed") {
  for (const bool bf16 : {true, false}) {
    CAPTURE(bf16);
    const Matrices m(bf16 ? 16 : 8, 5);
    const std::vector<fragments::Lane> right = lanes_of(m, bf16 ? kBf16 : kTf32, bf16);
    const auto after = [&](const std::function<void(std::vector<fragments::Lane>&)>& change) {
      std::vector<fragments::Lane> lanes = right;
      change(lanes);
      return wrong(lanes, m, bf16);
    };
    using Lanes = std::vector<fragments::Lane>;
    CHECK(after([](Lanes& l) { std::swap(l[3].a, l[4].a); }) > 0);
    CHECK(after([](Lanes& l) { std::swap(l[30].b, l[31].b); }) > 0);
    CHECK(after([](Lanes& l) { std::swap(l[17].a[1], l[17].a[2]); }) > 0);
    CHECK(after([](Lanes& l) { std::swap(l[8].b[0], l[8].b[1]); }) > 0);
    CHECK(after([](Lanes& l) { std::swap(l[21].c[1], l[21].c[2]); }) > 0);
    if (bf16) CHECK(after([](Lanes& l) { l[6].a[3] = std::rotl(l[6].a[3], 16); }) > 0);
  }
}

TEST_CASE("mma: operands are rounded to nearest") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1.0f,         1.00390625f, 1.01171875f,  -1.00390625f, 0.1f,
                                -3.1415927f,  0.0f,        -0.0f,        infinity,     -infinity,
                                1.00048828f,  1.00146484f, -1.00048828f, 3.3e38f,      65535.0f,
                                0.333333343f, nan,         1e-20f};
  Buffer<float> in(x);
  Buffer<uint32_t> pairs(x.size() / 2), words(x.size());
  fragments::pack(pairs.data, in.data, static_cast<int>(x.size()), true);
  fragments::pack(words.data, in.data, static_cast<int>(x.size()), false);
  const std::vector<uint32_t> bf16 = pairs.read(), tf32 = words.read();
  for (size_t i = 0; i < x.size(); ++i) {
    CAPTURE(x[i]);
    const float b = to_f32(Bf16{static_cast<uint16_t>(bf16[i / 2] >> (i % 2 * 16))});
    const float t = std::bit_cast<float>(tf32[i]);
    CHECK((tf32[i] & 0x1fffu) == 0);
    if (std::isnan(x[i])) {
      CHECK(std::isnan(b));
      CHECK(std::isnan(t));
      continue;
    }
    CHECK(b == to_f32(to_bf16(x[i])));
    if (!std::isfinite(x[i])) {
      CHECK(t == x[i]);
      continue;
    }
    // 11 bits, ties away from 0, in double: exact.
    const int exponent = x[i] == 0 ? 0 : std::ilogb(x[i]) - 10;
    CHECK(static_cast<double>(t) ==
          std::ldexp(std::round(std::ldexp(static_cast<double>(x[i]), -exponent)), exponent));
    CHECK(std::signbit(t) == std::signbit(x[i]));
  }
}

TEST_CASE("mma: what a warp may not do is red") {
  for (const bool bf16 : {true, false}) {
    const Matrices m(bf16 ? 16 : 8, 1);
    Buffer<fragments::Lane> in(lanes_of(m, bf16 ? kBf16 : kTf32, bf16));
    Buffer<float> out(128);
    const auto with = [&](Mistake mistake) {
      return complaint([&] { fragments::multiply(out.data, in.data, bf16, mistake); });
    };
    CHECK(with(Mistake::none).empty());
    says(with(Mistake::lane_missing), "threads have parted");
    says(with(Mistake::lane_missing), bf16 ? "the mma in bf16 of line" : "the mma in tf32 of line");
    says(with(Mistake::half_warp), "in a warp of 16 threads");
    says(with(Mistake::parted), "threads have parted");
  }
  // A device would cut off what was not rounded.
  std::vector<fragments::Lane> lanes(32);
  lanes[11].b[1] = std::bit_cast<uint32_t>(1.0001f);
  Buffer<fragments::Lane> in(lanes);
  Buffer<float> out(128);
  says(complaint([&] { fragments::multiply(out.data, in.data, false, Mistake::none); }),
       "not rounded to tf32");
}

TEST_CASE("mma: rows of shared memory become fragments") {
  std::vector<uint32_t> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint32_t>(1000 + i);
  Buffer<uint32_t> in(x), out(128);
  fragments::rows(out.data, in.data, Mistake::none);
  const std::vector<uint32_t> words = out.read();
  // ldmatrix.x4: threads 8 j to 8 j + 7 name the rows of matrix j; a thread gets, of each matrix,
  // row laneid / 4, the two 16-bit elements from 2 * (laneid % 4) on.
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t j = 0; j < 4; ++j)
      CHECK(words[lane * 4 + j] == 1000 + (8 * j + lane / 4) * 4 + lane % 4);
  const auto with = [&](Mistake mistake) {
    return complaint([&] { fragments::rows(out.data, in.data, mistake); });
  };
  says(with(Mistake::barrier_missing), "race");
  says(with(Mistake::misaligned), "no multiple of 16 bytes");
  says(with(Mistake::past_the_end), "past the end of shared memory");
}

TEST_CASE("mma: division by multiplication") {
  for (const int64_t d : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{7}, int64_t{32}, int64_t{641},
                          int64_t{4096}, int64_t{1000003}, (int64_t{1} << 31) - 1}) {
    std::vector<int64_t> x;
    for (const int64_t near :
         {int64_t{0}, d, 2 * d, 5 * d, 1000 * d, int64_t{1} << 31, (int64_t{1} << 32) / d * d,
          int64_t{1} << 32, int64_t{1} << 40, (int64_t{1} << 62) / d * d})
      for (int64_t n = near - 1; n <= near + 1; ++n)
        if (n >= 0) x.push_back(n);
    Buffer<int64_t> in(x), out(4 * x.size());
    fragments::divide(out.data, in.data, static_cast<int>(x.size()), d);
    const std::vector<int64_t> y = out.read();
    for (size_t i = 0; i < x.size(); ++i) {
      CAPTURE(x[i]);
      CAPTURE(d);
      CHECK(y[4 * i] == x[i] / d);
      CHECK(y[4 * i + 1] == x[i] % d);
      if (x[i] >= int64_t{1} << 32) continue;
      CHECK(y[4 * i + 2] == x[i] / d);
      CHECK(y[4 * i + 3] == x[i] % d);
    }
  }
}
