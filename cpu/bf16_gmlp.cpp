// The multi-axis gMLP with products in bf16; read cpu/multi_axis_gmlp.cpp first.
//
// Rows go through in chunks of two tiles or four.  Only what a product reads is rounded, where it
// is produced: the normalized rows, u, LN(b) (in pairs of pixels: it is the right side of P's
// product) and the gate.  u and gate lie side by side, as W2 over Wo W2 wants them.
#include "cpu/bf16_gmlp.h"

namespace satin::cpu::SATIN_ISA::bf16 {
namespace {

/// What a group is worked at in.
struct Slot {
  float* x[2];                   ///< [S, c], of the group at work and of the next
  float* a;                      ///< [S, b]
  Half* ug;                      ///< [S, 2 b]: u and the gate
  Half* b;                       ///< LN(b), the right side of a product
  Half *normed_x, *normed_u;     ///< a chunk of rows before a product
  float* raw;                    ///< and behind it
  int64_t x_row, u_row, pixels;  ///< padded

  Slot(const Branch<float>& w, Memory& from)
      : x_row(whole_vectors<float>(w.c)),
        u_row(up_to(w.b, kDepth)),
        pixels(up_to(w.pixels, kGroupRows)) {
    for (float*& group : x) group = from.take<float>(pixels * x_row);
    a = from.take<float>(pixels * u_row);
    ug = from.take<Half>(pixels * 2 * u_row);
    b = from.take<Half>(packed_halves(pixels / kDepth, w.b));
    const int64_t rows = chunk_rows(w.b);
    normed_x = from.take<Half>(rows * up_to(w.c, kDepth));
    normed_u = from.take<Half>(rows * u_row);
    raw = from.take<float>(rows * max_of(2 * u_row, up_to(w.c, kDepth)));
  }

  /// Zeros where nothing else is written: right of rows, if they are padded at all.
  void clear(const Branch<float>& w) const {
    if (w.b % kDepth == 0 && w.c % kDepth == 0 && w.pixels % kGroupRows == 0) return;
    for (int64_t i = 0; i < pixels * 2 * u_row; ++i) ug[i] = 0;
    for (int64_t i = 0; i < chunk_rows(w.b) * up_to(w.c, kDepth); ++i) normed_x[i] = 0;
    for (int64_t i = 0; i < chunk_rows(w.b) * u_row; ++i) normed_u[i] = 0;
  }
};

class Groups {
 public:
  Groups(const Branch<float>& w, const Weights& packed, const Slot& s)
      : w_(w), p_(packed), s_(s), cols_(packed.w1.cols), x_half_row_(up_to(w.c, kDepth)) {}

  /// Groups [begin, end).
  void run(int64_t begin, int64_t end) const {
    const Session session;
    s_.clear(w_);
    const auto gather = [&](int64_t g) {
      return Gather<float>(w_.places, g, w_.x, w_.c, s_.x[g % 2], s_.x_row,
                           6 * ceil_div(s_.pixels, chunk_rows(w_.b)), g < end);
    };
    gather(begin).rest();
    for (int64_t g = begin; g < end; ++g) {
      Gather<float> next = gather(g + 1);
      const float* x = s_.x[g % 2];
      const int64_t most = chunk_rows(w_.b);
      for (int64_t i = 0; i < w_.pixels; i += most) chunk(x, i, min_of(most, w_.pixels - i), next);
      Walk soon(w_.places, g), now(w_.places, g);
      for (int64_t i = 0; i < w_.pixels; i += most) {
        const int64_t rows = min_of(most, w_.pixels - i);
        fetch_for_writing(soon, rows, w_.y, w_.c);
        gate(i, rows, mixed_rows(w_, g));
        next.some();
        out(x, i, rows, now);
        next.some();
      }
      next.rest();
    }
    settle();
  }

 private:
  SATIN_INLINE void multiply_by(const Right& right,
                                const Half* a,
                                int64_t a_row,
                                int64_t rows) const {
    Block block{};
    block.a = a;
    block.a_row = a_row;
    block.b = right.elements;
    block.steps = right.depth / kDepth;
    block.c = s_.raw;
    block.c_row = right.cols;
    block.bias = right.bias;
    product(block, rows, right.cols);
  }

  /// x to u, a and LN(b) for rows [begin, begin + rows).
  void chunk(const float* x, int64_t begin, int64_t rows, Gather<float>& next) const {
    const int64_t u_row = s_.u_row, cols = cols_;
    const auto to_normed = [](Half* to, int64_t row) {
      return [=](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
        store_half(to + r * row + j, h);
      };
    };
    float* raw = s_.raw;
    normalize_rows(x + begin * s_.x_row, s_.x_row, rows, w_.c, w_.eps,
                   to_normed(s_.normed_x, x_half_row_));
    multiply_by(p_.w1, s_.normed_x, x_half_row_, rows);
    next.some();
    Half* u = s_.ug + begin * 2 * u_row;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        const F h = coarse_gelu(load(raw + r * cols + j));
        store(raw + r * cols + j, h);
        store_half(u + r * 2 * u_row + j, h);
      }
    normalize_rows(raw, cols, rows, w_.b, w_.eps, to_normed(s_.normed_u, u_row));
    next.some();
    multiply_by(p_.ab, s_.normed_u, u_row, rows);
    float* a = s_.a + begin * cols;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        store(a + r * cols + j, coarse_gelu(load(raw + r * 2 * cols + j)));
        store(raw + (r * 2 + 1) * cols + j, coarse_gelu(load(raw + (r * 2 + 1) * cols + j)));
      }
    next.some();
    const float *gamma = p_.gate_gamma, *beta = p_.gate_beta;
    normalize_rows(
        raw + cols, 2 * cols, rows, w_.b,
        w_.eps, [&](int64_t r, int64_t j, F h) __attribute__((always_inline)) {
          store(raw + (r * 2 + 1) * cols + j, load(gamma + j) * h + load(beta + j));
        });
    pair_up(begin, rows);
    next.some();
  }

  /// LN(b) from raw into its place: pixels two by two, zeros behind the last one.
  void pair_up(int64_t begin, int64_t rows) const {
    const int64_t panel = s_.pixels / kDepth * kStep, cols = cols_;
    const float* raw = s_.raw;
    for (int64_t r = 0; r < up_to(rows, kDepth); r += 2) {
      Half* to = s_.b + (begin + r) / kDepth * kStep + r % kDepth / 2 * kDepth;
      for (int64_t j = 0; j < cols; j += kLanes<float>) {
        const float* from = raw + (r * 2 + 1) * cols + j;
        const F even = r < rows ? load(from) : F{},
                odd = r + 1 < rows ? load(from + 2 * cols) : F{};
        store_pairs(to + j / kSide * panel + j % kSide * 2, even, odd);
      }
    }
  }

  /// a to the gate: a (P b + pb + 1); mixed: the group's rows of P b, or null.
  void gate(int64_t begin, int64_t rows, float* mixed) const {
    Block block{};
    block.a_row = apart(up_to(w_.pixels, kDepth));
    block.a = p_.p + begin * block.a_row;
    block.b = s_.b;
    block.steps = s_.pixels / kDepth;
    block.c = s_.raw;
    block.c_row = cols_;
    product(block, rows, cols_);
    const int64_t cols = cols_;
    const float *a = s_.a + begin * cols, *raw = s_.raw;
    for (int64_t r = 0; r < rows; ++r) {
      const F pb = splat<float>(p_.pb[begin + r]);
      Half* to = s_.ug + ((begin + r) * 2 + 1) * s_.u_row;
      for (int64_t j = 0; j < cols; j += kLanes<float>)
        store_half(to + j, load(a + r * cols + j) * (load(raw + r * cols + j) + pb));
    }
    for (int64_t r = 0; mixed && r < rows; ++r)
      copy_row_far(mixed + (begin + r) * w_.b, raw + r * cols, w_.b);
  }

  /// u and the gate to y.
  void out(const float* x, int64_t begin, int64_t rows, Walk& places) const {
    multiply_by(p_.out, s_.ug + begin * 2 * s_.u_row, 2 * s_.u_row, rows);
    for (int64_t r = 0; r < rows; ++r) {
      const float* sum = s_.raw + r * p_.out.cols;
      float* y = w_.y + places.take() * w_.c;
      const float* from = w_.first ? x + (begin + r) * s_.x_row : y;
      int64_t j = 0;
      for (; j + kLanes<float> <= w_.c; j += kLanes<float>)
        store(y + j, load(from + j) + load(sum + j));
      for (; j < w_.c; ++j) y[j] = from[j] + sum[j];
    }
  }

  const Branch<float>& w_;
  const Weights& p_;
  const Slot& s_;
  const int64_t cols_, x_half_row_;
};

/// The weights of all branches, packed one behind the other.
struct AllWeights {
  Branch<float> branch[2];
  Weights packed[2];
  int branches;
  int64_t floats;

  AllWeights(std::span<const View> weights, void* at) : branches(branches_of(weights)) {
    Memory from = at ? Memory(at) : Memory();  // none: only the size is wanted
    for (int k = 0; k < branches; ++k) {
      branch[k] = Branch<float>(weights, k);
      packed[k] = Weights(branch[k], from);
    }
    floats = from.floats();
  }
  void pack(const Call& call) const {
    constexpr int64_t kTasks = Weights::kTasks;
    parallel_for(call, branches * kTasks, [&](int64_t task) {
      packed[task / kTasks].pack(branch[task / kTasks], task % kTasks);
    });
  }
};

int64_t slot_bytes(const Branch<float>& w) {
  Memory from;
  const Slot slot(w, from);
  return from.taken();
}

}  // namespace

bool takes_multi_axis_gmlp(const Call&) { return true; }

/// Scratch: a slot for every worker, then the packed weights if they are not given.
void multi_axis_gmlp(const Call& call) {
  if (call.out[0].shape.size() == 0) return;
  char* slots = static_cast<char*>(call.scratch);
  const Branch<float> first(call, 0);
  const int64_t size = slot_bytes(first), groups = first.places.count(), pieces = pieces_of(groups),
                workers = workers_of(groups);
  const AllWeights weights(call.in.subspan(1),
                           call.packed ? call.packed->data : slots + workers * size);
  if (!call.packed) weights.pack(call);
  for (int k = 0; k < weights.branches; ++k)
    parallel_workers(call, workers, pieces, [&](int64_t worker, int64_t piece) {
      const Branch<float> w(call, k);
      Memory of_worker(slots + worker * size);
      const Slot slot(w, of_worker);
      Groups(w, weights.packed[k], slot)
          .run(groups * piece / pieces, groups * (piece + 1) / pieces);
    });
}

int64_t multi_axis_gmlp_scratch(const Call& call) {
  const Branch<float> w(call, 0);
  const int64_t packed = call.packed ? 0 : AllWeights(call.in.subspan(1), nullptr).floats * 4;
  return workers_of(w.places.count()) * slot_bytes(w) + packed;
}

Packing multi_axis_gmlp_packing(const Call& call) {
  Packing packing{};
  packing.elements = AllWeights(call.in.subspan(1), nullptr).floats;
  for (size_t i = 1; i < call.in.size(); ++i) packing.inputs |= 1u << i;
  return packing;
}

void multi_axis_gmlp_pack(const Call& call) { AllWeights(call.in, call.out[0].data).pack(call); }

}  // namespace satin::cpu::SATIN_ISA::bf16
