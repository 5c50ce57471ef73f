// plan_within(): a plan under a limit, bought with arithmetic that is done twice.
//
// At the step where most is alive there are values that wait: read before, read again much later.
// One of them is given up at a time and computed anew before its next reader, from what is alive
// there anyway (if need be through a chain of steps).  The one with most bytes for the time it
// costs goes first; then everything is planned again.  What is chosen does not depend on the limit,
// which only says when to stop: a smaller limit gives up the same values and more.  The same
// kernels meet the same operands, so no bit changes.
#include <algorithm>
#include <unordered_map>

#include "tensor/cost.h"
#include "tensor/plan.h"

namespace satin {
namespace {

constexpr int kDeepest = 32;         // steps of a chain
constexpr int64_t kMacsPerByte = 8;  // in time: a byte moved beside a multiply-add
constexpr int64_t kSmall = 32;       // an input that many times smaller is kept, not computed again
constexpr int kMostInVain = 100;     // rounds without a smaller plan
constexpr int kMostCopies = 3;       // of one value

/// The schedule without values that no step computes any more.
Schedule without_gone(Schedule s) {
  std::vector<char> here(s.values.size());
  for (size_t v = 0; v < here.size(); ++v) here[v] = s.values[v].leaf != nullptr;
  for (const Schedule::Step& step : s.steps)
    for (const int v : step.out) here[v] = true;
  std::vector<int> now(s.values.size(), -1);
  std::vector<Schedule::Value> values;
  for (size_t v = 0; v < here.size(); ++v) {
    if (!here[v]) continue;
    now[v] = static_cast<int>(values.size());
    values.push_back(std::move(s.values[v]));
  }
  s.values = std::move(values);
  for (Schedule::Step& step : s.steps) {
    for (int& v : step.in) v = now[v];
    for (int& v : step.out) v = now[v];
  }
  for (int& v : s.outputs) v = now[v];
  for (auto& [updated, parameter] : s.alias) updated = now[updated], parameter = now[parameter];
  return s;
}

class Fit {
 public:
  Fit(Schedule schedule, const Backend& backend) : s_(std::move(schedule)), backend_(backend) {
    fixed_.resize(s_.values.size());
    for (const int v : s_.outputs) fixed_[v] = true;
    for (const auto& [updated, parameter] : s_.alias) fixed_[updated] = true;
    copies_.resize(s_.values.size());
  }

  Plan run(int64_t limit) {
    Plan best = make_plan(without_gone(s_), backend_);
    Plan now = best;
    for (int in_vain = 0; best.total_bytes() > limit && in_vain < kMostInVain; ++in_vain) {
      if (!give_up_one(now)) break;
      now = make_plan(without_gone(s_), backend_);
      if (now.total_bytes() < best.total_bytes()) best = now, in_vain = 0;
    }
    return best;
  }

 private:
  /// What computing a value again takes.
  struct Chain {
    std::vector<int> steps;  ///< rising
    int64_t kept = 0;        ///< bytes that have to wait instead
    int64_t cost = 0;        ///< in multiply-adds
    bool possible = true;
  };

  int steps() const { return static_cast<int>(s_.steps.size()); }

  bool is_view(int v) const {
    return def_[v] >= 0 && info(s_.steps[def_[v]].node->op).kind == OpKind::view;
  }

  /// The value that v is a part of.
  int root(int v) const {
    while (is_view(v)) v = s_.steps[def_[v]].in[0];
    return v;
  }

  /// Uses of a value are its readers and those of its views.
  void find_uses(int peak) {
    def_.assign(s_.values.size(), -1);
    views_.assign(s_.values.size(), {});
    next_use_.assign(s_.values.size(), -1);
    used_at_peak_.assign(s_.values.size(), false);
    last_use_.assign(s_.values.size(), -1);
    first_write_ = steps();
    for (int i = 0; i < steps(); ++i) {
      for (const int v : s_.steps[i].out) def_[v] = i;
      for (const int v : s_.steps[i].in) {
        const int r = root(v);
        last_use_[r] = i;
        if (i == peak) used_at_peak_[r] = true;
        if (i > peak && next_use_[r] < 0 && info(s_.steps[i].node->op).kind != OpKind::view)
          next_use_[r] = i;
      }
      for (const int v : s_.steps[i].out)
        if (is_view(v)) views_[root(v)].push_back(v);
    }
    for (const auto& [updated, parameter] : s_.alias)
      if (def_[updated] >= 0) first_write_ = std::min(first_write_, def_[updated]);
    anchored_.assign(s_.values.size(), false);
    for (size_t v = 0; v < s_.values.size(); ++v)
      if (fixed_[v]) anchored_[root(static_cast<int>(v))] = true;
  }

  bool repeatable(int step) const {
    const Schedule::Step& s = s_.steps[step];
    size_t outputs = 0;  // an operation computes them all, whichever is wanted
    for (size_t k = 0; k < s.out.size(); ++k) {
      outputs += !is_spare(s.node->op, k);
      if (fixed_[s.out[k]]) return false;
    }
    return outputs == 1 && !is_collective(s.node->op) && s.node->op != Op::adam_update;
  }

  int64_t cost(const Node& node) {
    const auto [at, fresh] = costs_.try_emplace(&node, 0);
    if (fresh) {
      const Cost c = cost_of(node);
      at->second = c.macs + kMacsPerByte * c.bytes;
    }
    return at->second;
  }

  /// Whether v lies in memory at `peak` and may still be read later.
  bool alive(int v, int peak) const {
    const int r = root(v);
    if (def_[r] < 0) return true;  // leaves
    return def_[r] <= peak && (last_use_[r] > peak || anchored_[r]);
  }

  void add(int v, int peak, int whole, int depth, Chain& chain) {
    const int step = def_[v];
    if (std::find(chain.steps.begin(), chain.steps.end(), step) != chain.steps.end()) return;
    if (step < 0 || depth > kDeepest || !repeatable(step)) {
      chain.possible = false;
      return;
    }
    chain.steps.push_back(step);
    if (!is_view(v)) chain.cost += cost(*s_.steps[step].node);
    for (const int w : s_.steps[step].in) {
      if (root(w) != whole && alive(w, peak)) continue;
      const int64_t bytes = s_.values[root(w)].bytes;
      if (root(w) != whole && !is_view(w) && bytes * kSmall <= s_.values[whole].bytes)
        chain.kept += bytes;
      else
        add(w, peak, whole, depth + 1, chain);
    }
  }

  /// Whether v waits at `peak` for a reader that may as well read a copy.
  bool waits(int v, int peak) const {
    return def_[v] >= 0 && def_[v] < peak && !is_view(v) && !anchored_[v] && !used_at_peak_[v] &&
           next_use_[v] >= 0 && next_use_[v] <= first_write_ && copies_[v] < kMostCopies;
  }

  /// v and what else of its step's outputs waits: they are given up together.
  std::vector<int> waiting_with(int v, int peak) const {
    std::vector<int> all;
    for (const int w : s_.steps[def_[v]].out)
      if (waits(w, peak)) all.push_back(w);
    return all;
  }

  /// Lets the value go that frees most for its cost where most is alive.
  bool give_up_one(const Plan& plan) {
    const int peak = fullest_step(plan);
    find_uses(peak);
    int chosen = -1;
    Chain by;
    double score = 0;
    for (size_t i = 0; i < s_.values.size(); ++i) {
      const int v = static_cast<int>(i);
      if (!waits(v, peak)) continue;
      Chain chain;
      add(v, peak, v, 0, chain);
      int64_t freed = -chain.kept;
      for (const int w : waiting_with(v, peak)) freed += s_.values[w].bytes;
      if (!chain.possible || freed <= 0) continue;
      const double gain = static_cast<double>(freed) / static_cast<double>(chain.cost + 1);
      if (gain > score) score = gain, chosen = v, by = chain;
    }
    if (chosen < 0) return false;
    int before = next_use_[chosen];
    for (const int w : waiting_with(chosen, peak)) before = std::min(before, next_use_[w]);
    repeat(chosen, by, before);
    return true;
  }

  int fullest_step(const Plan& plan) const {
    std::vector<int64_t> change(static_cast<size_t>(steps()) + 2);
    for (const Plan::Buffer& b : plan.buffers) {
      if (b.persistent) continue;
      change[static_cast<size_t>(std::max(b.first, 0))] += b.bytes;
      change[static_cast<size_t>(b.last) + 1] -= b.bytes;
    }
    int64_t now = 0, most = -1;
    int at = 0;
    for (int i = 0; i < steps(); ++i) {
      now += change[static_cast<size_t>(i)];
      if (now > most) most = now, at = i;
    }
    return at;
  }

  /// Runs the chain to v once more before step `before`, which reads that, as do all behind it.
  void repeat(int v, Chain chain, int before) {
    for (const int w : views_[v])
      if (def_[w] < before) chain.steps.push_back(def_[w]);
    std::sort(chain.steps.begin(), chain.steps.end());
    chain.steps.erase(std::unique(chain.steps.begin(), chain.steps.end()), chain.steps.end());
    std::unordered_map<int, int> fresh;
    const auto renamed = [&](std::vector<int>& values) {
      for (int& w : values)
        if (const auto at = fresh.find(w); at != fresh.end()) w = at->second;
    };
    std::vector<Schedule::Step> result(s_.steps.begin(), s_.steps.begin() + before);
    for (const int i : chain.steps) {
      Schedule::Step again = s_.steps[i];
      renamed(again.in);
      for (int& w : again.out) {
        const int copy = fresh[w] = static_cast<int>(s_.values.size());
        s_.values.push_back(s_.values[w]);
        fixed_.push_back(false);
        copies_.push_back(copies_[w] + 1);
        w = copy;
      }
      result.push_back(std::move(again));
    }
    for (int i = before; i < steps(); ++i) {
      result.push_back(s_.steps[i]);
      renamed(result.back().in);
    }
    s_.steps = std::move(result);
    drop_unread();
  }

  /// A value whose readers all read its copy is not computed at all.
  void drop_unread() {
    std::vector<char> read(fixed_.begin(), fixed_.end());
    std::vector<Schedule::Step> result;
    for (int i = steps() - 1; i >= 0; --i) {
      const Schedule::Step& s = s_.steps[i];
      if (repeatable(i) && std::none_of(s.out.begin(), s.out.end(), [&](int v) { return read[v]; }))
        continue;
      for (const int v : s.in) read[v] = true;
      result.push_back(s);
    }
    std::reverse(result.begin(), result.end());
    s_.steps = std::move(result);
  }

  Schedule s_;
  const Backend& backend_;
  std::vector<char> fixed_;     ///< outputs and updates, which are computed once
  std::vector<char> anchored_;  ///< values that such a one is a part of
  std::vector<char> used_at_peak_;
  std::vector<int> def_, last_use_, next_use_, copies_;  ///< by value; next: behind the peak
  std::vector<std::vector<int>> views_;
  std::unordered_map<const Node*, int64_t> costs_;
  int first_write_ = 0;
};

}  // namespace

Plan plan_within(Schedule schedule, const Backend& backend, int64_t max_bytes) {
  return Fit(std::move(schedule), backend).run(max_bytes);
}

}  // namespace satin
