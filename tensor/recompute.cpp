// recompute_cheap_values(): trading element-wise arithmetic for memory.
//
// Backward passes read what forward passes computed hundreds of steps earlier.  Outputs of matrix
// products are dear and stay; what follows from them by cheap steps (normalization, activations,
// gates, permutations) is computed again next to its late reader, if that keeps fewer bytes alive.
#include <algorithm>
#include <set>

#include "tensor/schedule.h"

namespace satin {
namespace {

constexpr int kLate = 48;                 // steps between two uses that make the second one late
constexpr int kLongest = 8;               // links of a chain that is computed again
constexpr int64_t kWorthwhile = 1 << 16;  // bytes; smaller values are simply kept

class Recompute {
 public:
  explicit Recompute(Schedule& schedule)
      : s_(schedule), def_(s_.values.size(), -1), late_(s_.values.size(), false) {
    std::vector<int> last(s_.values.size(), -1);
    for (int i = 0; i < steps(); ++i) {
      for (const int v : s_.steps[i].in) {
        if (last[v] >= 0 && i - last[v] > kLate) late_[v] = true;
        last[v] = i;
      }
      for (const int v : s_.steps[i].out) def_[v] = last[v] = i;
    }
    for (const auto& [updated, parameter] : s_.alias)
      if (def_[updated] >= 0) first_write_ = std::min(first_write_, def_[updated]);
    decide();
  }

  void run() {
    std::vector<Schedule::Step> old = std::move(s_.steps);
    s_.steps.clear();
    copy_.resize(s_.values.size());
    seen_.resize(s_.values.size(), 0);
    for (size_t v = 0; v < copy_.size(); ++v) copy_[v] = static_cast<int>(v);
    for (size_t i = 0; i < old.size(); ++i) {
      Schedule::Step& step = old[i];
      for (int& v : step.in) v = available(v, static_cast<int>(i), old);
      for (const int v : step.out) seen_[v] = static_cast<int>(i);
      s_.steps.push_back(step);
    }
  }

 private:
  int steps() const { return static_cast<int>(s_.steps.size()); }

  bool is_cheap(int v) const {
    if (def_[v] < 0 || s_.values[v].bytes < kWorthwhile) return false;
    const Schedule::Step& step = s_.steps[def_[v]];
    const OpInfo& row = info(step.node->op);
    return row.cost == CostKind::moved && step.out.size() == 1 && step.node->op != Op::sum_to &&
           step.node->op != Op::concat &&  // its pieces may have been computed right in it
           !is_collective(step.node->op);
  }

  /// In the order of definition: a late value is recomputed when the values it would need then,
  /// beyond those that stay alive anyway, are smaller than itself.
  void decide() {
    again_.resize(s_.values.size(), false);
    std::vector<char> kept(s_.values.size(), false);
    for (size_t v = 0; v < kept.size(); ++v)
      kept[v] = def_[v] < 0 || (late_[v] && !is_cheap(static_cast<int>(v)));
    const std::set<int> outputs(s_.outputs.begin(), s_.outputs.end());
    for (const Schedule::Step& step : s_.steps) {
      for (const int v : step.out) {
        if (!late_[v] || kept[v]) continue;
        std::set<int> needed, again;
        add_needed(v, 0, kept, needed, again);
        int64_t bytes = 0;
        for (const int w : needed)
          if (!kept[w]) bytes += s_.values[w].bytes;
        if (bytes >= s_.values[v].bytes || outputs.count(v)) {
          kept[v] = true;
          continue;
        }
        for (const int w : needed) kept[w] = true;
        for (const int w : again) again_[w] = true;
      }
    }
  }

  /// What must be alive to compute v again (`needed`), and the cheap values on the way that are
  /// computed again too (`again`, v among them).
  void add_needed(int v,
                  int depth,
                  const std::vector<char>& kept,
                  std::set<int>& needed,
                  std::set<int>& again) const {
    again.insert(v);
    for (const int w : s_.steps[def_[v]].in) {
      if (!kept[w] && depth < kLongest && (again_[w] || is_cheap(w)))
        add_needed(w, depth + 1, kept, needed, again);
      else
        needed.insert(w);
    }
  }

  /// The value that step i shall read for v: v itself, or a fresh copy of it.
  int available(int v, int i, const std::vector<Schedule::Step>& old) {
    if (again_[v] && i - seen_[v] > kLate && i <= first_write_) {
      Schedule::Step step = old[def_[v]];
      // The inputs in `old` may have been renamed to copies that are gone by now: start from the
      // node's own.
      for (size_t k = 0; k < step.in.size(); ++k)
        step.in[k] = available(original_in(def_[v], k), i, old);
      const int fresh = static_cast<int>(s_.values.size());
      s_.values.push_back(s_.values[v]);
      step.out = {fresh};
      s_.steps.push_back(std::move(step));
      copy_[v] = fresh;
    }
    seen_[v] = i;
    return copy_[v];
  }

  int original_in(int step, size_t k) const { return original_[step][k]; }

  Schedule& s_;
  int first_write_ =
      1 << 30;  // from this step on parameters change: nothing that reads them may run again
  std::vector<int> def_;
  std::vector<char> late_;
  std::vector<char> again_;
  std::vector<int> copy_;
  std::vector<int> seen_;
  std::vector<std::vector<int>> original_ = [this] {
    std::vector<std::vector<int>> in;
    for (const Schedule::Step& step : s_.steps) in.push_back(step.in);
    return in;
  }();
};

}  // namespace

void recompute_cheap_values(Schedule& schedule) { Recompute(schedule).run(); }

}  // namespace satin
