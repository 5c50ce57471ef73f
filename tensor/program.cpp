#include "tensor/program.h"

#include <chrono>

#include "tensor/constants.h"
#include "tensor/cost.h"
#include "tensor/pack_weight.h"

namespace satin {

std::string place_of(const Node& node) {
  std::string text = node.module && !node.module->empty() ? cat("in ", *node.module, ": ") : "";
  text += cat(node.op, " of");
  for (size_t i = 0; i < node.operands(); ++i) text += cat(' ', node.inputs[i].shape());
  text += " ->";
  for (const Desc& y : node.outputs) text += cat(' ', y.shape);
  return text + ": ";
}

Schedule schedule_of(const Tensors& outputs, const Options& options, const Backend* backend) {
  for (const Tensor& y : outputs) y.node();  // throws for an empty one
  Tensors all = outputs;
  for (const Alias& a : options.alias) all.push_back(a.updated);
  all = lower(all, options.fuse, backend);
  if (options.pieces) all = in_pieces(all);
  all = in_precision(all, options.precision);
  if (backend && options.pack) all = pack_weights(all, *backend);
  std::map<const Node*, Tensor> hoisted;
  if (options.hoist) {
    all = hoist_constants(all, options.alias, [&](const Tensor& t) {
      Tensor leaf = options.store ? options.store->derived(t)
                                  : parameter(t.shape(), t.dtype(), cat(t.node().op));
      hoisted[&leaf.node()] = t;
      return leaf;
    });
  }
  const auto updates = all.begin() + std::ssize(outputs);
  std::vector<Alias> alias = options.alias;
  for (size_t i = 0; i < alias.size(); ++i) alias[i].updated = updates[static_cast<int64_t>(i)];
  Schedule schedule = linearize({all.begin(), updates}, alias);
  schedule.hoisted = std::move(hoisted);
  if (options.recompute) {
    delay_steps(schedule);
    recompute_cheap_values(schedule);
  }
  return schedule;
}

Plan plan_of(const Tensors& outputs, const Backend& backend, const Options& options) {
  Schedule schedule = schedule_of(outputs, options, &backend);
  return options.max_bytes > 0 && options.recompute
             ? plan_within(std::move(schedule), backend, options.max_bytes)
             : make_plan(std::move(schedule), backend);
}

Program::Program(Tensors outputs, const Backend& backend, Options options)
    : backend_(backend),
      outputs_(std::move(outputs)),
      store_(options.store),
      updates_(!options.alias.empty()) {
  if (!store_) {
    own_store_ = std::make_unique<Store>(backend);
    options.store = store_ = own_store_.get();
  }
  plan_ = plan_of(outputs_, backend, options);
  for (const Plan::Step& step : plan_.steps) {
    const DType t = step.node->outputs[0].dtype;
    if (!info(step.node->op).storage_dtypes && !backend.computes(t))
      throw Error(cat(step.node->op, ": ", backend.name(), " does not compute in ", t));
  }
  if (options.max_bytes > 0 && plan_.total_bytes() > options.max_bytes)
    throw MemoryError(
        cat("the plan needs ", plan_.total_bytes(), " bytes, the limit is ", options.max_bytes),
        plan_.total_bytes());
  bind();
}

std::shared_ptr<void> Backend::staging(int64_t bytes) const {
  return std::make_shared<std::byte[]>(static_cast<size_t>(bytes));
}

Program::~Program() {
  recording_.reset();
  if (arena_) backend_.release(arena_);
}

void Program::bind() {
  for (const Plan::Buffer& buffer : plan_.buffers)
    persistent_.push_back(buffer.persistent ? store_->memory(buffer.persistent) : nullptr);
  for (const auto& [leaf, value] : plan_.hoisted) hoisted_.push_back(leaf);
  if (plan_.arena_bytes > 0) arena_ = static_cast<std::byte*>(backend_.allocate(plan_.arena_bytes));
  const auto view = [&](int v) {
    return View{address(plan_.places[v]), plan_.values[v].shape, plan_.values[v].dtype};
  };
  for (const Plan::Step& step : plan_.steps) {
    if (!step.moves_data) continue;
    Step bound{step.node.get(), {}, {}, nullptr, nullptr};
    for (const int v : step.in) bound.in.push_back(view(v));
    for (const int v : step.out) bound.out.push_back(view(v));
    if (step.scratch >= 0) bound.scratch = address({step.scratch, 0});
    if (step.node->packed) bound.packed = &bound.in.back();  // stays where it is when bound moves
    steps_.push_back(std::move(bound));
  }
}

void* Program::address(Plan::Place place) const {
  if (place.buffer < 0) return nullptr;
  void* persistent = persistent_[place.buffer];
  std::byte* base = persistent ? static_cast<std::byte*>(persistent)
                               : arena_ + plan_.buffers[place.buffer].offset;
  return base + place.offset;
}

void Program::run(const Exec& exec) {
  store_->refresh(hoisted_, exec);
  const bool whole = !exec.profiler && !exec.communicator && !exec.debug_sync;
  if (whole && loaded_ && !asked_) {
    recording_ = backend_.record(exec, [&] { run_steps(exec); });
    asked_ = true;
  }
  if (whole && recording_)
    recording_->replay(exec);
  else
    run_steps(exec);
  loaded_ = true;
  if (updates_) store_->changed();
}

void Program::run_steps(const Exec& exec) const {
  using Clock = std::chrono::steady_clock;
  for (const Step& step : steps_) {
    const auto start = exec.profiler ? Clock::now() : Clock::time_point{};
    try {
      backend_.run({step.node->op, &step.node->attrs, operands(step.in, *step.node), step.out,
                    step.scratch, &exec, step.packed, step.node->precision});
      if (exec.profiler) backend_.finish();
    } catch (const DeviceError& e) {
      throw DeviceError(cat(place_of(*step.node), e.what()));
    }
    if (exec.profiler) {
      const std::chrono::duration<double> seconds = Clock::now() - start;
      exec.profiler->step(*step.node, seconds.count());
    }
  }
  for (const auto& [from, to] : plan_.copies) {
    const View in{address(plan_.places[from]), plan_.values[from].shape, plan_.values[from].dtype};
    const View out{address(plan_.places[to]), plan_.values[to].shape, plan_.values[to].dtype};
    const Attrs none;
    backend_.run({Op::reshape, &none, {&in, 1}, {&out, 1}, nullptr, &exec});
  }
}

void* Program::memory(const Tensor& t) const {
  for (size_t i = 0; i < outputs_.size(); ++i)
    if (outputs_[i] == t) return address(plan_.places[plan_.outputs[i]]);
  for (size_t v = 0; v < plan_.values.size(); ++v)
    if (t && plan_.values[v].leaf == t.node_ptr()) return address(plan_.places[v]);
  for (const NodePtr& node :
       nodes_of(outputs_))  // a parameter of which only hoisted values are read
    if (t.node_ptr() == node && node->op == Op::leaf && node->leaf->kind == LeafKind::parameter)
      return store_->memory(node);
  throw Error(
      "Program: this value is neither an output nor an input or parameter that the outputs need");
}

void Program::check_access(const Tensor& t, size_t element, int64_t count) {
  if (!t) throw Error("Program: an empty Tensor");
  if (element != size_of(t.dtype()) || count != t.size())
    throw Error(cat("Program: ", count, " elements of ", element, " bytes for a value of ",
                    t.shape(), " ", t.dtype()));
}

void Program::write_bytes(const Tensor& t, const void* host) {
  backend_.write(memory(t), host, t.bytes());
  if (t.node().op == Op::leaf && t.node().leaf->kind != LeafKind::input) store_->changed();
}
void Program::read_bytes(const Tensor& t, void* host) const {
  backend_.read(host, memory(t), t.bytes());
}

}  // namespace satin
