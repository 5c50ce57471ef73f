#include "tensor/broadcast.h"

#include "cpu/copy.h"

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

struct SumPlan {
  Loop<1> kept, summed;
  int64_t results, terms, pieces;
  bool rows;  // the innermost kept axis is contiguous in x: sum rows, not single elements
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

/// The offset of element i of a loop.
inline int64_t offset_of(const Loop<1>& loop, int64_t i) {
  int64_t offset = 0;
  for (int a = loop.rank - 1; a >= 0; --a) {
    offset += (i % loop.extent[a]) * loop.stride[0][a];
    i /= loop.extent[a];
  }
  return offset;
}

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

/// As pairwise, for n neighbouring results at once; the first half is summed into `sum`, the second
/// on the stack in strips of a few vectors.
constexpr int64_t kStrip = 64;
template <class T>
void pairwise_rows(
    const T* x, const Loop<1>& summed, int64_t begin, int64_t end, int64_t n, T* sum) {
  if (end - begin <= 32) {
    for (int64_t j = 0; j < n; ++j) sum[j] = 0;
    for (int64_t i = begin; i < end; ++i) {
      const T* row = x + offset_of(summed, i);
      for (int64_t j = 0; j < n; ++j) sum[j] += row[j];
    }
    return;
  }
  T second[kStrip];
  const int64_t middle = begin + (end - begin) / 2;
  pairwise_rows(x, summed, begin, middle, n, sum);
  pairwise_rows(x, summed, middle, end, n, second);
  for (int64_t j = 0; j < n; ++j) sum[j] += second[j];
}

template <class T>
void sum_rows(const Call& call, const SumPlan& plan, T* partial) {
  const T* x = call.in[0].as<T>();
  const int64_t row = plan.kept.inner(), strips = (row + kStrip - 1) / kStrip,
                runs = plan.kept.runs();
  parallel_for(call, runs * strips * plan.pieces, [&](int64_t task) {
    const int64_t piece = task % plan.pieces, strip = task / plan.pieces % strips,
                  run = task / plan.pieces / strips;
    const int64_t first = strip * kStrip, n = row - first < kStrip ? row - first : kStrip;
    const int64_t begin = piece * kPiece,
                  end = begin + kPiece < plan.terms ? begin + kPiece : plan.terms;
    int64_t start[1];
    plan.kept.start(run, start);
    pairwise_rows(x + start[0] + first, plan.summed, begin, end, n,
                  partial + piece * plan.results + run * row + first);
  });
}

template <class T>
void sum_elements(const Call& call, const SumPlan& plan, T* partial) {
  const T* x = call.in[0].as<T>();
  const int64_t grain = plan.terms < 2048 ? 2048 / (plan.terms + 1) + 1 : 1;
  parallel_chunks(call, plan.results * plan.pieces, grain, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t piece = task % plan.pieces, result = task / plan.pieces;
      const int64_t begin = piece * kPiece,
                    end = begin + kPiece < plan.terms ? begin + kPiece : plan.terms;
      partial[piece * plan.results + result] =
          pairwise(x + offset_of(plan.kept, result), plan.summed, begin, end);
    }
  });
}

template <class T>
void sum_all(const Call& call) {
  const SumPlan plan = plan_of(call.in[0].shape, call.out[0].shape);
  T* y = call.out[0].as<T>();
  T* partial = plan.pieces > 1 ? static_cast<T*>(call.scratch) : y;
  if (plan.rows)
    sum_rows(call, plan, partial);
  else
    sum_elements(call, plan, partial);
  if (plan.pieces > 1)
    parallel_chunks(call, plan.results, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T sum = 0;
        for (int64_t p = 0; p < plan.pieces; ++p) sum += partial[p * plan.results + i];
        y[i] = sum;
      }
    });
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
