// The product of product.h on tensor cores: operands rounded to bf16 or tf32 on their way into
// shared memory, sums in f32.
//
// Who owns what.  A block of 8 warps computes 128 x 64 elements of c; a warp 32 x 32 of them, 2 x 4
// instructions wide, in 32 registers a thread.  A step is 16 words of k: 32 bf16 or 16 tf32.  While
// a step is multiplied the elements of the next one are on their way from memory into registers;
// they are rounded and written to the other of two buffers, so that a step costs one barrier.
//
// Shared memory.  What is contiguous along k lies there in rows of 16 words; what is contiguous
// along m or n, word by word along k.  So both are read in quads from memory and written as
// vectors. Rows are padded to 20 words, and to 8 more than a multiple of 32: then the 32 words of a
// fragment lie in 32 banks.  2 x (10 or 8.5 KiB + 5 or 4.5 KiB), at most 30 KiB.
//
// Bytes and multiply-adds, per step and block: reads (128 + 64) x 4 bytes a value of k, multiplies
// 128 x 64: 10.7 multiply-adds a byte of L2 or memory.  From shared memory a warp reads 16 words a
// lane for 8 instructions.  Expected bound: in bf16 the loads, in tf32 both alike; where n is 32
// half of the tile idles.  Not yet measured.
//
// Sums run in rising k through the instructions, each of which adds its 16 or 8 products in the
// device's own way; pieces as in product.h.
#pragma once

#include "cuda/mma.h"
#include "cuda/operand.h"

namespace satin::cuda {

inline constexpr int kMmaThreads = 256, kMmaTileM = 128, kMmaTileN = 64, kStepWords = 16;

/// One step of an operand in shared memory: kRows rows (or columns) of kStepWords words.
template <class X, int kRows>
struct MmaTile {
  static constexpr bool kDeep = X::kAlong == Along::depth;
  static constexpr int kRow = kDeep ? kStepWords + 4 : 1;  ///< words from a row to the next
  static constexpr int kWord = kDeep ? 1 : kRows + 8;      ///< and along k
  alignas(16) uint32_t word[kDeep ? kRows * kRow : kStepWords * kWord];

  __host__ __device__ uint32_t& at(int row, int k) { return word[row * kRow + k * kWord]; }
};

template <class A, class B>
struct MmaTiles {
  struct {
    MmaTile<A, kMmaTileM> a;
    MmaTile<B, kMmaTileN> b;
  } buffer[2];
};

/// A thread's share of the next step: quads that were read and not written yet.
template <class T, class X, int kRows>
struct MmaShare {
  static constexpr int kDepth = kStepWords * T::kPerWord;
  static constexpr int kQuads = kRows * kDepth / 4 / kMmaThreads;
  Quad quad[kQuads];

  /// Where quad q of this thread begins.  Neighboring threads read neighboring memory; a thread has
  /// both halves of its words.
  static SATIN_DEVICE void place(int q, int& row, int& k) {
    const int t = static_cast<int>(threadIdx.x);
    if constexpr (X::kAlong == Along::depth) {
      row = t / (kDepth / 4) + q * (kMmaThreads / (kDepth / 4));
      k = t % (kDepth / 4) * 4;
    } else {
      constexpr int kAcross = kRows / 4;
      row = t % kAcross * 4;
      k = (t / kAcross + q / T::kPerWord * (kMmaThreads / kAcross)) * T::kPerWord + q % T::kPerWord;
    }
  }

  SATIN_DEVICE void read(const X& x, int64_t g, int64_t i0, int64_t rows, int64_t k0, int64_t end) {
    SATIN_UNROLL
    for (int q = 0; q < kQuads; ++q) {
      int row, k;
      place(q, row, k);
      quad[q] = read_quad(x, g, i0 + row, rows, k0 + k, end);
    }
  }

  SATIN_DEVICE void write(MmaTile<X, kRows>& tile) const {
    SATIN_UNROLL
    for (int q = 0; q < kQuads; q += X::kAlong == Along::depth ? 1 : T::kPerWord) {
      int row, k;
      place(q, row, k);
      uint32_t* to = &tile.at(row, k / T::kPerWord);
      const Quad& x = quad[q];
      if constexpr (T::kPerWord == 1)
        *reinterpret_cast<uint4*>(to) =
            uint4{T::pack(x.v[0]), T::pack(x.v[1]), T::pack(x.v[2]), T::pack(x.v[3])};
      else if constexpr (X::kAlong == Along::depth)
        *reinterpret_cast<uint2*>(to) = uint2{T::pack(x.v[0], x.v[1]), T::pack(x.v[2], x.v[3])};
      else {
        const Quad& next = quad[q + 1];
        *reinterpret_cast<uint4*>(to) =
            uint4{T::pack(x.v[0], next.v[0]), T::pack(x.v[1], next.v[1]),
                  T::pack(x.v[2], next.v[2]), T::pack(x.v[3], next.v[3])};
      }
    }
  }
};

/// Fragments of 16 rows, or of two times 8 columns, and 8 words of k from (row, k) on.
template <class X, int kRows>
SATIN_DEVICE FragmentA fragment_a(MmaTile<X, kRows>& tile, int row, int k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if constexpr (X::kAlong == Along::depth) {
    return load_rows(&tile.at(row + lane % 16, k + lane / 16 * 4));
  } else {
    FragmentA a;
    SATIN_UNROLL
    for (int i = 0; i < 4; ++i) a.word[i] = tile.at(row + a_row(lane, i), k + a_word(lane, i));
    return a;
  }
}
template <class X, int kRows>
SATIN_DEVICE void fragments_b(FragmentB (&b)[2], MmaTile<X, kRows>& tile, int col, int k) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if constexpr (X::kAlong == Along::depth) {
    const FragmentA both =
        load_rows(&tile.at(col + lane / 16 * 8 + lane % 8, k + lane / 8 % 2 * 4));
    SATIN_UNROLL
    for (int i = 0; i < 4; ++i) b[i / 2].word[i % 2] = both.word[i];
  } else {
    SATIN_UNROLL
    for (int i = 0; i < 4; ++i)
      b[i / 2].word[i % 2] = tile.at(col + i / 2 * kMmaCols + b_col(lane), k + b_word(lane, i % 2));
  }
}

/// The kernel of product.h for MmaBf16 or MmaTf32.
template <class T, class A, class B, class C>
__global__ void __launch_bounds__(kMmaThreads, 2)
    product_mma_kernel(Product p, A a, B b, C c, float* y, float* partial) {
  auto& s = shared<MmaTiles<A, B>>();
  constexpr int kDepth = kStepWords * T::kPerWord;
  const int64_t tiles_n = (p.n + kMmaTileN - 1) / kMmaTileN;
  const int64_t i0 = blockIdx.x / tiles_n * kMmaTileM, j0 = blockIdx.x % tiles_n * kMmaTileN;
  const int64_t piece = blockIdx.y, begin = p.begin(piece), end = p.begin(piece + 1);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row0 = warp / 2 * 32, col0 = warp % 2 * 32;
  int now = 0;
  for (int64_t g = blockIdx.z; g < p.batch; g += gridDim.z) {
    FragmentC sum[2][4] = {};
    MmaShare<T, A, kMmaTileM> next_a;
    MmaShare<T, B, kMmaTileN> next_b;
    next_a.read(a, g, i0, p.m, begin, end);
    next_b.read(b, g, j0, p.n, begin, end);
    for (int64_t k0 = begin; k0 < end; k0 += kDepth) {
      auto& tile = s.buffer[now];
      next_a.write(tile.a);
      next_b.write(tile.b);
      __syncthreads();  // and whoever writes this buffer again has passed the next one
      next_a.read(a, g, i0, p.m, k0 + kDepth, end);
      next_b.read(b, g, j0, p.n, k0 + kDepth, end);
      SATIN_UNROLL
      for (int k = 0; k < kStepWords; k += kMmaWords) {
        FragmentA fa[2];
        SATIN_UNROLL
        for (int i = 0; i < 2; ++i) fa[i] = fragment_a(tile.a, row0 + i * kMmaRows, k);
        SATIN_UNROLL
        for (int j = 0; j < 4; j += 2) {
          FragmentB fb[2];
          fragments_b(fb, tile.b, col0 + j * kMmaCols, k);
          SATIN_UNROLL
          for (int i = 0; i < 2; ++i) SATIN_UNROLL
          for (int e = 0; e < 2; ++e) sum[i][j + e] = T::multiply(fa[i], fb[e], sum[i][j + e]);
        }
      }
      now ^= 1;
    }
    RowSums<C, 8, 32> sums;
    SATIN_UNROLL
    for (int i = 0; i < 2; ++i) SATIN_UNROLL
    for (int j = 0; j < 4; ++j) SATIN_UNROLL
    for (int e = 0; e < 4; ++e)
      put(p, c, y, partial, piece, g, i0 + row0 + i * kMmaRows + c_row(lane, e),
          j0 + col0 + j * kMmaCols + c_col(lane, e), sum[i][j].value[e], sums, 2 * j + e % 2);
    sums.store(p, c, &s, warp / 2 * 8 + lane / 4,
               g * ((p.m + kMmaTileM - 1) / kMmaTileM) + i0 / kMmaTileM, j0, kMmaTileN,
               [&](int i) { return col0 + i / 2 * kMmaCols + c_col(lane, i % 2); });
  }
}

}  // namespace satin::cuda
