#include "mgpnet/inspect_report.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mgpnet/command.h"
#include "nn/text.h"

namespace mgpnet {

using namespace satin;
using Json = nlohmann::ordered_json;

namespace {

constexpr size_t kLongestValue = 100;  // characters of a metadata value in a table

/// 3722633 -> "3,722,633"
std::string grouped(int64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

double mega(int64_t n) { return 1e-6 * static_cast<double>(n); }

/// A number, or null: JSON knows neither NaN nor infinity.
Json finite(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json shape_json(const Shape& shape) { return std::vector<int64_t>(shape.begin(), shape.end()); }

std::string module_of(const Node& node) { return node.module ? *node.module : std::string(); }

/// Text for JSON: what is not UTF-8 made visible.
std::string utf8(const std::string& text) { return valid_utf8(text) ? text : printable(text); }

Json meta_json(const MetaValue& value) {
  return std::visit(
      [&](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return utf8(v);
        else if constexpr (std::is_same_v<T, MetaArray>)
          return utf8(to_text(value));
        else if constexpr (std::is_floating_point_v<T>)
          return finite(static_cast<double>(v));
        else
          return v;
      },
      value);
}

}  // namespace

// --- model files -------------------------------------------------------------------------------

TensorStatistics statistics_of(const StoredTensor& tensor) {
  TensorStatistics s;
  const std::vector<double> values = values_of<double>(tensor);
  double sum = 0, count = 0;
  for (const double x : values) {
    if (!std::isfinite(x)) {
      ++s.not_finite;
      continue;
    }
    s.min = count > 0 ? std::min(s.min, x) : x;
    s.max = count > 0 ? std::max(s.max, x) : x;
    sum += x;
    ++count;
  }
  if (count == 0) return s;
  s.mean = sum / count;
  double squares = 0;
  for (const double x : values)
    if (std::isfinite(x)) squares += (x - s.mean) * (x - s.mean);
  s.deviation = std::sqrt(squares / count);
  return s;
}

Json model_json(const TensorFile& file, int64_t file_bytes) {
  Json metadata = Json::object(), tensors = Json::array();
  int64_t elements = 0;
  for (const MetaEntry& entry : file.metadata) metadata[utf8(entry.key)] = meta_json(entry.value);
  for (const StoredTensor& t : file.tensors) {
    const TensorStatistics s = statistics_of(t);
    elements += t.shape.size();
    tensors.push_back({{"name", utf8(t.name)},
                       {"shape", shape_json(t.shape)},
                       {"dtype", name_of(t.dtype)},
                       {"mean", finite(s.mean)},
                       {"deviation", finite(s.deviation)},
                       {"min", finite(s.min)},
                       {"max", finite(s.max)},
                       {"not_finite", s.not_finite}});
  }
  return {{"file", utf8(file.file)},
          {"format", file.format},
          {"version", file.version > 0 ? Json(file.version) : Json(nullptr)},
          {"bytes", file_bytes},
          {"elements", elements},
          {"metadata", metadata},
          {"tensors", tensors}};
}

std::string model_text(const TensorFile& file, int64_t file_bytes) {
  int64_t elements = 0;
  std::map<std::string, int> dtypes;
  for (const StoredTensor& t : file.tensors) {
    elements += t.shape.size();
    ++dtypes[std::string(name_of(t.dtype))];
  }
  const std::string format =
      file.version > 0 ? fmt::format("{} version {}", file.format, file.version) : file.format;
  std::string text =
      fmt::format("{}: {}, {} in {} tensors, {} elements", one_line(file.file), format,
                  size_text(file_bytes), file.tensors.size(), grouped(elements));
  for (const auto& [name, count] : dtypes) text += fmt::format(", {} {}", count, name);
  text += "\n";
  for (const MetaEntry& entry : file.metadata) {
    std::string value = printable(to_text(entry.value));
    if (value.size() > kLongestValue) {
      size_t end = kLongestValue;
      while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
      value = value.substr(0, end) + " ...";
    }
    text += fmt::format("  {} ({}) = {}\n", printable(entry.key), type_name(entry.value), value);
  }
  size_t widest = 6;
  for (const StoredTensor& t : file.tensors) widest = std::max(widest, t.name.size());
  text += fmt::format("{:<{}} {:>18} {:>5} {:>12} {:>12} {:>12} {:>12}\n", "tensor", widest,
                      "shape", "type", "mean", "deviation", "min", "max");
  for (const StoredTensor& t : file.tensors) {
    const TensorStatistics s = statistics_of(t);
    text +=
        fmt::format("{:<{}} {:>18} {:>5} {:>12.5g} {:>12.5g} {:>12.5g} {:>12.5g}{}\n",
                    printable(t.name), widest, cat(t.shape), name_of(t.dtype), s.mean, s.deviation,
                    s.min, s.max, s.not_finite ? fmt::format("  {} not finite", s.not_finite) : "");
  }
  return text;
}

// --- operations --------------------------------------------------------------------------------

namespace {

/// Rows of one part of the network, added up.
struct Part {
  std::string module;
  int64_t operations = 0, parameters = 0, macs = 0, bytes = 0;
  double seconds = 0;
};

/// In the order of their first operation.
std::vector<Part> parts_of(const std::vector<OpRow>& rows) {
  std::vector<Part> parts;
  for (const OpRow& row : rows) {
    std::string module = module_of(*row.node);
    module.resize(std::min(module.find('.'), module.size()));
    auto part =
        std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.module == module; });
    if (part == parts.end()) part = parts.insert(part, {module, 0, 0, 0, 0, 0});
    ++part->operations;
    part->parameters += row.parameters;
    part->macs += row.cost.macs;
    part->bytes += row.cost.bytes;
    part->seconds += row.seconds;
  }
  return parts;
}

double gflops_of(int64_t macs, double seconds) {
  return seconds > 0 ? 2e-9 * static_cast<double>(macs) / seconds : 0;
}

/// The columns that parts and operations share.  The peak is known of the CPU only.
std::string numbers(
    int64_t parameters, int64_t macs, int64_t bytes, double seconds, const OpsReport& report) {
  std::string text =
      fmt::format("{:>10} {:>10.3f} {:>9.2f}", grouped(parameters), mega(macs), mega(bytes));
  if (!report.timed) return text;
  const double gflops = gflops_of(macs, seconds), peak = report.peak_gflops;
  text += fmt::format(" {:>9.3f}", 1e3 * seconds);
  text += macs > 0 ? fmt::format(" {:>8.1f}", gflops) : fmt::format(" {:>8}", "-");
  text += macs > 0 && peak > 0 ? fmt::format(" {:>6.1f}", 100 * gflops / peak)
                               : fmt::format(" {:>6}", "-");
  return text;
}

}  // namespace

Json ops_json(const OpsReport& report, const WorkloadOptions& options) {
  Json ops = Json::array();
  double seconds = 0;
  for (const OpRow& row : report.rows) {
    Json in = Json::array(), out = Json::array();
    for (size_t i = 0; i < row.node->operands(); ++i)
      in.push_back(shape_json(row.node->inputs[i].shape()));
    for (const Desc& y : main_outputs(*row.node)) out.push_back(shape_json(y.shape));
    Json op = {{"module", module_of(*row.node)},
               {"op", name_of(row.node->op)},
               {"inputs", in},
               {"outputs", out},
               {"dtype", name_of(row.node->outputs.at(0).dtype)},
               {"parameters", row.parameters},
               {"macs", row.cost.macs},
               {"bytes", row.cost.bytes}};
    if (report.timed) {
      const double gflops = gflops_of(row.cost.macs, row.seconds);
      op["ms"] = 1e3 * row.seconds;
      op["gflops"] = gflops;
      if (report.peak_gflops > 0) op["peak_share"] = gflops / report.peak_gflops;
    }
    seconds += row.seconds;
    ops.push_back(op);
  }
  Json json = {{"size", cat(options.width, "x", options.height)},
               {"batch", options.batch},
               {"what", options.train ? "train" : "forward"},
               {"parameters", report.parameters},
               {"macs", report.total.macs},
               {"planned_bytes", report.arena_bytes + report.persistent_bytes},
               {"arena_bytes", report.arena_bytes},
               {"persistent_bytes", report.persistent_bytes}};
  if (report.timed) {
    json["ms"] = 1e3 * seconds;
    json["gflops"] = gflops_of(report.total.macs, seconds);
    if (report.peak_gflops > 0) json["peak_gflops"] = report.peak_gflops;
  }
  json["ops"] = ops;
  return json;
}

std::string ops_text(const OpsReport& report) {
  std::string text = fmt::format("{:>10} {:>10} {:>9}", "parameters", "MMAC", "MB moved");
  if (report.timed) text += fmt::format(" {:>9} {:>8} {:>6}", "ms", "GFLOP/s", "% peak");
  text += report.by_operation ? "  dtype op                 module: inputs -> outputs\n"
                              : "    ops  module\n";
  double seconds = 0;
  for (const OpRow& row : report.rows) {
    seconds += row.seconds;
    if (!report.by_operation) continue;
    text += numbers(row.parameters, row.cost.macs, row.cost.bytes, row.seconds, report);
    text += fmt::format("  {:<5} {:<18} {}: {} -> {}\n", name_of(row.node->outputs.at(0).dtype),
                        name_of(row.node->op), module_of(*row.node), input_shapes_of(*row.node),
                        output_shapes_of(*row.node));
  }
  if (!report.by_operation)
    for (const Part& part : parts_of(report.rows))
      text += numbers(part.parameters, part.macs, part.bytes, part.seconds, report) +
              fmt::format("  {:>5}  {}\n", part.operations,
                          part.module.empty() ? "(outside of modules)" : part.module);
  text += fmt::format("{} parameters  {:.3f} GMAC", grouped(report.parameters),
                      1e-3 * mega(report.total.macs));
  if (report.timed) {
    const double gflops = gflops_of(report.total.macs, seconds), peak = report.peak_gflops;
    text += fmt::format("  {:.2f} ms  {:.1f} GFLOP/s", 1e3 * seconds, gflops);
    if (peak > 0)
      text += fmt::format("  {:.1f} % of the {:.1f} GFLOP/s measured", 100 * gflops / peak, peak);
  }
  text += fmt::format(
      "\nplanned peak memory {} ({} bytes): {} of values, {} of parameters and constants\n",
      size_text(report.arena_bytes + report.persistent_bytes),
      report.arena_bytes + report.persistent_bytes, size_text(report.arena_bytes),
      size_text(report.persistent_bytes));
  return text;
}

// --- two backends ------------------------------------------------------------------------------

namespace {

/// Memory of the host for a value.
class Block {
 public:
  Block() = default;
  explicit Block(int64_t bytes)
      : data_(::operator new(static_cast<size_t>(std::max<int64_t>(bytes, 1)), kAlignment),
              [](void* p) { ::operator delete(p, kAlignment); }) {}
  void* get() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::shared_ptr<void> data_;
};

/// Memory of a backend with the content of a view; the view itself where that is possible.
class Copy {
 public:
  Copy(const Backend& backend, const View& host) : backend_(backend), host_(host), there_(host) {
    if (backend.on_host()) return;
    there_.data = backend.allocate(bytes());
    backend.write(there_.data, host.data, bytes());
  }
  ~Copy() {
    if (!backend_.on_host()) backend_.release(there_.data);
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  const View& view() const { return there_; }
  void fetch() const {
    if (!backend_.on_host()) backend_.read(host_.data, there_.data, bytes());
  }

 private:
  int64_t bytes() const { return host_.shape.size() * static_cast<int64_t>(size_of(host_.dtype)); }
  const Backend& backend_;
  View host_, there_;
};

/// Runs a node on views of the host, wherever the backend computes.
void run_node(const Backend& backend,
              const Node& node,
              const std::vector<View>& in,
              const std::vector<View>& out,
              const Exec& exec) {
  std::vector<std::unique_ptr<Copy>> in_there, out_there;
  std::vector<View> in_views, out_views;
  const auto copy = [&](const std::vector<View>& from, auto& copies, auto& views) {
    for (const View& v : from) {
      copies.push_back(std::make_unique<Copy>(backend, v));
      views.push_back(copies.back()->view());
    }
  };
  copy(in, in_there, in_views);
  copy(out, out_there, out_views);
  Call call{node.op, &node.attrs, in_views, out_views, nullptr, &exec};
  const int64_t scratch = backend.scratch(call);
  const std::shared_ptr<void> memory(backend.allocate(scratch),
                                     [&](void* p) { backend.release(p); });
  call.scratch = memory.get();
  try {
    backend.run(call);
    for (const auto& y : out_there) y->fetch();
  } catch (const DeviceError& e) {  // fetch() waits, so it is this operation's
    throw DeviceError(cat(place_of(node), e.what()));
  }
}

double largest_difference(const View& x, const View& y) {
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.shape.size(); ++i) {
    const double a = x.as<float>()[i], b = y.as<float>()[i];
    worst = std::max(worst, std::isfinite(a - b) ? std::abs(a - b) : INFINITY);
    largest = std::max(largest, std::abs(a));
  }
  return worst == 0 ? 0 : worst / largest;
}

/// Rounding grows with the square root of the number of terms in a sum.  An output of a layer norm
/// or a softmax comes from sums over its row, which is as many terms.
double bar_of(const Node& node) {
  int64_t in = 1, out = 1;
  for (const Tensor& x : node.inputs) in = std::max(in, x.size());
  for (const Desc& y : main_outputs(node)) out = std::max(out, y.shape.size());
  double terms = static_cast<double>(std::max(in, cost_of(node).macs)) / static_cast<double>(out);
  if (node.op == Op::layer_norm || node.op == Op::layer_norm_grad || node.op == Op::softmax)
    terms = std::max(terms, static_cast<double>(node.inputs[0].shape().at(-1)));
  return 16 * 0x1p-24 * std::sqrt(std::max(1.0, terms));
}

}  // namespace

std::vector<Difference> compare_backends(
    const Schedule& schedule,
    const Backend& a,
    const Backend& b,
    const std::vector<std::pair<Tensor, std::vector<float>>>& inputs,
    const Exec& exec) {
  const size_t n = schedule.values.size();
  std::vector<size_t> last(n, 0);
  for (size_t s = 0; s < schedule.steps.size(); ++s)
    for (const int v : schedule.steps[s].in) last[static_cast<size_t>(v)] = s;

  std::vector<Block> blocks(n);
  const auto view = [&](size_t v, const Block& block) {
    return View{block.get(), schedule.values[v].shape, schedule.values[v].dtype};
  };
  for (size_t v = 0; v < n; ++v) {
    const NodePtr& leaf = schedule.values[v].leaf;
    if (!leaf) continue;
    const auto bytes = static_cast<size_t>(schedule.values[v].bytes);
    blocks[v] = Block(schedule.values[v].bytes);
    std::memset(blocks[v].get(), 0, bytes);
    if (!leaf->leaf->data.empty())
      std::memcpy(blocks[v].get(), leaf->leaf->data.data(),
                  std::min(bytes, leaf->leaf->data.size()));
    for (const auto& [tensor, values] : inputs)
      if (tensor.node_ptr() == leaf)
        std::memcpy(blocks[v].get(), values.data(), std::min(bytes, 4 * values.size()));
  }

  std::vector<Difference> found;
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    stop_if_interrupted();
    const Schedule::Step& step = schedule.steps[s];
    std::vector<View> in, out_a, out_b;
    std::vector<Block> other;
    for (const int v : step.in)
      in.push_back(view(static_cast<size_t>(v), blocks[static_cast<size_t>(v)]));
    for (const int v : step.out) {
      const auto i = static_cast<size_t>(v);
      blocks[i] = Block(schedule.values[i].bytes);
      other.emplace_back(schedule.values[i].bytes);
      out_a.push_back(view(i, blocks[i]));
      out_b.push_back(view(i, other.back()));
    }
    run_node(a, *step.node, in, out_a, exec);
    run_node(b, *step.node, in, out_b, exec);
    Difference difference{step.node.get(), 0, bar_of(*step.node)};
    for (size_t i = 0; i < out_a.size(); ++i)
      difference.error = std::max(difference.error, largest_difference(out_a[i], out_b[i]));
    found.push_back(difference);
    for (const int v : step.in)
      if (last[static_cast<size_t>(v)] == s && !schedule.values[static_cast<size_t>(v)].leaf)
        blocks[static_cast<size_t>(v)] = Block();
  }
  return found;
}

}  // namespace mgpnet
