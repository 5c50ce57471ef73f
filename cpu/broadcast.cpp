#include "tensor/broadcast.h"

#include "cpu/copy.h"
#include "cpu/lanes.h"

namespace satin::cpu::SATIN_ISA {

void broadcast_to(const Call& call) {
  const View &x = call.in[0], &y = call.out[0];
  if (y.shape.size() == 0) return;
  int64_t xs[kMaxRank];
  broadcast_strides(x.shape, y.shape, xs);
  const auto ys = y.shape.strides();
  Loop<2> loop;
  for (int i = 0; i < y.shape.rank(); ++i) loop.axis(y.shape[i], {ys[i], xs[i]});
  with_bits(y.dtype, [&](auto bits) {
    copy_loop(call, loop, y.as<decltype(bits)>(), x.as<decltype(bits)>());
  });
}

namespace {

// sum_to splits the axes of x in those that stay (of extent `kept`) and those that are summed; each
// is a loop of its own.  Long sums are cut into pieces of kPiece terms, each summed on its own into
// scratch; the pieces of one result are then added in their order.  Pieces depend on the shapes
// alone.
constexpr int64_t kPiece = 4096;

/// Steps through the elements of a loop in order.
struct Walker {
  const Loop<1>& loop;
  int64_t index[kMaxRank] = {};
  int64_t offset = 0;

  Walker(const Loop<1>& l, int64_t i) : loop(l) {
    for (int a = loop.rank - 1; a >= 0; --a) {
      index[a] = i % loop.extent[a];
      offset += index[a] * loop.stride[0][a];
      i /= loop.extent[a];
    }
  }
  void next() {
    for (int a = loop.rank - 1; a >= 0; --a) {
      offset += loop.stride[0][a];
      if (++index[a] < loop.extent[a]) return;
      index[a] = 0;
      offset -= loop.stride[0][a] * loop.extent[a];
    }
  }
};

struct SumPlan {
  Loop<1> kept, summed;
  int64_t results, terms, pieces;
  bool rows;  // the innermost kept axis is contiguous in x (otherwise the innermost summed axis is)

  int64_t begin(int64_t piece) const { return piece * kPiece; }
  int64_t end(int64_t piece) const {
    return (piece + 1) * kPiece < terms ? (piece + 1) * kPiece : terms;
  }
};

SumPlan plan_of(const Shape& x, const Shape& y) {
  SumPlan plan;
  int64_t ys[kMaxRank];
  broadcast_strides(y, x, ys);
  const auto xs = x.strides();
  const int lead = x.rank() - y.rank();
  for (int i = 0; i < x.rank(); ++i) {
    const bool stays = i >= lead && y[i - lead] == x[i];
    if (stays)
      plan.kept.axis(x[i], {xs[i]});
    else
      plan.summed.axis(x[i], {xs[i]});
  }
  plan.results = y.size();
  plan.terms = plan.results > 0 ? x.size() / plan.results : 0;
  plan.pieces = plan.terms > 0 ? (plan.terms + kPiece - 1) / kPiece : 1;
  plan.rows = plan.kept.rank > 0 && plan.kept.inner_stride(0) == 1;
  return plan;
}

template <class T>
T* partials(const Call& call, const SumPlan& plan) {
  return plan.pieces > 1 ? static_cast<T*>(call.scratch) : call.out[0].as<T>();
}

// --- the plain loops ---------------------------------------------------------------------------

/// Pairwise sum of terms [begin, end) at x: error grows with the logarithm of their number.
template <class T>
T pairwise(const T* x, const Loop<1>& summed, int64_t begin, int64_t end) {
  if (end - begin <= 32) {
    T sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += x[offset_of(summed, i)];
    return sum;
  }
  const int64_t middle = begin + (end - begin) / 2;
  return pairwise(x, summed, begin, middle) + pairwise(x, summed, middle, end);
}

template <class T>
void sum_plainly(const Call& call, const SumPlan& plan) {
  const T* x = call.in[0].as<T>();
  T* partial = partials<T>(call, plan);
  parallel_for(call, plan.results * plan.pieces, [&](int64_t task) {
    const int64_t piece = task % plan.pieces, result = task / plan.pieces;
    partial[piece * plan.results + result] =
        pairwise(x + offset_of(plan.kept, result), plan.summed, plan.begin(piece), plan.end(piece));
  });
}

// --- sums of rows: results that are neighbours are summed side by side -------------------------

constexpr int64_t kStrip = 256;  // results summed side by side at most
constexpr int64_t kFew = 32;     // terms summed one after the other

/// The sums of the terms of `walker`, B vectors of results at once.
template <class T, int B>
SATIN_INLINE void add_rows(const T* x, Walker walker, int64_t terms, T* sum) {
  Vec<T> acc[B] = {};
  for (int64_t i = 0; i < terms; ++i, walker.next()) {
    SATIN_UNROLL
    for (int b = 0; b < B; ++b) acc[b] += load(x + walker.offset + b * kLanes<T>);
  }
  SATIN_UNROLL
  for (int b = 0; b < B; ++b) store(sum + b * kLanes<T>, acc[b]);
}

/// As pairwise, for n neighbouring results; the second half is summed on the stack.
template <class T>
void pairwise_rows(
    const T* x, const Loop<1>& summed, int64_t begin, int64_t end, int64_t n, T* sum) {
  if (end - begin > kFew) {
    T second[kStrip];
    const int64_t middle = begin + (end - begin) / 2;
    pairwise_rows(x, summed, begin, middle, n, sum);
    pairwise_rows(x, summed, middle, end, n, second);
    for (int64_t j = 0; j < n; ++j) sum[j] += second[j];
    return;
  }
  constexpr int kStep = kLanes<T>;
  const Walker walker(summed, begin);
  const int64_t terms = end - begin;
  int64_t j = 0;
  for (; j + 8 * kStep <= n; j += 8 * kStep) add_rows<T, 8>(x + j, walker, terms, sum + j);
  for (; j + 2 * kStep <= n; j += 2 * kStep) add_rows<T, 2>(x + j, walker, terms, sum + j);
  for (; j + kStep <= n; j += kStep) add_rows<T, 1>(x + j, walker, terms, sum + j);
  for (; j < n; ++j) {
    Walker one = walker;
    T s = 0;
    for (int64_t i = 0; i < terms; ++i, one.next()) s += x[j + one.offset];
    sum[j] = s;
  }
}

template <class T>
void sum_rows(const Call& call, const SumPlan& plan) {
  const T* x = call.in[0].as<T>();
  T* partial = partials<T>(call, plan);
  const int64_t row = plan.kept.inner(), strips = (row + kStrip - 1) / kStrip,
                runs = plan.kept.runs();
  const int64_t each = (plan.terms < kPiece ? plan.terms : kPiece) * (row < kStrip ? row : kStrip);
  parallel_chunks(
      call, runs * strips * plan.pieces, 16384 / (each + 1) + 1, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task) {
          const int64_t piece = task % plan.pieces, strip = task / plan.pieces % strips,
                        run = task / plan.pieces / strips;
          const int64_t at = strip * kStrip, n = row - at < kStrip ? row - at : kStrip;
          int64_t start[1];
          plan.kept.start(run, start);
          pairwise_rows(x + start[0] + at, plan.summed, plan.begin(piece), plan.end(piece), n,
                        partial + piece * plan.results + run * row + at);
        }
      });
}

// --- sums along memory: the terms of a result are summed in lanes, then across them ------------

constexpr int64_t kBlock = 512;  // terms summed into the lanes of one vector

/// Terms [begin, end) in lanes; the terms lie in contiguous runs.
template <class T>
SATIN_INLINE Vec<T> lanes_of(const T* x, const Loop<1>& summed, int64_t begin, int64_t end) {
  constexpr int kStep = kLanes<T>;
  const int64_t inner = summed.inner();
  Vec<T> sum{};
  while (begin < end) {
    const int64_t in_run = begin % inner;
    const int64_t n = inner - in_run < end - begin ? inner - in_run : end - begin;
    int64_t start[1];
    summed.start(begin / inner, start);
    const T* run = x + start[0] + in_run;
    int64_t i = 0;
    for (; i + kStep <= n; i += kStep) sum += load(run + i);
    if (i < n) sum += load_part(run + i, n - i);
    begin += n;
  }
  return sum;
}

template <class T>
T pairwise_blocks(const T* x, const Loop<1>& summed, int64_t begin, int64_t end) {
  if (end - begin <= kBlock) return sum_lanes<T>(lanes_of(x, summed, begin, end));
  const int64_t middle = begin + ((end - begin) / 2 + kBlock - 1) / kBlock * kBlock;
  return pairwise_blocks(x, summed, begin, middle) + pairwise_blocks(x, summed, middle, end);
}

template <class T>
void sum_along(const Call& call, const SumPlan& plan) {
  constexpr int kStep = kLanes<T>;
  const T* x = call.in[0].as<T>();
  T* partial = partials<T>(call, plan);
  if (plan.terms > kBlock) {
    parallel_for(call, plan.results * plan.pieces, [&](int64_t task) {
      const int64_t piece = task % plan.pieces, result = task / plan.pieces;
      partial[piece * plan.results + result] = pairwise_blocks(
          x + offset_of(plan.kept, result), plan.summed, plan.begin(piece), plan.end(piece));
    });
    return;
  }
  // Few terms: as many results at once as there are lanes.
  const int64_t groups = (plan.results + kStep - 1) / kStep;
  parallel_chunks(
      call, groups, 16384 / (plan.terms * kStep + 1) + 1, [&](int64_t first, int64_t last) {
        Walker at(plan.kept, first * kStep);
        for (int64_t group = first; group < last; ++group) {
          const int64_t result = group * kStep;
          const int64_t n = plan.results - result < kStep ? plan.results - result : kStep;
          Vec<T> sums[kStep] = {};
          for (int64_t r = 0; r < n; ++r, at.next())
            sums[r] = lanes_of(x + at.offset, plan.summed, 0, plan.terms);
          store_part(partial + result, sum_across<T>(sums), n);
        }
      });
}

template <class T>
void sum_all(const Call& call) {
  const SumPlan plan = plan_of(call.in[0].shape, call.out[0].shape);
  T* y = call.out[0].as<T>();
  if (plan.terms == 0) return clear(call, call.out[0]);
  if (wants_plain(call))
    sum_plainly<T>(call, plan);
  else if (plan.rows)
    sum_rows<T>(call, plan);
  else
    sum_along<T>(call, plan);
  if (plan.pieces > 1) {
    const T* partial = partials<T>(call, plan);
    parallel_chunks(call, plan.results, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = partial[i];
      for (int64_t p = 1; p < plan.pieces; ++p)
        for (int64_t i = begin; i < end; ++i) y[i] += partial[p * plan.results + i];
    });
  }
}

}  // namespace

void sum_to(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) { sum_all<decltype(t)>(call); });
}

int64_t sum_to_scratch(const Call& call) {
  const SumPlan plan = plan_of(call.in[0].shape, call.out[0].shape);
  return plan.pieces > 1
             ? plan.pieces * plan.results * static_cast<int64_t>(size_of(call.out[0].dtype))
             : 0;
}

}  // namespace satin::cpu::SATIN_ISA
