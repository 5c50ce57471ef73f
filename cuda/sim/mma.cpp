// The scalar twins of cuda/mma.h: what a warp's lanes hold is gathered, and every lane computes its
// own part of the result from that, sum by sum.
#include "cuda/mma.h"

#include <cmath>

#include "cuda/sim/hooks.h"
#include "tensor/error.h"

namespace satin::cuda::sim {
namespace {

/// The lane and the index in it that hold a place: the inverse of the functions of mma.h, found by
/// looking through all of them.
struct Owner {
  int lane = -1, i = -1;
};
struct Owners {
  Owner a[kMmaRows][kMmaWords], b[kMmaWords][kMmaCols];
  constexpr Owners() {
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) a[a_row(lane, i)][a_word(lane, i)] = {lane, i};
      for (int i = 0; i < 2; ++i) b[b_word(lane, i)][b_col(lane)] = {lane, i};
    }
  }
};
constexpr Owners kOwners;

void require_warp(const char* what) {
  if (lanes() != 32) fail(cat(what, " in a warp of ", lanes(), " threads"));
}

/// multiply(sum, word of a, word of b): the sum with the products of both words.
template <class Multiply>
FragmentC mma(const FragmentA& a,
              const FragmentB& b,
              const FragmentC& c,
              const char* what,
              int line,
              Multiply multiply) {
  require_warp(what);
  const uint32_t brought[6] = {a.word[0], a.word[1], a.word[2], a.word[3], b.word[0], b.word[1]};
  const uint32_t* words = gather(brought, 6, what, line);
  FragmentC d = c;
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < kMmaWords; ++k) {
      const Owner of_a = kOwners.a[c_row(lane(), i)][k], of_b = kOwners.b[k][c_col(lane(), i)];
      d.value[i] = multiply(d.value[i], words[of_a.lane * kGatherWords + of_a.i],
                            words[of_b.lane * kGatherWords + 4 + of_b.i]);
    }
  return d;
}

}  // namespace

FragmentC mma_bf16(const FragmentA& a, const FragmentB& b, const FragmentC& c, int line) {
  return mma(a, b, c, "mma in bf16", line, [](float sum, uint32_t x, uint32_t y) {
    for (const int bits : {0, 16})
      sum += to_f32(Bf16{static_cast<uint16_t>(x >> bits)}) *
             to_f32(Bf16{static_cast<uint16_t>(y >> bits)});
    return sum;
  });
}

FragmentC mma_tf32(const FragmentA& a, const FragmentB& b, const FragmentC& c, int line) {
  // A device ignores these bits, so an operand that still has them would be cut off, not rounded.
  for (const uint32_t word : {a.word[0], a.word[1], a.word[2], a.word[3], b.word[0], b.word[1]})
    if ((word & 0x1fffu) != 0) fail("mma in tf32 of a number that was not rounded to tf32");
  return mma(a, b, c, "mma in tf32", line, [](float sum, uint32_t x, uint32_t y) {
    return sum + std::bit_cast<float>(x) * std::bit_cast<float>(y);
  });
}

FragmentA load_rows(const uint32_t* row, int line) {
  constexpr const char* kWhat = "load of rows";
  require_warp(kWhat);
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
    fail("a load of rows from an address that is no multiple of 16 bytes");
  uint32_t brought[2];
  static_assert(sizeof row == sizeof brought);
  std::memcpy(brought, &row, sizeof row);
  const uint32_t* words = gather(brought, 2, kWhat, line);
  FragmentA a;
  for (int i = 0; i < 4; ++i) {
    const uint32_t* from;
    std::memcpy(&from, words + (i * 8 + lane() / 4) * kGatherWords, sizeof from);
    from += lane() % 4;
    access(from, sizeof *from, false);
    a.word[i] = *from;
  }
  return a;
}

}  // namespace satin::cuda::sim
