#include "mgpnet/workload.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "mgpnet/command.h"
#include "nn/optimizer.h"
#include "nn/random.h"

namespace mgpnet {

using namespace satin;

namespace {

/// The leaf behind views and copies of it, and the last node before it (null: the leaf itself is
/// read).
struct Origin {
  const Node* leaf;
  const Node* view;
};

Origin origin_of(const Tensor& t) {
  Origin origin{&t.node(), nullptr};
  while (origin.leaf->op == Op::reshape || origin.leaf->op == Op::slice ||
         origin.leaf->op == Op::permute || origin.leaf->op == Op::broadcast_to) {
    origin.view = origin.leaf;
    origin.leaf = &origin.leaf->inputs.at(0).node();
  }
  return origin;
}

}  // namespace

std::vector<float> random_values(int64_t count, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  const uint64_t stream = mix64(seed);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(stream, i));
  return values;
}

Tensors Workload::results() const {
  Tensors all = outputs;
  for (const Alias& a : alias) all.push_back(a.updated);
  return all;
}

Workload make_workload(WorkloadOptions options) {
  const auto rounded = [](int64_t side) { return (side + 63) / 64 * 64; };
  options.width = rounded(options.width);
  options.height = rounded(options.height);
  const Shape shape = {options.batch, options.height, options.width, 3};
  Workload w{options, network_parameters(options.config), {}, {}, {}, {}, {}};
  w.image = input(shape, DType::f32, "image");
  w.outputs = network(w.parameters, w.image, options.config);
  if (!options.train) return w;
  w.target = input(shape, DType::f32, "target");
  const TrainingStep step = adam_step(multi_scale_l1(w.outputs, w.target), w.parameters, 10.0);
  w.lr = step.lr;
  w.outputs = step.outputs();
  w.alias = step.alias;
  return w;
}

void fill_inputs(Program& program, const Workload& w, uint64_t seed) {
  program.write<float>(w.image, random_values(w.image.size(), seed));
  if (!w.options.train) return;
  program.write<float>(w.target, random_values(w.target.size(), seed + 1));
  const float lr = 2e-4f;
  program.write<float>(w.lr, {&lr, 1});
}

void fill(Program& program, const Workload& w, uint64_t seed) {
  program.write<float>(w.parameters.flat(), default_initialization(w.parameters, seed));
  fill_inputs(program, w, seed);
}

int64_t bytes_beside_plan(const Workload& w) {
  const int64_t values = std::max(w.parameters.size(), w.image.size());
  return kProcessBytes + values * static_cast<int64_t>(sizeof(float));
}

std::vector<OpRow> op_rows(const Plan& plan, const Workload& w) {
  std::vector<OpRow> rows;
  std::unordered_set<const Node*> counted;
  for (const Plan::Step& step : plan.steps) {
    if (!step.moves_data) continue;
    OpRow row{step.node.get(), 0, cost_of(*step.node), 0};
    const std::function<void(const Node&)> count = [&](const Node& node) {
      for (const Tensor& x : node.inputs) {
        const Origin origin = origin_of(x);
        if (origin.leaf == &w.parameters.flat().node() && origin.view &&
            counted.insert(origin.view).second)
          row.parameters += origin.view->outputs[0].shape.size();
        const auto hoisted = plan.hoisted.find(origin.leaf);
        if (hoisted == plan.hoisted.end()) continue;
        for (const NodePtr& part : nodes_of({hoisted->second})) count(*part);
      }
    };
    count(*step.node);
    rows.push_back(row);
  }
  return rows;
}

Schedule schedule_of(const Workload& w, bool fuse, const Backend* backend) {
  return satin::schedule_of(w.outputs, {.alias = w.alias, .fuse = fuse, .hoist = false}, backend);
}

Options options_of(const Workload& w, bool fuse, int64_t max_bytes, Precision precision) {
  return {.alias = w.alias, .fuse = fuse, .precision = precision, .max_bytes = max_bytes};
}

Plan plan_of(
    const Workload& w, const Backend& backend, bool fuse, int64_t max_bytes, Precision precision) {
  return satin::plan_of(w.outputs, backend, options_of(w, fuse, max_bytes, precision));
}

void OpTimes::step(const Node&, double seconds) {
  if (next_ == seconds_.size()) seconds_.emplace_back();
  seconds_[next_++].push_back(seconds);
}

void OpTimes::store_medians(std::vector<OpRow>& rows) const {
  for (size_t i = 0; i < std::min(rows.size(), seconds_.size()); ++i)
    rows[i].seconds = median(seconds_[i]);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

namespace {

std::string joined(const std::vector<Shape>& shapes) {
  std::string text;
  for (const Shape& s : shapes) text += cat(text.empty() ? "" : " ", s);
  return text;
}

}  // namespace

std::string input_shapes_of(const Node& node) {
  std::vector<Shape> shapes;
  shapes.reserve(node.operands());
  for (size_t i = 0; i < node.operands(); ++i) shapes.push_back(node.inputs[i].shape());
  return joined(shapes);
}

std::vector<Desc> main_outputs(const Node& node) {
  std::vector<Desc> outputs;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!is_spare(node.op, i)) outputs.push_back(node.outputs[i]);
  return outputs;
}

std::string output_shapes_of(const Node& node) {
  std::vector<Shape> shapes;
  for (const Desc& y : main_outputs(node)) shapes.push_back(y.shape);
  return joined(shapes);
}

}  // namespace mgpnet
