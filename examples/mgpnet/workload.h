// The two computations that are measured and inspected, MGPNet's forward pass and its training
// step, with everything a Program needs to run them; and the times of their operations.
#pragma once

#include <string>
#include <vector>

#include "mgpnet/network.h"
#include "tensor/cost.h"
#include "tensor/program.h"

namespace mgpnet {

struct WorkloadOptions {
  NetworkConfig config = {};
  int64_t width = 512, height = 384;  ///< rounded up to multiples of 64, as the program pads
  int64_t batch = 1;
  bool train = false;  ///< the whole step: forward, loss, gradients, clipping, Adam
};

struct Workload {
  WorkloadOptions options;  ///< with the sides rounded up
  satin::Parameters parameters;
  Tensor image, target, lr;  ///< the inputs; the last two only of a training step
  satin::Tensors outputs;
  std::vector<satin::Alias> alias;

  /// Everything that a run computes.
  satin::Tensors results() const;
  /// Of all results, from the graph.
  satin::Cost cost() const { return satin::cost_of(results()); }
};

Workload make_workload(WorkloadOptions options);

/// Uniform in [0, 1).
std::vector<float> random_values(int64_t count, uint64_t seed);

/// Weights (PyTorch's default initialization), pictures and learning rate from a seed.
void fill(satin::Program& program, const Workload& workload, uint64_t seed);

/// The inputs (before every run: a run may overwrite them).
void fill_inputs(satin::Program& program, const Workload& workload, uint64_t seed);

/// Bytes of the process beside the plan: itself, and what fill() holds while it writes.
int64_t bytes_beside_plan(const Workload& workload);

/// An operation of a Program, in the order in which it runs.
struct OpRow {
  const satin::Node* node = nullptr;
  int64_t parameters = 0;  ///< elements of weights that no earlier row reads
  satin::Cost cost;
  double seconds = 0;  ///< the median of the runs; 0 when nothing ran
};

/// One row per operation that does something; views that cost nothing are left out.  The rows
/// point into the plan.
std::vector<OpRow> op_rows(const satin::Plan& plan, const Workload& workload);

/// The steps of a run before they are given memory, and the plan that a Program would make, without
/// its memory.
satin::Schedule schedule_of(const Workload& workload,
                            bool fuse,
                            const satin::Backend* backend = nullptr);
satin::Options options_of(const Workload& workload,
                          bool fuse,
                          int64_t max_bytes = 0,
                          satin::Precision precision = satin::Precision::f32);
satin::Plan plan_of(const Workload& workload,
                    const satin::Backend& backend,
                    bool fuse,
                    int64_t max_bytes = 0,
                    satin::Precision precision = satin::Precision::f32);

/// Collects times; one entry per row of op_rows.
class OpTimes : public satin::Profiler {
 public:
  /// Before every run.
  void start() { next_ = 0; }
  void step(const satin::Node& node, double seconds) override;
  void store_medians(std::vector<OpRow>& rows) const;

 private:
  size_t next_ = 0;
  std::vector<std::vector<double>> seconds_;
};

double median(std::vector<double> values);

/// "[1,384,512,32] [32,64]"
std::string input_shapes_of(const satin::Node& node);  ///< not of packed weights
std::string output_shapes_of(const satin::Node& node);
/// The outputs that a node always has: without spare ones.
std::vector<satin::Desc> main_outputs(const satin::Node& node);

}  // namespace mgpnet
