// delay_steps(): what is first read much later is computed there.
//
// A derivative may build parts of the forward pass once more, and a graph is built before anybody
// knows when its parts are needed.  Such steps run in the order of building, hundreds of steps
// before their first reader, and their results lie about until then.  Moved to where they are read,
// they cost nothing at all, so this pass always runs, and before recompute_cheap_values(), which
// then finds fewer values to compute twice.
#include <algorithm>
#include <numeric>
#include <set>

#include "tensor/schedule.h"

namespace satin {
namespace {

constexpr int kFar = 16;         // steps between a value and its first reader
constexpr int kNever = 1 << 30;  // after the last step

class Delay {
 public:
  explicit Delay(Schedule& schedule)
      : s_(schedule),
        place_(s_.steps.size()),
        readers_(s_.values.size()),
        users_(s_.values.size()),
        root_(s_.values.size()),
        needed_after_(s_.values.size()) {
    std::iota(root_.begin(), root_.end(), 0);
    for (int i = 0; i < steps(); ++i) {
      place_[i] = i;
      for (const int v : s_.steps[i].in) {
        readers_[v].push_back(i);
        if (!is_view(i)) users_[root_[v]].push_back(i);
      }
      if (is_view(i)) root_[s_.steps[i].out[0]] = root_[s_.steps[i].in[0]];
    }
    for (const int v : s_.outputs) needed_after_[v] = needed_after_[root_[v]] = true;
    std::vector<char> updated(s_.values.size());
    for (const auto& [v, parameter] : s_.alias)
      needed_after_[v] = needed_after_[root_[v]] = updated[v] = true;
    for (int i = steps() - 1; i >= 0; --i)
      for (const int v : s_.steps[i].out)
        if (updated[v]) first_write_ = i;
  }

  void run() {
    for (int i = steps() - 1; i >= 0; --i) {
      const int to = first_reader(i);
      if (to - i > kFar && to <= first_write_ && pays(i, to)) place_[i] = to;
    }
    // Before the step they are moved to, in their old order.
    std::vector<int> order(s_.steps.size());
    for (int i = 0; i < steps(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return place_[a] != place_[b] ? place_[a] < place_[b] : (place_[a] == a) < (place_[b] == b);
    });
    std::vector<Schedule::Step> moved;
    moved.reserve(order.size());
    for (const int i : order) moved.push_back(std::move(s_.steps[i]));
    s_.steps = std::move(moved);
  }

 private:
  int steps() const { return static_cast<int>(s_.steps.size()); }
  bool is_view(int i) const { return info(s_.steps[i].node->op).kind == OpKind::view; }

  /// The step before which i must run, if it may be moved; -1 if not.  Later steps have their
  /// places.
  int first_reader(int i) const {
    if (is_collective(s_.steps[i].node->op)) return -1;
    int first = kNever;
    for (const int v : s_.steps[i].out) {
      if (needed_after_[v]) return -1;
      for (const int r : readers_[v]) first = std::min(first, place_[r]);
    }
    return first == kNever ? -1 : first;
  }

  /// Whether at no time more bytes are alive when i runs at `to`: what it reads may have to wait.
  bool pays(int i, int to) const {
    if (is_view(i)) return true;
    int64_t out = 0, waiting = 0;
    for (const int v : s_.steps[i].out) out += s_.values[v].bytes;
    std::set<int> in;
    for (const int v : s_.steps[i].in) in.insert(root_[v]);
    for (const int v : in) {
      const NodePtr& leaf = s_.values[v].leaf;
      if (needed_after_[v] || (leaf && leaf->leaf->kind != LeafKind::input)) continue;
      const bool alive = std::any_of(users_[v].begin(), users_[v].end(),
                                     [&](int r) { return r != i && place_[r] >= to; });
      if (!alive) waiting += s_.values[v].bytes;
    }
    return waiting == 0 || waiting < out;
  }

  Schedule& s_;
  std::vector<int> place_;  ///< the step before which a moved one runs; its own index: unmoved
  std::vector<std::vector<int>> readers_;  ///< of a value
  std::vector<std::vector<int>> users_;    ///< of it or of a view of it, views left out
  std::vector<int> root_;                  ///< what a value is a view of; itself
  std::vector<char> needed_after_;         ///< by outputs and updates
  int first_write_ = kNever;               ///< nothing that may read parameters goes behind it
};

}  // namespace

void delay_steps(Schedule& schedule) { Delay(schedule).run(); }

}  // namespace satin
