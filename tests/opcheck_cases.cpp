// What opcheck needs around its checks: inputs, error measures, counting, and the last lines of a
// run.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <set>

#include "evaluate.h"
#include "opcheck_report.h"

namespace satin::opcheck {
namespace {

constexpr int kLeastCases = 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kEvery = 4;  // sanitizers are slow: every fourth case, said in the last line
#else
constexpr int kEvery = 1;
#endif

/// For each check and dtype of a row: which cases compared something, and the worst error.
struct Tally {
  std::set<int> cases;
  double worst = 0;
  double bar = 0;
  std::string where;
};
using Key = std::pair<std::string, DType>;

std::map<Op, std::map<Key, Tally>>& tallies() {
  static std::map<Op, std::map<Key, Tally>> all;
  return all;
}

std::set<Op>& registered() {
  static std::set<Op> rows;
  return rows;
}

uint64_t seed_of(std::string_view row, int index) {
  uint64_t hash = 1469598103934665603u;  // FNV-1a
  for (const char c : row) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash % 1000003 * 1000 + static_cast<uint64_t>(index);
}

std::string describe(const CaseName& name, const char* check) {
  return cat(name.row, "#", name.index, " ", check, " ", name.dtype,
             name.path.empty() ? "" : " " + name.path, ", seed ", name.seed,
             ".  Replay: OPCHECK_CASE='", name.row, "#", name.index,
             "' satin_tests --test-case='opcheck ", name.row, "'");
}

double ulp_at(double x) {
  constexpr double kSmallest = 0x1p-149;
  if (!(std::abs(x) >= 0x1p-126)) return kSmallest;
  return std::ldexp(1.0, std::ilogb(x) - 23);
}

}  // namespace

Array zeros(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<size_t>(shape.size()))};
}

Register::Register(Op row) { registered().insert(row); }
bool has_cases(Op row) { return registered().count(row) > 0; }

void for_each_index(const Shape& shape, const std::function<void(const Index&)>& f) {
  if (shape.size() == 0) return;
  Index index{};
  for (;;) {
    f(index);
    int axis = shape.rank() - 1;
    while (axis >= 0 && ++index[static_cast<size_t>(axis)] == shape[axis])
      index[static_cast<size_t>(axis--)] = 0;
    if (axis < 0) return;
  }
}

int64_t offset_of(const Shape& shape, const Index& index) {
  int64_t offset = 0;
  for (int i = 0; i < shape.rank(); ++i) offset = offset * shape[i] + index[static_cast<size_t>(i)];
  return offset;
}

const std::vector<Shape>& usual_shapes() {
  static const std::vector<Shape> shapes = {{3},          {},
                                            {1},          {2},
                                            {0},          {4},
                                            {5},          {7},
                                            {8},          {9},
                                            {15},         {16},
                                            {17},         {31},
                                            {33},         {63},
                                            {64},         {65},
                                            {2, 3},       {3, 16},
                                            {5, 1},       {1, 7},
                                            {2, 3, 5},    {2, 0, 3},
                                            {3, 2, 4, 5}, {2, 1, 3, 1, 2, 5},
                                            {127},        {129},
                                            {13, 17},     {16385}};
  return shapes;
}

void expect_error(const std::function<void()>& call, const std::string& sentence) {
  std::string said = "nothing was thrown";
  try {
    call();
  } catch (const Error& e) {
    said = e.what();
  }
  CHECK_MESSAGE(said.find(sentence) != std::string::npos, "expected an Error with \"", sentence,
                "\", got: ", said);
}

Arrays draw(const Case& c, uint64_t seed, Draw what) {
  testing::Random random(seed);
  Arrays x;
  for (const In& in : c.in) {
    Array a = zeros(in.shape);
    for (double& value : a.data) {
      value = random.uniform(in.low, in.high);
      if (what == Draw::integers)
        value = static_cast<double>(random.below(7) - 3);
      else if (in.step > 0)
        value = std::round((value - in.offset) / in.step) * in.step + in.offset;
    }
    x.push_back(std::move(a));
  }
  if (!c.given.empty())
    for (size_t i = 0; i < x.size(); ++i) x[i].data = c.given[i];
  else if (c.adjust)
    c.adjust(x);
  return x;
}

double error_of(const Bound& bound,
                const std::vector<double>& expected,
                const std::vector<double>& values,
                const Array* input) {
  constexpr double kRed = std::numeric_limits<double>::infinity();
  if (expected.size() != values.size()) return kRed;
  double worst = 0, errors = 0, squares = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double d = std::abs(values[i] - expected[i]);
    if (!std::isfinite(values[i]) || !std::isfinite(expected[i])) return kRed;
    errors += d * d;
    squares += expected[i] * expected[i];
    double unit = ulp_at(expected[i]);
    if (bound.kind == Bound::ulp_of_input && input) unit = std::max(unit, ulp_at(input->data[i]));
    if (bound.kind == Bound::ulp_of_one) unit = std::max(unit, 0x1p-23);
    worst = std::max(worst, d / unit);
  }
  if (bound.kind != Bound::nmse) return worst;
  return squares > 0 ? errors / squares : errors > 0 ? kRed : 0;
}

double worst_f64(const std::vector<double>& expected, const std::vector<double>& values) {
  constexpr double kRed = std::numeric_limits<double>::infinity();
  if (expected.size() != values.size()) return kRed;
  double squares = 0, worst = 0;
  for (const double e : expected) squares += e * e;
  const double rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, expected.size())));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || !std::isfinite(expected[i])) return kRed;
    const double d = std::abs(values[i] - expected[i]);
    if (d > 0) worst = std::max(worst, d / std::max(std::abs(expected[i]), rms));
  }
  return worst;
}

void compare(const CaseName& name, const char* check, double error, double bar, size_t size) {
  if (size == 0) return;
  Tally& tally = tallies()[name.row][{check, name.dtype}];
  tally.cases.insert(name.index);
  tally.bar = bar;
  if (error >= tally.worst) {
    tally.worst = error;
    tally.where = cat("#", name.index, name.path.empty() ? "" : " ", name.path);
  }
  if (!(error <= bar)) fails(name, check, cat("error ", error, ", bar ", bar));
}

void passes(const CaseName& name, const char* check, size_t size) {
  if (size > 0) tallies()[name.row][{check, name.dtype}].cases.insert(name.index);
}

void fails(const CaseName& name, const char* check, const std::string& why) {
  FAIL_CHECK(cat(describe(name, check), "\n  ", why));
}

int64_t cases_checked() {
  int64_t n = 0;
  for (const auto& [row, checks] : tallies())
    for (const auto& [key, tally] : checks) n += static_cast<int64_t>(tally.cases.size());
  return n;
}

void check(Op row, const std::function<Cases()>& list) {
  const Cases cases = list();
  const char* only = std::getenv("OPCHECK_CASE");
  for (size_t i = 0; i < cases.size(); ++i) {
    const int index = static_cast<int>(i);
    if (only ? cat(row, "#", index) != only : index % kEvery != 0) continue;
    const CaseName name{row, index, seed_of(name_of(row), index)};
    try {
      check_case(cases[i], name);
    } catch (const std::exception& e) {
      fails(name, "case", cat("an exception: ", e.what()));
    }
  }
  if (on_gpu() && !only)
    CHECK_MESSAGE((tallies()[row].count({"cuda", DType::f32})), row, ": nothing ran on the GPU");
  if (only || kEvery > 1 || on_gpu()) return;
  bool differentiable = false;
  for (const Case& c : cases)
    for (const In& in : c.in) differentiable = differentiable || !in.flat;
  if (info(row).rule != RuleKind::none && differentiable)
    CHECK_MESSAGE((tallies()[row].count({"mutation", DType::f64})), row, ": no rule was scaled");
  for (const auto& [key, tally] : tallies()[row]) {
    const int n = static_cast<int>(tally.cases.size());
    CHECK_MESSAGE(n >= kLeastCases, row, " ", key.first, " ", key.second, ": ", n, " cases, ",
                  kLeastCases, " are wanted");
  }
  for (const DType t : {DType::f64, DType::f32})
    for (const char* required : {"forward", "memory", "threads"})
      CHECK_MESSAGE((tallies()[row].count({required, t})), row, " ", t, ": no case of ", required);
  if (info(row).rule != RuleKind::none && info(row).inputs.max > 0)
    for (const char* required : {"derivative", "second"})
      CHECK_MESSAGE((tallies()[row].count({required, DType::f64})), row, ": no case of ", required);
}

namespace {

/// The last lines of a run: the worst error of every row, and the number of cases.
struct Summary : doctest::IReporter {
  explicit Summary(const doctest::ContextOptions&) {}
  void test_run_end(const doctest::TestRunStats&) override {
    if (tallies().empty()) return;
    std::printf("%-20s%22s%22s%14s%14s\n", "worst error", "f64", "f32 (of bar)", "derivative",
                "second");
    for (auto& [row, checks] : tallies()) {
      const Tally f64 = checks[{"forward", DType::f64}], f32 = checks[{"forward", DType::f32}],
                  first = checks[{"derivative", DType::f64}],
                  second = checks[{"second", DType::f64}];
      std::printf("%-20s%22.2g%12.2g (%7.2g)%14.2g%14.2g\n", std::string(name_of(row)).c_str(),
                  f64.worst, f32.worst, f32.bar, first.worst, second.worst);
    }
    if (kEvery > 1) std::printf("built with a sanitizer: every %dth case only\n", kEvery);
    std::printf("opcheck: %lld cases\n", static_cast<long long>(cases_checked()));
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("opcheck", 1, Summary);

}  // namespace
}  // namespace satin::opcheck
