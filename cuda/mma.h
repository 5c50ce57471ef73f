// The tensor cores' matrix product as PTX has it: a warp computes d = a b + c for 16 x 8 sums at
// once, `mma.sync` of m16n8k16 in bf16 or m16n8k8 in tf32, added in f32.  nvcc compiles the
// instruction; the simulator runs its scalar twin (sim/mma.cpp).
//
// Operands are made of 32-bit words: two bf16, the lower k in the lower half, or one tf32.  Counted
// in words both instructions are the same: a is 16 rows of 8 words, b is 8 columns of 8 words, both
// along k; and a lane holds the same places of them.  So what moves words knows nothing of dtypes.
// Which lane holds what is said by the functions below; tests/mma.cpp holds them against the tables
// of the PTX manual ("Matrix Fragments for mma.m16n8k16", "... for mma.m16n8k8").
//
// numerics: products are exact.  In which order one instruction adds its k products and c, and how
// it rounds, is the device's own (the manual leaves it open); the twin adds in rising k, each sum
// rounded to nearest.
#pragma once

#include <bit>
#include <cstdint>

#include "cuda/kernel.h"

namespace satin::cuda {

inline constexpr int kMmaRows = 16, kMmaCols = 8, kMmaWords = 8;

struct FragmentA {
  uint32_t word[4];
};
struct FragmentB {
  uint32_t word[2];
};
struct FragmentC {
  float value[4];
};

// Where the i-th word or value of a lane belongs: row of a or c, column of b or c, word along k.
#define SATIN_PLACE __host__ __device__ constexpr int
SATIN_PLACE a_row(int lane, int i) { return lane / 4 + i % 2 * 8; }
SATIN_PLACE a_word(int lane, int i) { return lane % 4 + i / 2 * 4; }
SATIN_PLACE b_col(int lane) { return lane / 4; }
SATIN_PLACE b_word(int lane, int i) { return lane % 4 + i * 4; }
SATIN_PLACE c_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
SATIN_PLACE c_col(int lane, int i) { return lane % 4 * 2 + i % 2; }

#if !defined(__CUDACC__)
namespace sim {
FragmentC mma_bf16(const FragmentA& a, const FragmentB& b, const FragmentC& c, int line);
FragmentC mma_tf32(const FragmentA& a, const FragmentB& b, const FragmentC& c, int line);
FragmentA load_rows(const uint32_t* row, int line);
}  // namespace sim
#define SATIN_LINE , int line = __builtin_LINE()  // of the call: all lanes must meet there
#else
#define SATIN_LINE
#endif

/// Two bf16 a word, rounded to nearest, ties to even.
struct MmaBf16 {
  static constexpr int kPerWord = 2;

  static SATIN_DEVICE uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__)
    uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return to_bf16(low).bits | uint32_t{to_bf16(high).bits} << 16;
#endif
  }

  /// All lanes of a warp call it together.
  static SATIN_DEVICE FragmentC multiply(const FragmentA& a,
                                         const FragmentB& b,
                                         const FragmentC& c SATIN_LINE) {
#if defined(__CUDACC__)
    FragmentC d = c;
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d.value[0]), "+f"(d.value[1]), "+f"(d.value[2]), "+f"(d.value[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]),
          "r"(b.word[1]));
    return d;
#else
    return sim::mma_bf16(a, b, c, line);
#endif
  }
};

/// One tf32 a word: an f32 whose lower 13 bits are 0, rounded to nearest, ties away from 0.
struct MmaTf32 {
  static constexpr int kPerWord = 1;

  static SATIN_DEVICE uint32_t pack(float x) {
#if defined(__CUDA_ARCH__)
    uint32_t word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
    return word;
#else
    const auto bits = std::bit_cast<uint32_t>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffffffu & ~0x1fffu;  // NaN stays NaN
    return (bits + 0x1000u) & ~0x1fffu;
#endif
  }

  /// All lanes of a warp call it together.
  static SATIN_DEVICE FragmentC multiply(const FragmentA& a,
                                         const FragmentB& b,
                                         const FragmentC& c SATIN_LINE) {
#if defined(__CUDACC__)
    FragmentC d = c;
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d.value[0]), "+f"(d.value[1]), "+f"(d.value[2]), "+f"(d.value[3])
        : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]),
          "r"(b.word[1]));
    return d;
#else
    return sim::mma_tf32(a, b, c, line);
#endif
  }
};

/// `ldmatrix.x4`: four matrices of 8 rows of four words in shared memory, each row 16-byte aligned.
/// Lane i names the i-th row of all 32.  A lane gets, of every matrix, word lane % 4 of row
/// lane / 4: with rows 0..7, 8..15, 0..7, 8..15 and, for the last two, four words further on, that
/// is a FragmentA; two FragmentB of neighboring columns are got the same way.
SATIN_DEVICE FragmentA load_rows(const uint32_t* row SATIN_LINE) {
#if defined(__CUDACC__)
  FragmentA a;
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(a.word[0]), "=r"(a.word[1]), "=r"(a.word[2]), "=r"(a.word[3])
               : "r"(at)
               : "memory");
  return a;
#else
  return sim::load_rows(row, line);
#endif
}

#undef SATIN_PLACE
#undef SATIN_LINE

}  // namespace satin::cuda
