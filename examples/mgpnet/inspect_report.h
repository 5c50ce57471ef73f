// What mgpnet inspect shows, as data and text, apart from its options: model files, operations, and
// the comparison of two backends.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mgpnet/workload.h"
#include "nn/tensor_file.h"

namespace mgpnet {

/// What a tensor of a model file holds.
struct TensorStatistics {
  double mean = 0, deviation = 0;  ///< of the population
  double min = 0, max = 0;
  int64_t not_finite = 0;  ///< left out of the other four
};
TensorStatistics statistics_of(const satin::StoredTensor& tensor);

/// Header, metadata and tensors of a model file.
nlohmann::ordered_json model_json(const satin::TensorFile& file, int64_t file_bytes);
std::string model_text(const satin::TensorFile& file, int64_t file_bytes);

/// The operations of a workload with what they cost.
struct OpsReport {
  std::vector<OpRow> rows;
  int64_t parameters = 0;  ///< of the network
  satin::Cost total;       ///< of the graph
  int64_t arena_bytes = 0, persistent_bytes = 0;
  double peak_gflops = 0;     ///< of the CPU; 0: not known of this device
  bool timed = false;         ///< otherwise rows have no seconds
  bool by_operation = false;  ///< otherwise one row per part of the network
};
nlohmann::ordered_json ops_json(const OpsReport& report, const WorkloadOptions& options);
std::string ops_text(const OpsReport& report);

/// One operation on the same inputs on two backends.
struct Difference {
  const satin::Node* node = nullptr;
  double error = 0;  ///< largest difference over largest value; infinite if either is not finite
  double bar = 0;    ///< what rounding may do
  bool beyond() const { return !(error <= bar); }
};

/// Runs every step of `schedule` on both; later steps read what `a` computed.  `inputs` holds the
/// elements of inputs and parameters; the result points into `schedule`.
/// requires: values of f32
std::vector<Difference> compare_backends(
    const satin::Schedule& schedule,
    const satin::Backend& a,
    const satin::Backend& b,
    const std::vector<std::pair<satin::Tensor, std::vector<float>>>& inputs,
    const satin::Exec& exec);

}  // namespace mgpnet
