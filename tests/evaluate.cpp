#include "evaluate.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "cpu/cpu.h"
#include "tensor/cost.h"
#include "tensor/pack_weight.h"

namespace satin::testing {
namespace {

constexpr size_t kGuard = 64;
constexpr auto kCanary = std::byte{0xa5};
constexpr auto kUnwritten = std::byte{0xff};  // NaN in every dtype

/// Memory of a backend that ends exactly where its block ends, so that the address sanitizer (and
/// the simulator, on a device) sees every overread.
class Block {
 public:
  Block(const Backend& backend, size_t bytes)
      : backend_(backend),
        data_(static_cast<std::byte*>(backend.on_host()
                                          ? ::operator new (bytes, std::align_val_t{kGuard})
                                          : backend.allocate(static_cast<int64_t>(bytes)))) {}
  ~Block() {
    if (backend_.on_host())
      ::operator delete (data_, std::align_val_t{kGuard});
    else
      backend_.release(data_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  std::byte* data() const { return data_; }
  void write(const Bytes& bytes, size_t at = 0) {
    backend_.write(data_ + at, bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  Bytes read(size_t at, size_t bytes) const {
    Bytes copy(bytes);
    backend_.read(copy.data(), data_ + at, static_cast<int64_t>(bytes));
    return copy;
  }

 private:
  const Backend& backend_;
  std::byte* data_;
};

/// A buffer aligned to 64 bytes between two guard bands.
class Guarded {
 public:
  Guarded(const Backend& backend, size_t bytes)
      : bytes_(bytes), block_(backend, bytes + 2 * kGuard) {
    Bytes content(bytes + 2 * kGuard, kCanary);
    std::fill_n(content.begin() + kGuard, bytes, kUnwritten);
    block_.write(content);
  }

  std::byte* data() const { return block_.data() + kGuard; }
  void write(const Bytes& bytes) { block_.write(bytes, kGuard); }
  Bytes copy() const { return block_.read(kGuard, bytes_); }
  bool intact() const {
    const Bytes band(kGuard, kCanary);
    return block_.read(0, kGuard) == band && block_.read(kGuard + bytes_, kGuard) == band;
  }

 private:
  size_t bytes_;
  Block block_;
};

/// A copy of a value, and nothing around it.
class Exact {
 public:
  Exact(const Backend& backend, const Bytes& bytes)
      : bytes_(bytes.size()), block_(backend, bytes.size()) {
    block_.write(bytes);
  }

  std::byte* data() const { return block_.data(); }
  Bytes copy() const { return block_.read(0, bytes_); }

 private:
  size_t bytes_;
  Block block_;
};

template <class T>
Bytes bytes_of(const std::vector<T>& list) {
  Bytes bytes(list.size() * sizeof(T));
  if (!list.empty()) std::memcpy(bytes.data(), list.data(), bytes.size());
  return bytes;
}

template <class T>
std::vector<T> list_of(const Bytes& bytes) {
  std::vector<T> list(bytes.size() / sizeof(T));
  if (!list.empty()) std::memcpy(list.data(), bytes.data(), bytes.size());
  return list;
}

template <class T, class Convert>
Bytes encode_as(const std::vector<double>& values, Convert convert) {
  std::vector<T> list;
  for (const double x : values) list.push_back(convert(x));
  return bytes_of(list);
}

template <class T, class Convert>
std::vector<double> decode_as(const Bytes& bytes, Convert convert) {
  std::vector<double> values;
  for (const T x : list_of<T>(bytes)) values.push_back(convert(x));
  return values;
}

size_t bytes_in(const Desc& d) { return static_cast<size_t>(d.shape.size()) * size_of(d.dtype); }

/// Runs one node; its outputs, and what was wrong.
class Runner {
 public:
  Runner(const Node& node,
         const std::vector<Bytes>& inputs,
         const Backend& backend,
         const Exec& exec)
      : node_(node), inputs_(inputs), backend_(backend), exec_(exec) {}

  std::vector<Bytes> run(Evaluation& result) {
    std::vector<Bytes> outputs = once(-1, result);
    ++result.runs;
    if (info(node_.op).kind != OpKind::pointwise) return outputs;
    for (size_t k = 0; k < inputs_.size(); ++k) {
      if (inputs_[k].size() != outputs[0].size() || outputs[0].empty()) continue;
      ++result.runs_in_place;
      if (once(static_cast<int>(k), result) != outputs)
        blame(result, cat("other bits when run over input ", k));
    }
    return outputs;
  }

 private:
  void blame(Evaluation& result, const std::string& what) const {
    if (result.fault.empty()) result.fault = cat(node_.op, ": ", what);
  }

  /// In place: output 0 lies over input `over`, further outputs over the inputs of their size that
  /// follow it.
  std::vector<Bytes> once(int over, Evaluation& result) const {
    std::vector<std::unique_ptr<Exact>> in;
    std::vector<std::unique_ptr<Guarded>> out;
    std::vector<View> in_views, out_views;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      in.push_back(std::make_unique<Exact>(backend_, inputs_[i]));
      in_views.push_back({in[i]->data(), node_.inputs[i].shape(), node_.inputs[i].dtype()});
    }
    const View* packed = node_.packed ? &in_views.back() : nullptr;
    std::vector<char> overwritten(inputs_.size(), false);
    for (const Desc& y : node_.outputs) {
      out.push_back(std::make_unique<Guarded>(backend_, bytes_in(y)));
      out_views.push_back({out.back()->data(), y.shape, y.dtype});
      const auto at = static_cast<size_t>(over);
      if (over >= 0 && at < inputs_.size() && inputs_[at].size() == bytes_in(y)) {
        out.back()->write(inputs_[at]);
        in_views[at].data = out.back()->data();
        overwritten[at] = true;
        ++over;
      }
    }
    Call call{node_.op, &node_.attrs, operands(in_views, node_), out_views, nullptr, &exec_,
              packed,   node_.precision};
    const int64_t wanted = backend_.scratch(call);
    Guarded scratch(backend_, wanted > 0 ? static_cast<size_t>(wanted) : 0);
    if (wanted > 0) call.scratch = scratch.data();
    backend_.run(call);
    if (!scratch.intact()) blame(result, "wrote outside its scratch");
    for (size_t i = 0; i < in.size(); ++i)
      if (!overwritten[i] && in[i]->copy() != inputs_[i]) blame(result, cat("changed input ", i));
    std::vector<Bytes> outputs;
    for (size_t k = 0; k < out.size(); ++k) {
      if (!out[k]->intact()) blame(result, cat("wrote outside output ", k));
      outputs.push_back(out[k]->copy());
    }
    return outputs;
  }

  const Node& node_;
  const std::vector<Bytes>& inputs_;
  const Backend& backend_;
  const Exec& exec_;
};

}  // namespace

Bytes encode(const std::vector<double>& values, DType dtype) {
  switch (dtype) {
    case DType::f64:
      return bytes_of(values);
    case DType::f32:
      return encode_as<float>(values, [](double x) { return static_cast<float>(x); });
    case DType::bf16:
      return encode_as<Bf16>(values, [](double x) { return to_bf16(static_cast<float>(x)); });
    case DType::f16:
      return encode_as<F16>(values, [](double x) { return to_f16(static_cast<float>(x)); });
  }
  throw std::logic_error("a dtype that does not exist");
}

std::vector<double> decode(const Bytes& bytes, DType dtype) {
  switch (dtype) {
    case DType::f64:
      return list_of<double>(bytes);
    case DType::f32:
      return decode_as<float>(bytes, [](float x) { return static_cast<double>(x); });
    case DType::bf16:
      return decode_as<Bf16>(bytes, [](Bf16 x) { return static_cast<double>(to_f32(x)); });
    case DType::f16:
      return decode_as<F16>(bytes, [](F16 x) { return static_cast<double>(to_f32(x)); });
  }
  throw std::logic_error("a dtype that does not exist");
}

std::vector<Bytes> run_program(const Tensors& outputs,
                               const Tensors& inputs,
                               const std::vector<Bytes>& values,
                               const Backend& backend,
                               const Exec& exec,
                               Options options) {
  Program program(outputs, backend, std::move(options));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (reads(program, inputs[i])) program.write_bytes(inputs[i], values[i].data());
  program.run(exec);
  std::vector<Bytes> results;
  for (const Tensor& y : outputs) {
    results.emplace_back(static_cast<size_t>(y.bytes()));
    program.read_bytes(y, results.back().data());
  }
  return results;
}

std::vector<std::vector<double>> values_of(const Tensors& outputs,
                                           const Tensors& inputs,
                                           const std::vector<std::vector<double>>& values,
                                           Options options) {
  std::vector<Bytes> in;
  for (size_t i = 0; i < inputs.size(); ++i) in.push_back(encode(values[i], inputs[i].dtype()));
  const std::vector<Bytes> out =
      run_program(outputs, inputs, in, cpu::backend(), {}, std::move(options));
  std::vector<std::vector<double>> decoded;
  for (size_t i = 0; i < outputs.size(); ++i) decoded.push_back(decode(out[i], outputs[i].dtype()));
  return decoded;
}

bool reads(const Program& program, const Tensor& leaf) {
  return std::any_of(program.plan().values.begin(), program.plan().values.end(),
                     [&](const Schedule::Value& v) { return v.leaf == leaf.node_ptr(); });
}

Evaluation evaluate(const Tensors& outputs,
                    const Tensors& inputs,
                    const std::vector<Bytes>& values,
                    const Backend& backend,
                    const Exec& exec) {
  const Tensors lowered = lower(outputs, true, &backend);
  std::map<const Node*, std::vector<Bytes>> known;
  for (size_t i = 0; i < inputs.size(); ++i) known[&inputs[i].node()] = {values[i]};
  Evaluation result;
  const std::vector<NodePtr> nodes = nodes_of(lowered);
  for (const NodePtr& node : nodes) {
    if (known.count(node.get())) continue;
    if (node->op == Op::leaf) {
      Bytes data = node->leaf->data;
      data.resize(bytes_in(node->outputs[0]));
      known[node.get()] = {std::move(data)};
      continue;
    }
    std::vector<Bytes> in;
    for (const Tensor& x : node->inputs)
      in.push_back(known.at(&x.node())[static_cast<size_t>(x.output())]);
    known[node.get()] = Runner(*node, in, backend, exec).run(result);
  }
  for (const Tensor& y : lowered)
    result.outputs.push_back(known.at(&y.node())[static_cast<size_t>(y.output())]);
  return result;
}

std::string fault_with_weights(const std::function<Tensors(const Tensors&)>& build,
                               const Tensors& inputs,
                               const std::vector<Bytes>& values,
                               const Backend& backend,
                               const Exec& exec,
                               const std::vector<Bytes>& expected) {
  if (inputs.size() < 2) return {};
  Tensors leaves = {inputs[0]};
  for (size_t i = 1; i < inputs.size(); ++i)
    leaves.push_back(parameter(inputs[i].shape(), inputs[i].dtype(), "", values[i]));
  const Tensors outputs = build(leaves);
  if (run_program(outputs, {leaves[0]}, {values[0]}, backend, exec) != expected)
    return "other bits when weights are parameters";
  const Evaluation alone = evaluate(pack_weights(lower(outputs, true), backend), {leaves[0]},
                                    {values[0]}, backend, exec);
  if (!alone.fault.empty()) return alone.fault;
  return alone.outputs == expected ? "" : "other bits when weights are packed";
}

}  // namespace satin::testing
