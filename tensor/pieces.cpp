// in_pieces(): images too large to be built whole.
//
// At the top of a network an image of many channels may be made of a smaller one only to be mapped
// to few channels right away.  Built whole it is by far the largest value of all.  Here such a pair
// goes a band of rows at a time: rows of the image, then rows of what reads it, which all lie where
// the planner puts the concat of the bands.  Only operations whose rows depend on nothing but the
// same rows of their inputs take part, and bands are cut by the problem, never by a limit, so no
// bit changes.
#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "tensor/concat.h"
#include "tensor/concat_linear.h"
#include "tensor/conv2d.h"
#include "tensor/cost.h"
#include "tensor/rewrite.h"
#include "tensor/schedule.h"
#include "tensor/slice.h"

namespace satin {
namespace {

constexpr int64_t kBand = int64_t{4} << 20;  // bytes of an image at a time, about
constexpr int64_t kMostBands = 64;

bool is_image(const Tensor& x) { return x.rank() == 4 && x.shape()[0] == 1; }

class Pieces {
 public:
  explicit Pieces(const Tensors& outputs) : outputs_(outputs) {
    for (const Tensor& y : outputs) ++readers_[&y.node()];
    for (const NodePtr& node : nodes_of(outputs))
      for (const Tensor& x : node->inputs) ++readers_[&x.node()];
  }

  Tensors run() {
    // Readers come behind what they read, so what goes in bands must be known before.
    for (const NodePtr& node : nodes_of(outputs_))
      if (node->op == Op::concat_linear && node->outputs[0].shape[0] == 1) choose(*node);
    if (bands_.empty()) return outputs_;
    return rewritten(outputs_, [&](const NodePtr& node, const Tensors& inputs) -> Tensors {
      if (banded_.count(node.get())) inputs_[node.get()] = inputs;
      const auto bands = bands_.find(node.get());
      if (bands == bands_.end()) return {};
      return {joined(*node, inputs, bands->second)};
    });
  }

 private:
  /// Whether rows [a, b) of x follow from rows of its inputs, and nobody else reads x.
  bool separable(const Tensor& x) const {
    const Node& node = x.node();
    if (!is_image(x) || readers_.at(&node) != 1) return false;
    if (node.op == Op::conv2d_input_grad) {
      const auto a = node.as<Conv2dAttrs>();
      return a.kernel[0] == a.stride && a.pad == 0 && a.dilation == 1 &&
             a.input[1] == node.inputs[0].shape()[1] * a.stride;
    }
    return info(node.op).kind == OpKind::pointwise && node.outputs.size() == 1 &&
           std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](const Tensor& y) { return y.shape() == x.shape() || same_in_rows(y); });
  }

  /// An operand, broadcast by its reader, that is the same for every row.
  static bool same_in_rows(const Tensor& x) { return x.rank() < 3 || x.shape()[x.rank() - 3] == 1; }

  /// Marks x and what it follows from; `unit`: bands must have a multiple of so many rows.
  int64_t mark(const Tensor& x, int64_t& unit) {
    if (!separable(x)) return 0;
    banded_.insert(&x.node());
    int64_t largest = x.bytes();
    if (x.node().op == Op::conv2d_input_grad) {
      unit = std::lcm(unit, static_cast<int64_t>(x.node().as<Conv2dAttrs>().stride));
      return largest;  // what it reads is smaller
    }
    for (const Tensor& y : x.node().inputs)
      if (y.shape() == x.shape()) largest = std::max(largest, mark(y, unit));
    return largest;
  }

  void choose(const Node& node) {
    const Shape& y = node.outputs[0].shape;
    const auto before = banded_;
    int64_t unit = 1, largest = 0;
    for (size_t i = 0; i + 2 < node.inputs.size(); ++i) {
      const Tensor& x = node.inputs[i];
      const int64_t h = x.shape()[1];
      if (h == y[1]) largest = std::max(largest, mark(x, unit));
      if (h < y[1]) unit = std::lcm(unit, y[1] / h);
    }
    const int64_t bands = std::min(kMostBands, largest / kBand);
    if (bands < 2 || largest <= y.size() * static_cast<int64_t>(size_of(node.outputs[0].dtype))) {
      banded_ = before;
      return;
    }
    const int64_t rows = (y[1] + bands - 1) / bands;
    bands_[&node] = (rows + unit - 1) / unit * unit;
  }

  Tensor joined(const Node& node, const Tensors& inputs, int64_t rows) const {
    const ModuleScope scope(node);
    const Shape& y = node.outputs[0].shape;
    const size_t images = inputs.size() - 2;
    Tensors bands;
    for (int64_t from = 0; from < y[1]; from += rows) {
      const int64_t to = std::min(from + rows, y[1]);
      Tensors x;
      for (size_t i = 0; i < images; ++i) {
        const int64_t h = inputs[i].shape()[1];
        x.push_back(h < y[1] ? cut(inputs[i], from / (y[1] / h), to / (y[1] / h))
                             : band(node.inputs[i], inputs[i], from * (h / y[1]), to * (h / y[1])));
      }
      bands.push_back(concat_linear(x, inputs[images], inputs[images + 1], {to - from, y[2]}));
    }
    return bands.size() == 1 ? bands[0] : concat(bands, 1);
  }

  static Tensor cut(const Tensor& x, int64_t from, int64_t to) {
    return from == 0 && to == x.shape()[1] ? x : slice(x, 1, from, to);
  }

  /// Rows [from, to) of a value, `old` in the given graph and `now` in the new one.
  Tensor band(const Tensor& old, const Tensor& now, int64_t from, int64_t to) const {
    const Node& node = old.node();
    if (!banded_.count(&node)) return cut(now, from, to);
    const ModuleScope scope(node);
    const Tensors& inputs = inputs_.at(&node);
    const Shape& whole = old.shape();
    const Shape shape = {1, to - from, whole[2], whole[3]};
    if (node.op == Op::conv2d_input_grad) {
      const auto a = node.as<Conv2dAttrs>();
      return conv2d_input_grad(cut(inputs[0], from / a.stride, to / a.stride), inputs[1], a, shape,
                               inputs.size() > 2 ? inputs[2] : Tensor{});
    }
    Tensors x;
    for (size_t i = 0; i < inputs.size(); ++i)
      x.push_back(inputs[i].shape() == whole ? band(node.inputs[i], inputs[i], from, to)
                                             : inputs[i]);
    return {make_node(node.op, node.attrs, x, {{shape, node.outputs[0].dtype}}), 0};
  }

  const Tensors& outputs_;
  std::unordered_map<const Node*, int> readers_;
  std::unordered_set<const Node*> banded_;
  std::unordered_map<const Node*, int64_t> bands_;   ///< rows of a band, by reader
  std::unordered_map<const Node*, Tensors> inputs_;  ///< of banded nodes, in the new graph
};

}  // namespace

Tensors in_pieces(const Tensors& outputs) { return Pieces(outputs).run(); }

}  // namespace satin
