// The graph: Tensor is a handle to one output of an immutable Node.  Nodes are numbered in the
// order they were built, which is a topological order: everything a node reads is older than the
// node. Start at Tensor; public operations (tensor/<stem>.h) build nodes with make_node().
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/error.h"
#include "tensor/op.h"
#include "tensor/precision.h"
#include "tensor/shape.h"

namespace satin {

struct Node;
using NodePtr = std::shared_ptr<const Node>;

/// A value of the graph: output `output()` of a node.  Cheap to copy; holds no elements.
/// errors: everything but node_ptr() and bool throws for an empty Tensor.
class Tensor {
 public:
  Tensor() = default;
  Tensor(NodePtr node, int output) : node_(std::move(node)), output_(output) {}

  const Shape& shape() const;
  DType dtype() const;
  int rank() const { return shape().rank(); }
  int64_t size() const { return shape().size(); }
  int64_t bytes() const { return size() * static_cast<int64_t>(size_of(dtype())); }

  const Node& node() const;
  const NodePtr& node_ptr() const { return node_; }
  int output() const { return output_; }
  explicit operator bool() const { return node_ != nullptr; }
  friend bool operator==(const Tensor& a, const Tensor& b) = default;

 private:
  NodePtr node_;
  int output_ = 0;
};

using Tensors = std::vector<Tensor>;

/// The attributes of a node: a trivially copyable struct of at most kBytes, stored as its bytes.
class Attrs {
 public:
  static constexpr size_t kBytes = 160;
  Attrs() = default;
  template <class A>
  explicit Attrs(const A& a) {
    static_assert(std::is_trivially_copyable_v<A> && sizeof(A) <= kBytes);
    std::memcpy(bytes_.data(), &a, sizeof(A));
  }
  template <class A>
  A as() const {
    A a;
    std::memcpy(static_cast<void*>(&a), bytes_.data(), sizeof(A));
    return a;
  }

 private:
  alignas(8) std::array<std::byte, kBytes> bytes_{};
};

struct NoAttrs {};

/// What is known of a value before it is computed.
struct Desc {
  Shape shape;
  DType dtype = DType::f32;
};

enum class LeafKind : uint8_t { constant, parameter, input };

/// The part of a node that only leaves have.
struct Leaf {
  LeafKind kind;
  std::string name;
  std::vector<std::byte>
      data;  ///< constants: the elements; parameters: the initial elements, or empty (zeros)
};

struct Node {
  uint64_t id = 0;
  Op op = Op::leaf;
  Attrs attrs;
  Tensors inputs;
  std::vector<Desc> outputs;
  bool packed = false;  ///< the last input is other inputs once more, packed (tensor/pack_weight.h)
  Precision precision = Precision::f32;       ///< of its products
  std::shared_ptr<const std::string> module;  ///< where it was built: "encoder1.gpb0.rcab"
  std::unique_ptr<const Leaf> leaf;           ///< null unless op == Op::leaf

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  // releases long chains without recursion

  template <class A>
  A as() const {
    return attrs.as<A>();
  }
  /// The inputs that the operation is defined on.
  size_t operands() const { return inputs.size() - (packed ? 1 : 0); }
};

/// Names the part of a model that is being built; scopes nest and appear in errors and reports.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string& name);
  /// Back into the module where `node` was built: for derivatives and rewrites of it.
  explicit ModuleScope(const Node& node);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

 private:
  std::shared_ptr<const std::string> outer_;
};

/// The dotted path of the open scopes on this thread.
const std::string& current_module();

/// Throws Error: "in MODULE: OP: sentence".
[[noreturn]] void fail(Op op, const std::string& sentence);

/// Adds a node.  Checks what the table knows: number of inputs, legal dtypes, inputs of one dtype
/// (cast and where the row allows it excepted); shapes are the caller's duty.
NodePtr make_node(Op op, const Attrs& attrs, Tensors inputs, std::vector<Desc> outputs);

/// The common case: one output of the dtype of the first input.
template <class A>
Tensor make_tensor(Op op, const A& attrs, Tensors inputs, const Shape& shape) {
  const DType dtype = inputs.at(0).dtype();
  return {make_node(op, Attrs(attrs), std::move(inputs), {{shape, dtype}}), 0};
}

/// A copy of `node` that reads other inputs of the same shapes and dtypes.
NodePtr with_inputs(const Node& node, Tensors inputs);

/// The same, its last input being other inputs once more, packed.
NodePtr with_packed(const Node& node, Tensors inputs);

/// The same inputs anew, its products in another precision.
NodePtr with_precision(const Node& node, Tensors inputs, Precision precision);

/// All outputs of a node as values.
Tensors outputs_of(const NodePtr& node);

// --- leaves ------------------------------------------------------------------------------------

/// A value given anew before every run.
Tensor input(const Shape& shape, DType dtype = DType::f32, std::string name = "");

/// A value that persists between runs and that a Program may update (Options::alias).
/// `initial` holds shape.size() elements of `dtype`, or nothing (zeros).
Tensor parameter(const Shape& shape,
                 DType dtype,
                 std::string name,
                 std::vector<std::byte> initial = {});

/// A fixed value.  example: constant({1, 2, 3}, {3})
Tensor constant(const std::vector<double>& values, const Shape& shape, DType dtype = DType::f32);

}  // namespace satin
