#include "tensor/plan.h"

#include <algorithm>
#include <numeric>

#include "tensor/concat.h"
#include "tensor/slice.h"

namespace satin {
namespace {

constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

class Planner {
 public:
  Planner(Schedule schedule, const Backend& backend) : backend_(backend), s_(std::move(schedule)) {
    plan_.values = s_.values;
    plan_.outputs = s_.outputs;
    plan_.hoisted = s_.hoisted;
    plan_.places.resize(s_.values.size());
    home_.resize(s_.values.size());
    def_.resize(s_.values.size(), -1);
    last_use_.resize(s_.values.size(), -1);
  }

  Plan run() {
    find_uses();
    find_homes();
    place_leaves();
    for (int i = 0; i < steps(); ++i) place_step(i);
    finish_aliases();
    lay_out_arena();
    return std::move(plan_);
  }

 private:
  /// Where a value shall be written instead of into a buffer of its own: inside `parent`.
  struct Home {
    int parent = -1;
    int64_t offset = 0;
  };

  int steps() const { return static_cast<int>(s_.steps.size()); }
  const Node& node(int i) const { return *s_.steps[i].node; }

  void find_uses() {
    for (int i = 0; i < steps(); ++i) {
      for (const int v : s_.steps[i].in) last_use_[v] = i;
      for (const int v : s_.steps[i].out) {
        def_[v] = i;
        last_use_[v] = std::max(last_use_[v], i);
      }
    }
    needed_after_.resize(s_.values.size(), false);
    for (const int v : s_.outputs) {
      last_use_[v] = steps();
      needed_after_[v] = true;
    }
    for (const auto& [updated, parameter] : s_.alias) needed_after_[updated] = true;
  }

  /// By a later step, or after the run.
  bool is_used(int v) const { return last_use_[v] > def_[v] || needed_after_[v]; }

  /// A view of a parameter would show the parameter's next value once that is written.
  bool outlives_parameter(int v, int buffer) const {
    return needed_after_[v] &&
           std::any_of(s_.alias.begin(), s_.alias.end(), [&](const std::pair<int, int>& a) {
             return plan_.places[a.second].buffer == buffer;
           });
  }

  /// An update that is not computed in its parameter waits until the last step to be copied there.
  void keep_until_copied(int v) {
    for (const auto& [updated, parameter] : s_.alias) {
      if (updated != v) continue;
      const Plan::Place a = plan_.places[v], b = plan_.places[parameter];
      if (a.buffer == b.buffer && a.offset == b.offset) continue;
      last_use_[v] = steps();
      keep_alive(v);
    }
  }

  static bool contiguous_slice(const Node& n, int64_t& offset_elements) {
    const auto a = n.as<SliceAttrs>();
    const Shape& from = n.inputs[0].shape();
    const Shape& to = n.outputs[0].shape;
    const auto strides = from.strides();
    offset_elements = 0;
    bool inner_whole = true;  // all axes behind this one are taken whole
    for (int axis = from.rank() - 1; axis >= 0; --axis) {
      offset_elements += a.start[axis] * strides[axis];
      if (to[axis] > 1 && (a.step[axis] != 1 || !inner_whole)) return false;
      inner_whole = inner_whole && to[axis] == from[axis];
    }
    return true;
  }

  /// True when step i only renames memory; `offset` is where its result starts, in bytes.
  bool renames(int i, int64_t& offset) const {
    const Node& n = node(i);
    if (n.op != Op::reshape && n.op != Op::slice) return false;
    offset = 0;
    if (n.op == Op::slice) {
      if (!contiguous_slice(n, offset)) return false;
      offset *= static_cast<int64_t>(size_of(n.outputs[0].dtype));
    }
    return true;
  }

  /// A concat whose pieces follow each other in memory takes them where they are computed.
  void find_homes() {
    for (int i = steps() - 1; i >= 0; --i) {
      if (node(i).op != Op::concat) continue;
      const int axis = node(i).as<ConcatAttrs>().axis;
      const int out = s_.steps[i].out[0];
      const Shape& shape = s_.values[out].shape;
      if (std::any_of(shape.begin(), shape.begin() + axis,
                      [](int64_t extent) { return extent != 1; }))
        continue;
      int64_t offset = 0;
      for (const int piece : s_.steps[i].in) {
        give_home(piece, out, offset);
        offset += s_.values[piece].bytes;
      }
    }
  }

  void give_home(int v, int parent, int64_t offset) {
    // Through reshapes to the value that is really computed.
    while (def_[v] >= 0 && node(def_[v]).op == Op::reshape) v = s_.steps[def_[v]].in[0];
    int64_t ignored = 0;
    if (def_[v] < 0 || renames(def_[v], ignored) || home_[v].parent >= 0 || s_.values[v].bytes == 0)
      return;
    home_[v] = {parent, offset};
  }

  int new_buffer(int64_t bytes, int step, std::string label) {
    plan_.buffers.push_back({bytes, 0, step, step, nullptr, std::move(label)});
    return static_cast<int>(plan_.buffers.size()) - 1;
  }

  void keep_alive(int v) {
    Plan::Buffer& buffer = plan_.buffers[plan_.places[v].buffer];
    buffer.last = std::max(buffer.last, last_use_[v]);
  }

  void place_leaves() {
    for (size_t v = 0; v < s_.values.size(); ++v) {
      const NodePtr& leaf = s_.values[v].leaf;
      if (!leaf) continue;
      const int buffer = new_buffer(s_.values[v].bytes, -1, leaf->leaf->name);
      if (leaf->leaf->kind != LeafKind::input) {
        plan_.buffers[buffer].persistent = leaf;
        plan_.persistent_bytes += aligned(s_.values[v].bytes);
      }
      plan_.places[v] = {buffer, 0};
      keep_alive(static_cast<int>(v));
    }
    for (size_t v = 0; v < s_.values.size(); ++v)
      if (s_.values[v].leaf) keep_until_copied(static_cast<int>(v));
  }

  /// The place inside the outermost home, whose buffer is made when its first piece is computed.
  Plan::Place home_of(int v, int step) {
    if (plan_.places[v].buffer >= 0) return plan_.places[v];
    if (home_[v].parent < 0) {
      plan_.places[v] = {new_buffer(s_.values[v].bytes, step, label_of(def_[v])), 0};
    } else {
      const Plan::Place parent = home_of(home_[v].parent, step);
      plan_.places[v] = {parent.buffer, parent.offset + home_[v].offset};
    }
    keep_alive(v);
    return plan_.places[v];
  }

  std::string label_of(int step) const {
    const Node& n = node(step);
    return n.module->empty() ? std::string(name_of(n.op)) : cat(*n.module, ": ", n.op);
  }

  /// An input of step i whose memory output v may take over, or -1.
  int dying_input(int i, int v) const {
    if (info(node(i).op).kind != OpKind::pointwise || home_[v].parent >= 0) return -1;
    for (const int x : s_.steps[i].in) {
      const Plan::Place place = plan_.places[x];
      const Plan::Buffer& buffer = plan_.buffers[place.buffer];
      const bool taken = std::any_of(s_.steps[i].out.begin(), s_.steps[i].out.end(),
                                     [&](int w) { return plan_.places[w].buffer == place.buffer; });
      if (buffer.persistent || taken || buffer.last > i || buffer.bytes != s_.values[v].bytes)
        continue;
      if (only_reads_whole(i, place.buffer)) return x;
    }
    return -1;
  }

  /// Writing over a buffer while reading it is safe when element i is all that is read for element
  /// i: no input may be a piece of it (a broadcast row, say).
  bool only_reads_whole(int i, int buffer) const {
    return std::all_of(s_.steps[i].in.begin(), s_.steps[i].in.end(), [&](int x) {
      return plan_.places[x].buffer != buffer || s_.values[x].bytes == plan_.buffers[buffer].bytes;
    });
  }

  void place_step(int i) {
    const Schedule::Step& from = s_.steps[i];
    Plan::Step step{from.node, from.in, from.out};
    int64_t offset = 0;
    if (renames(i, offset) && plan_.places[from.out[0]].buffer < 0 &&
        home_[from.out[0]].parent < 0 &&
        !outlives_parameter(from.out[0], plan_.places[from.in[0]].buffer)) {
      const Plan::Place source = plan_.places[from.in[0]];
      plan_.places[from.out[0]] = {source.buffer, source.offset + offset};
      keep_alive(from.out[0]);
      step.moves_data = false;
    } else {
      for (size_t k = 0; k < from.out.size(); ++k)
        if (!is_spare(node(i).op, k) || is_used(from.out[k])) place_output(i, from.out[k]);
      if (node(i).op == Op::concat) step.moves_data = !pieces_in_place(from);
    }
    for (const int v : from.out) keep_until_copied(v);
    if (step.moves_data) step.scratch = scratch_of(i);
    plan_.steps.push_back(std::move(step));
  }

  void place_output(int i, int v) {
    if (plan_.places[v].buffer >= 0) return;  // a concat whose first piece made its buffer
    const int parameter = updated_parameter(i, v);
    if (parameter >= 0) {
      plan_.places[v] = plan_.places[parameter];
      return;
    }
    const int x = dying_input(i, v);
    if (x >= 0) {
      plan_.places[v] = plan_.places[x];
      keep_alive(v);
      return;
    }
    home_of(v, i);
  }

  /// An update is computed right in the parameter it replaces: an element-wise one, and any that
  /// comes when the parameter has been read for the last time.
  int updated_parameter(int i, int v) const {
    if (home_[v].parent >= 0 || last_use_[v] >= steps()) return -1;
    const bool pointwise = info(node(i).op).kind == OpKind::pointwise;
    for (const auto& [updated, parameter] : s_.alias) {
      if (updated != v) continue;
      const int buffer = plan_.places[parameter].buffer;
      if (plan_.buffers[buffer].last < i || (pointwise && only_reads_whole(i, buffer)))
        return parameter;
    }
    return -1;
  }

  bool pieces_in_place(const Schedule::Step& step) const {
    const Plan::Place whole = plan_.places[step.out[0]];
    int64_t offset = whole.offset;
    for (const int piece : step.in) {
      const Plan::Place place = plan_.places[piece];
      if (s_.values[piece].bytes > 0 && (place.buffer != whole.buffer || place.offset != offset))
        return false;
      offset += s_.values[piece].bytes;
    }
    return true;
  }

  int scratch_of(int i) {
    std::vector<View> in, out;
    for (const int v : s_.steps[i].in)
      in.push_back({nullptr, s_.values[v].shape, s_.values[v].dtype});
    for (const int v : s_.steps[i].out)
      out.push_back({nullptr, s_.values[v].shape, s_.values[v].dtype});
    const View* packed = node(i).packed ? &in.back() : nullptr;
    const int64_t bytes = backend_.scratch({node(i).op, &node(i).attrs, operands(in, node(i)), out,
                                            nullptr, nullptr, packed, node(i).precision});
    return bytes > 0 ? new_buffer(bytes, i, label_of(i) + " scratch") : -1;
  }

  void finish_aliases() {
    for (const auto& [updated, parameter] : s_.alias) {
      const Plan::Place a = plan_.places[updated], b = plan_.places[parameter];
      if (a.buffer == b.buffer && a.offset == b.offset) continue;
      plan_.copies.emplace_back(updated, parameter);
    }
  }

  /// Largest first, each at the lowest address that is free during its whole life.
  void lay_out_arena() {
    std::vector<int> order;
    for (size_t b = 0; b < plan_.buffers.size(); ++b)
      if (!plan_.buffers[b].persistent && plan_.buffers[b].bytes > 0)
        order.push_back(static_cast<int>(b));
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return plan_.buffers[a].bytes > plan_.buffers[b].bytes; });
    std::vector<int> placed;  // by rising offset
    for (const int b : order) {
      Plan::Buffer& buffer = plan_.buffers[b];
      int64_t offset = 0;
      for (const int other : placed) {
        const Plan::Buffer& o = plan_.buffers[other];
        if (o.last < buffer.first || buffer.last < o.first) continue;
        if (offset + aligned(buffer.bytes) <= o.offset) break;
        offset = std::max(offset, o.offset + aligned(o.bytes));
      }
      buffer.offset = offset;
      plan_.arena_bytes = std::max(plan_.arena_bytes, offset + aligned(buffer.bytes));
      const auto at = std::upper_bound(placed.begin(), placed.end(), offset, [&](int64_t x, int p) {
        return x < plan_.buffers[p].offset;
      });
      placed.insert(at, b);
    }
  }

  const Backend& backend_;
  Schedule s_;
  Plan plan_;
  std::vector<Home> home_;
  std::vector<int> def_;
  std::vector<int> last_use_;
  std::vector<char> needed_after_;  ///< an output, or the source of a copy into a parameter
};

}  // namespace

std::span<const View> operands(const std::vector<View>& in, const Node& node) {
  return {in.data(), node.operands()};
}

Plan make_plan(Schedule schedule, const Backend& backend) {
  return Planner(std::move(schedule), backend).run();
}

}  // namespace satin
