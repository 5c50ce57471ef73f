// The checks of one case, in the order of opcheck.h; start at Checker::all().  How a failure reads,
// how cases are counted and where inputs come from is in opcheck_cases.cpp.  All checks are one
// class, read from top to bottom, hence more than 500 lines.
#include "opcheck.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "autograd/grad.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "evaluate.h"
#include "opcheck_report.h"
#include "tensor/broadcast.h"
#include "tensor/cost.h"
#include "tensor/permute.h"
#include "tensor/precision.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin::opcheck {
namespace {

using testing::Bytes;
using testing::decode;
using testing::encode;
using testing::evaluate;
using testing::Random;
using testing::run_program;

constexpr double kForwardF64 = 1e-12;
constexpr double kDerivative = 1e-7;
constexpr double kSecond = 1e-6;
constexpr double kLinear = 1e-13;
constexpr double kMutation = 1 + 1e-3;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double norm_of_products(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i] * a[i] * b[i];
  return std::sqrt(sum);
}

ThreadPool& pool_of(int threads) {
  static ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(7)};
  return pools[threads == 7 ? 3 : threads - 1];
}

/// A compiled graph in f64 that is run many times: the functions that differences are taken of.
class Function {
 public:
  Function(const Tensors& outputs, const Tensors& inputs, double step)
      : outputs_(outputs), inputs_(inputs), program_(outputs, cpu::backend()), step_(step) {}

  std::vector<std::vector<double>> operator()(const Arrays& x) {
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (testing::reads(program_, inputs_[i])) program_.write<double>(inputs_[i], x[i].data);
    program_.run();
    std::vector<std::vector<double>> y;
    for (const Tensor& t : outputs_) y.push_back(program_.read<double>(t));
    return y;
  }

  /// J v for a direction v in input k, by differences of fourth order.
  std::vector<std::vector<double>> along(const Arrays& x, size_t k, const std::vector<double>& v) {
    const double step = step_;
    const auto at = [&](double h) {
      Arrays moved = x;
      for (size_t i = 0; i < v.size(); ++i) moved[k].data[i] += h * v[i];
      return (*this)(moved);
    };
    const auto a = at(step), b = at(-step), c = at(2 * step), d = at(-2 * step);
    auto jv = a;
    for (size_t o = 0; o < jv.size(); ++o)
      for (size_t i = 0; i < jv[o].size(); ++i)
        jv[o][i] = (8 * (a[o][i] - b[o][i]) - (c[o][i] - d[o][i])) / (12 * step);
    return jv;
  }

 private:
  Tensors outputs_, inputs_;
  Program program_;
  double step_;
};

/// The instruction sets with f32 and f64 kernels of their own; amx runs avx512's.
std::vector<cpu::Isa> own_kernels() {
  std::vector<cpu::Isa> isas = cpu::available_isas();
  std::erase(isas, cpu::Isa::amx);
  return isas;
}

class Checker {
 public:
  Checker(const Case& c, CaseName name) : c_(c), name_(std::move(name)), random_(name_.seed) {}

  void all() {
    const Arrays x = draw(c_, name_.seed);
    Tensors leaves = leaves_of(x, DType::f64);
    const Tensors built = c_.build(leaves);
    holds_row(built);
    const bool stores = info(name_.row).storage_dtypes;
    std::vector<DType> dtypes = {DType::f64, DType::f32};
    if (stores) dtypes.insert(dtypes.end(), {DType::bf16, DType::f16});
    for (const DType t : dtypes) {
      name_.dtype = t;
      forward(t);
      if (!on_gpu()) views(t);
    }
    name_.dtype = DType::f32;
    for (const Precision p : {Precision::bf16, Precision::tf32}) products_in(p);
    if (on_gpu()) return;
    name_.dtype = DType::f64;
    if (info(name_.row).rule == RuleKind::none) return;  // adam_update: nothing to differentiate
    if (!c_.smooth) return;
    first_order(leaves, built, x);
  }

 private:
  static Tensors leaves_of(const Arrays& x, DType dtype) {
    Tensors leaves;
    for (const Array& a : x) leaves.push_back(input(a.shape, dtype));
    return leaves;
  }

  /// A case of a row must run that row, or it checks something else.
  void holds_row(const Tensors& built) const {
    bool found = false;
    for (const NodePtr& node : nodes_of(built)) found = found || node->op == name_.row;
    if (!found) fails(name_, "case", "the graph it builds does not hold the operation");
  }

  /// The inputs as the dtype holds them, in f64 again, and their bytes.
  static Arrays rounded(const Arrays& x, DType t, std::vector<Bytes>& bytes) {
    Arrays result = x;
    bytes.clear();
    for (Array& a : result) {
      bytes.push_back(encode(a.data, t));
      a.data = decode(bytes.back(), t);
    }
    return result;
  }

  // --- forward, exact, memory, threads -----------------------------------------------------------

  void forward(DType t) {
    const bool wide = size_of(t) >= 4;
    std::vector<Bytes> bytes;
    const Arrays x = rounded(draw(c_, name_.seed, wide ? Draw::reals : Draw::integers), t, bytes);
    const Arrays expected = c_.oracle(x);
    const Tensors leaves = leaves_of(x, t), outputs = c_.build(leaves);
    check_shapes(outputs, expected, t);
    check_example(x, expected);
    const std::vector<cpu::Isa> isas = on_gpu() ? std::vector<cpu::Isa>{} : own_kernels();
    for (const cpu::Isa isa : isas) {
      for (const bool plain : {false, true}) {
        name_.path = cat(cpu::name_of(isa), plain ? " plain" : "");
        const Backend& backend = cpu::backend(isa);
        const Exec exec{.plain = plain};
        const auto y = run_program(outputs, leaves, bytes, backend, exec);
        compare_with_oracle("forward", x, expected, y, t);
        memory(outputs, leaves, bytes, backend, exec, y);
        const std::string fault =
            testing::fault_with_weights(c_.build, leaves, bytes, backend, exec, y);
        if (!fault.empty()) fails(name_, "weights", fault);
        if (!plain) threads(outputs, leaves, bytes, backend, y);
      }
      if (c_.exact) exact(t, cpu::backend(isa));
    }
    if (cuda::backend().computes(t) || !wide) on_cuda(outputs, leaves, bytes, x, expected, t);
    name_.path.clear();
  }

  /// On the simulator, where every access is watched, or on a GPU.  A second run goes through
  /// blocks and threads in another order, a third kernel by kernel: the same bits.
  void on_cuda(const Tensors& outputs,
               const Tensors& leaves,
               const std::vector<Bytes>& bytes,
               const Arrays& x,
               const Arrays& expected,
               DType t) {
    const Backend& backend = cuda::backend();
    name_.path = backend.name();
    const auto y = run_program(outputs, leaves, bytes, backend);
    compare_with_oracle("cuda", x, expected, y, t);
    if (run_program(outputs, leaves, bytes, backend) != y)
      fails(name_, "cuda", "other bits in another order of blocks and threads");
    memory(outputs, leaves, bytes, backend, {}, y);
  }

  void check_shapes(const Tensors& outputs, const Arrays& expected, DType t) const {
    bool equal = outputs.size() == expected.size();
    for (size_t o = 0; equal && o < outputs.size(); ++o)
      equal = outputs[o].shape() == expected[o].shape &&
              (name_.row == Op::cast || outputs[o].dtype() == t) &&
              static_cast<int64_t>(expected[o].data.size()) == expected[o].shape.size();
    if (!equal) fails(name_, "shape", "outputs have other shapes or dtypes than the oracle says");
  }

  void check_example(const Arrays&, const Arrays& expected) const {
    if (c_.given.empty()) return;
    bool equal = true;
    size_t i = 0;
    for (const Array& y : expected)
      for (const double value : y.data) {
        equal = equal && i < c_.expected.size() &&
                std::abs(value - c_.expected[i]) <= c_.expected_within;
        ++i;
      }
    if (!equal || i != c_.expected.size())
      fails(name_, "example", "the oracle does not give what the header's example says");
  }

  void compare_with_oracle(const char* check,
                           const Arrays& x,
                           const Arrays& expected,
                           const std::vector<Bytes>& y,
                           DType t) {
    for (size_t o = 0; o < expected.size(); ++o) {
      const std::vector<double> values = decode(y[o], output_dtype(t));
      const Array* input = !x.empty() && x[0].shape == expected[o].shape ? &x[0] : nullptr;
      Bound bound = c_.f32;
      if (t == DType::f64) bound = {Bound::nmse, kForwardF64 * kForwardF64};
      if (size_of(t) == 2) bound = {Bound::ulp, 0};
      if (t == DType::f64)
        compare(name_, check, worst_f64(expected[o].data, values), kForwardF64, values.size());
      else
        compare(name_, check, error_of(bound, expected[o].data, values, input), bound.limit,
                values.size());
    }
  }

  DType output_dtype(DType t) const {
    return name_.row == Op::cast ? c_.build(leaves_of(draw(c_, name_.seed), t))[0].dtype() : t;
  }

  void memory(const Tensors& outputs,
              const Tensors& leaves,
              const std::vector<Bytes>& bytes,
              const Backend& backend,
              const Exec& exec,
              const std::vector<Bytes>& y) {
    const testing::Evaluation alone = evaluate(outputs, leaves, bytes, backend, exec);
    if (!alone.fault.empty()) fails(name_, "memory", alone.fault);
    if (alone.outputs != y)
      fails(name_, "memory", "a planned run gives other bits than kernels run one by one");
    size_t size = 0;
    for (const Bytes& b : y) size += b.size();
    passes(name_, "memory", size);
  }

  void threads(const Tensors& outputs,
               const Tensors& leaves,
               const std::vector<Bytes>& bytes,
               const Backend& backend,
               const std::vector<Bytes>& y) {
    Program program(outputs, backend);
    size_t size = 0;
    for (const int n : {1, 2, 3, 7}) {
      for (size_t i = 0; i < leaves.size(); ++i)
        if (testing::reads(program, leaves[i])) program.write_bytes(leaves[i], bytes[i].data());
      ThreadPool& pool = pool_of(n);
      const int64_t before = testing::allocations();
      program.run({.pool = &pool});
      const int64_t allocated = testing::allocations() - before;
      if (allocated != 0) fails(name_, "memory", cat("a run allocates ", allocated, " times"));
      for (size_t o = 0; o < outputs.size(); ++o) {
        Bytes again(y[o].size());
        program.read_bytes(outputs[o], again.data());
        if (again != y[o]) fails(name_, "threads", cat("other bits with ", n, " threads"));
        size += again.size();
      }
    }
    passes(name_, "threads", size);
  }

  void exact(DType t, const Backend& backend) {
    std::vector<Bytes> bytes;
    const Arrays x = rounded(draw(c_, name_.seed, Draw::integers), t, bytes);
    const Arrays expected = c_.oracle(x);
    const Tensors leaves = leaves_of(x, t), outputs = c_.build(leaves);
    for (const bool plain : {false, true}) {
      const auto y = run_program(outputs, leaves, bytes, backend, {.plain = plain});
      for (size_t o = 0; o < expected.size(); ++o) {
        const std::vector<double> values = decode(y[o], outputs[o].dtype());
        double differing = 0;
        for (size_t i = 0; i < values.size(); ++i) differing += !(values[i] == expected[o].data[i]);
        compare(name_, "exact", differing, 0, values.size());
      }
    }
  }

  // --- products in bf16 and tf32 -----------------------------------------------------------------

  /// What rounding to nearest changes a number by, of itself at most: bf16 holds 8 bits, tf32 11.
  static constexpr double unit_of(Precision p) { return p == Precision::bf16 ? 0x1p-8 : 0x1p-11; }

  /// Sums of products, element by element: both operands are off by u of themselves at most, so the
  /// sum by 2u + u^2 of the sum of their sizes.
  static constexpr double sum_bar(Precision p) {
    const double u = unit_of(p);
    return 2 * u + u * u;
  }

  /// The same where tensor cores add `terms` products and a bias: each addition may lose 2^-23 of
  /// the sum of sizes, since they cut off what does not fit into f32.
  static double device_sum_bar(Precision p, double terms) {
    const double u = unit_of(p);
    return sum_bar(p) + (1 + u) * (1 + u) * std::expm1((terms + 1) * std::log1p(0x1p-23));
  }

  /// Composites, NMSE.  Rounding errors are independent of each other and, as those of numbers in
  /// one binade, of mean square u^2 / 3 at most.  A product meets two: of its right side, which is
  /// a weight, and of its left side, which goes the same way through all that follows.  So NMSE is
  /// twice what the weights cost when they alone are off at random by that much, however well or
  /// badly the case is conditioned: that is what the oracle is asked, in f64.  The square of one
  /// such error has 0.9 of its mean as standard deviation: n values may have three of 0.9 / sqrt(n)
  /// more than the mean.
  ///
  /// On the device composites may run as their compositions, where each product is rounded, also
  /// the few that act on whole channels.  Then errors of many values are one error, and n says
  /// nothing: three standard deviations are those of the draws.
  struct CompositeBar {
    double host, device;
  };
  CompositeBar composite_bar(Precision p, const Arrays& x, const Arrays& expected, size_t output) {
    constexpr int kDraws = 16;
    Random random(name_.seed);
    double sum = 0, squares = 0;
    for (int k = 0; k < kDraws; ++k) {
      Arrays off = x;
      for (size_t i = 1; i < off.size(); ++i)
        for (double& value : off[i].data) value *= 1 + random.uniform(-unit_of(p), unit_of(p));
      const double nmse =
          error_of({Bound::nmse, 0}, expected[output].data, c_.oracle(off)[output].data, nullptr);
      sum += nmse;
      squares += nmse * nmse;
    }
    const double mean = sum / kDraws;
    const double variance = std::max(0.0, (squares - sum * mean) / (kDraws - 1));
    return {2 * mean * (1 + 2.7 / std::sqrt(expected[output].data.size())),
            2 * (mean + 3 * std::sqrt(variance))};
  }

  /// The graph with its products in p, as this backend (null: the CPU's) runs it.
  Build build_in(Precision p, const Backend* backend) const {
    return [this, p, backend](const Tensors& t) {
      return in_precision(lower(c_.build(t), true, backend), p);
    };
  }

  void products_in(Precision p) {
    std::vector<Bytes> bytes;
    const Arrays x = rounded(draw(c_, name_.seed), DType::f32, bytes);
    const Tensors leaves = leaves_of(x, DType::f32);
    bool any = false;
    double terms = 0;
    for (const NodePtr& node : nodes_of(in_precision(c_.build(leaves), p))) {
      if (node->op != name_.row || node->precision != p) continue;
      any = true;
      const auto size = static_cast<double>(node->outputs[0].shape.size());
      if (size > 0) terms = std::max(terms, static_cast<double>(cost_of(*node).macs) / size);
    }
    if (!any) return;
    const Arrays expected = c_.oracle(x);
    Arrays sizes = x;
    for (Array& a : sizes)
      for (double& value : a.data) value = std::abs(value);
    sizes = c_.oracle(sizes);
    const bool composed = info(name_.row).kind == OpKind::composite && !c_.exact;
    std::vector<CompositeBar> nmse;
    for (size_t o = 0; composed && o < expected.size(); ++o)
      nmse.push_back(composite_bar(p, x, expected, o));

    const auto check = [&](const char* name, const Backend& backend, const Tensors& outputs,
                           double bar) {
      const auto y = run_program(outputs, leaves, bytes, backend);
      for (size_t o = 0; o < expected.size(); ++o) {
        const std::vector<double> values = decode(y[o], DType::f32);
        if (composed) {
          const double error = error_of({Bound::nmse, 0}, expected[o].data, values, nullptr);
          compare(name_, name, error, backend.on_host() ? nmse[o].host : nmse[o].device,
                  values.size());
          continue;
        }
        double worst = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          const double error = std::abs(values[i] - expected[o].data[i]);
          const double ratio = error == 0 ? 0 : error / sizes[o].data[i];
          worst = std::max(worst, std::isfinite(ratio) ? ratio : 1);
        }
        compare(name_, name, worst, bar, values.size());
      }
      memory(outputs, leaves, bytes, backend, {}, y);
      return y;
    };
    if (p == Precision::bf16 && !on_gpu()) {
      for (const cpu::Isa isa : cpu::available_isas()) {
        if (!cpu::multiplies_in_bf16(isa)) continue;
        name_.path = cat(cpu::name_of(isa), " bf16");
        const Build build = build_in(p, nullptr);
        const Tensors outputs = build(leaves);
        const Backend& backend = cpu::backend(isa);
        const auto y = check("forward", backend, outputs, sum_bar(p));
        const std::string fault = testing::fault_with_weights(build, leaves, bytes, backend, {}, y);
        if (!fault.empty()) fails(name_, "weights", fault);
        threads(outputs, leaves, bytes, backend, y);
        if (c_.exact) exact_in_precision(build, backend);
      }
    }
    const Backend& device = cuda::backend();
    name_.path = cat(device.name(), p == Precision::bf16 ? " bf16" : " tf32");
    const Build build = build_in(p, &device);
    const Tensors outputs = build(leaves);
    const auto y = check(p == Precision::bf16 ? "cuda bf16" : "cuda tf32", device, outputs,
                         device_sum_bar(p, terms));
    if (run_program(outputs, leaves, bytes, device) != y)
      fails(name_, "cuda", "other bits in another order of blocks and threads");
    if (c_.exact) exact_in_precision(build, device);
    name_.path.clear();
  }

  void exact_in_precision(const Build& build, const Backend& backend) {
    std::vector<Bytes> bytes;
    const Arrays x = rounded(draw(c_, name_.seed, Draw::integers), DType::f32, bytes);
    const Arrays expected = c_.oracle(x);
    const Tensors leaves = leaves_of(x, DType::f32), outputs = build(leaves);
    const auto y = run_program(outputs, leaves, bytes, backend);
    for (size_t o = 0; o < expected.size(); ++o) {
      const std::vector<double> values = decode(y[o], DType::f32);
      double differing = 0;
      for (size_t i = 0; i < values.size(); ++i) differing += !(values[i] == expected[o].data[i]);
      compare(name_, "exact", differing, 0, values.size());
    }
  }

  // --- views -------------------------------------------------------------------------------------

  /// x as a view or copy of `stored`, built so that kernels meet odd strides and addresses.
  struct Disguise {
    Array stored;
    std::function<Tensor(const Tensor&)> reveal;
  };

  static Disguise permuted(const Array& x) {  // stored with its axes reversed
    std::vector<int> reversed;
    std::vector<int64_t> extents;
    for (int i = x.shape.rank(); i-- > 0;) {
      reversed.push_back(i);
      extents.push_back(x.shape[i]);
    }
    Array stored = zeros(Shape(extents));
    for_each_index(x.shape, [&](const Index& index) {
      Index turned{};
      for (int i = 0; i < x.shape.rank(); ++i) turned[i] = index[x.shape.rank() - 1 - i];
      stored[offset_of(stored.shape, turned)] = x[offset_of(x.shape, index)];
    });
    return {stored, [reversed](const Tensor& t) { return permute(t, reversed); }};
  }

  static Disguise offset(const Array& x) {  // starts three elements inside a longer value
    const int64_t n = x.shape.size();
    Array stored = zeros({n + 5});
    std::copy(x.data.begin(), x.data.end(), stored.data.begin() + 3);
    const Shape shape = x.shape;
    return {stored, [=](const Tensor& t) { return reshape(slice(t, 0, 3, 3 + n), shape); }};
  }

  static Disguise strided(const Array& x) {  // every second element along the last axis
    if (x.shape.rank() == 0) return offset(x);
    const int last = x.shape.rank() - 1;
    const int64_t n = x.shape[last];
    Array stored = zeros(x.shape.with(last, 2 * n + 1));
    for_each_index(x.shape, [&](Index index) {
      const double value = x[offset_of(x.shape, index)];
      index[last] = 2 * index[last] + 1;
      stored[offset_of(stored.shape, index)] = value;
    });
    return {stored, [=](const Tensor& t) { return slice(t, last, 1, 2 * n + 1, 2); }};
  }

  /// The first axis repeated: x becomes what broadcasting its first row gives.
  static Disguise repeated(Array& x) {
    if (x.shape.rank() == 0 || x.shape[0] < 1) return offset(x);
    Array stored = zeros(x.shape.with(0, 1));
    const int64_t row = stored.shape.size();
    std::copy(x.data.begin(), x.data.begin() + row, stored.data.begin());
    for (int64_t i = 0; i < x.shape.size(); ++i) x[i] = stored[i % row];
    const Shape shape = x.shape;
    return {stored, [=](const Tensor& t) { return broadcast_to(t, shape); }};
  }

  void views(DType t) {
    const Arrays drawn = draw(c_, name_.seed, size_of(t) >= 4 ? Draw::reals : Draw::integers);
    if (drawn.empty()) return;
    size_t size = 0;
    for (int way = 0; way < (size_of(t) >= 4 ? 4 : 3); ++way) {
      Arrays x = drawn;
      Tensors stored_leaves, revealed;
      std::vector<Bytes> stored_bytes, bytes;
      for (Array& a : x) {
        const Disguise d = way == 0   ? permuted(a)
                           : way == 1 ? offset(a)
                           : way == 2 ? strided(a)
                                      : repeated(a);
        stored_leaves.push_back(input(d.stored.shape, t));
        stored_bytes.push_back(encode(d.stored.data, t));
        revealed.push_back(d.reveal(stored_leaves.back()));
      }
      for (const Array& a : x) bytes.push_back(encode(a.data, t));
      const Tensors leaves = leaves_of(x, t);
      for (const cpu::Isa isa : own_kernels()) {
        const Backend& backend = cpu::backend(isa);
        const auto y = run_program(c_.build(leaves), leaves, bytes, backend);
        const auto seen = run_program(c_.build(revealed), stored_leaves, stored_bytes, backend);
        if (y != seen)
          fails(name_, "views",
                cat("other bits when inputs are ",
                    way == 0   ? "permuted"
                    : way == 1 ? "offset"
                    : way == 2 ? "strided"
                               : "broadcast",
                    " values, ", cpu::name_of(isa)));
        for (const Bytes& b : y) size += b.size();
      }
    }
    passes(name_, "views", size);
  }

  double step() const { return c_.coarse ? 1 : c_.step; }

  // --- derivatives -------------------------------------------------------------------------------

  Array random_like(const Shape& shape) {
    Array a = zeros(shape);
    for (double& value : a.data)
      value = c_.coarse ? static_cast<double>(random_.below(9) - 4) / 4 : random_.uniform(-1, 1);
    return a;
  }

  /// <u, J v> against <J'u, v> for every input k of f, `pulled` being J'u; then the same with the
  /// rule of input k scaled.
  void inner_products(const char* check,
                      double bar,
                      Function& f,
                      const Arrays& x,
                      const std::vector<std::vector<double>>& u,
                      const std::vector<std::vector<double>>& pulled,
                      const std::vector<char>& flat) {
    size_t compared = 0, mutated = 0;
    const auto at_x = f(x);
    for (size_t k = 0; k < pulled.size(); ++k) {
      if (x[k].data.empty()) continue;
      std::vector<double> v = random_like(x[k].shape).data;
      // A product that cancels by chance would hide a scaled rule.
      for (int tries = 0;
           tries < 50 && std::abs(dot(pulled[k], v)) < 0.1 * norm_of_products(pulled[k], v);
           ++tries)
        v = random_like(x[k].shape).data;
      const auto jv = f.along(x, k, v);
      // Differences know nothing below their own rounding: values times 1e-16 over the step.
      double a = 0, scale = 0;
      for (size_t o = 0; o < u.size(); ++o) {
        a += dot(u[o], jv[o]);
        scale += norm_of_products(u[o], jv[o]) + 1e-5 * norm_of_products(u[o], at_x[o]);
      }
      const double b = dot(pulled[k], v);
      scale = std::max({scale, std::abs(a), std::abs(b)});
      name_.path = cat(check, " of input ", k);
      ++compared;
      if (flat[k]) {
        compare(name_, check, std::max(std::abs(a), std::abs(b)), 0, x[k].data.size());
        continue;
      }
      compare(name_, check, scale > 0 ? std::abs(a - b) / scale : 0, bar, x[k].data.size());
      if (std::abs(b) <= 1e-2 * scale) continue;  // nothing to scale: saturated or empty
      const double wrong = std::abs(a - kMutation * b) / scale;
      if (wrong > bar)
        ++mutated;
      else
        fails(name_, "mutation", cat("a rule scaled by ", kMutation, " passes, error ", wrong));
    }
    name_.path.clear();
    passes(name_, "mutation", mutated);
    if (compared == 0 && !x.empty()) passes(name_, check, 0);
  }

  void first_order(const Tensors& leaves, const Tensors& y, const Arrays& x) {
    if (leaves.empty()) return;
    Tensors us;
    Arrays u;
    std::vector<std::vector<double>> u_values;
    for (const Tensor& t : y) {
      us.push_back(input(t.shape(), t.dtype()));
      u.push_back(random_like(t.shape()));
      u_values.push_back(u.back().data);
    }
    for (const Tensor& t : y)
      if (t.dtype() != DType::f64) return;  // a cast to less: differences see its rounding
    const Tensors dx = y.size() == 1 ? grad(y[0], leaves, us[0]) : vjp_of(y, us, leaves);
    for (size_t k = 0; k < dx.size(); ++k)
      if (dx[k].shape() != leaves[k].shape() || dx[k].dtype() != leaves[k].dtype())
        fails(name_, "derivative", cat("the gradient of input ", k, " has another shape or dtype"));

    Tensors all = leaves;
    all.insert(all.end(), us.begin(), us.end());
    Arrays at = x;
    at.insert(at.end(), u.begin(), u.end());
    Function f(y, leaves, step()), g(dx, all, step());
    const auto pulled = g(at);
    std::vector<char> flat;
    for (const In& in : c_.in) flat.push_back(in.flat);
    inner_products("derivative", kDerivative, f, x, u_values, pulled, flat);
    linear(f, x, u_values, pulled);
    second_order(all, at, dx, g, flat);
  }

  void linear(Function& f,
              const Arrays& x,
              const std::vector<std::vector<double>>& u,
              const std::vector<std::vector<double>>& pulled) {
    for (size_t k = 0; k < x.size(); ++k) {
      if (!c_.in[k].linear) continue;
      const auto y = f(x);
      double a = 0, scale = norm_of_products(x[k].data, pulled[k]);
      for (size_t o = 0; o < y.size(); ++o) {
        a += dot(u[o], y[o]);
        scale += norm_of_products(u[o], y[o]);
      }
      const double b = dot(x[k].data, pulled[k]);
      scale = std::max({scale, std::abs(a), std::abs(b)});
      name_.path = cat("input ", k);
      compare(name_, "linear", scale > 0 ? std::abs(a - b) / scale : 0, kLinear, x[k].data.size());
      name_.path.clear();
    }
  }

  /// The gradient graph g(x, u) is a function like any other: its derivative against its rule's.
  void second_order(const Tensors& all,
                    const Arrays& at,
                    const Tensors& dx,
                    Function& g,
                    std::vector<char> flat) {
    Tensors ws;
    Arrays inputs = at;
    std::vector<std::vector<double>> w;
    for (const Tensor& t : dx) {
      ws.push_back(input(t.shape(), t.dtype()));
      inputs.push_back(random_like(t.shape()));
      w.push_back(inputs.back().data);
    }
    Tensors leaves = all;
    leaves.insert(leaves.end(), ws.begin(), ws.end());
    Function h(vjp_of(dx, ws, all), leaves, step());
    const auto pulled = h(inputs);
    flat.resize(all.size(), false);
    inner_products("second", kSecond, g, at, w, pulled, flat);
  }

  const Case& c_;
  CaseName name_;
  Random random_;
};

}  // namespace

bool on_gpu() {
  static const bool kReal = !cuda::gpus().simulated;
  return kReal;
}

void check_case(const Case& c, const CaseName& name) { Checker(c, name).all(); }

}  // namespace satin::opcheck
