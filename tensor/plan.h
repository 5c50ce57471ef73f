// Plan: where every value of a schedule lives, known before the first run and exact.
//
// All values of a run share one arena.  A value may instead live inside another one: a reshape in
// what it reshapes, a piece in the concat that joins it, an element-wise result in an input that
// dies, an update in the parameter it replaces.  The planner changes when and where, never
// arithmetic.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/schedule.h"

namespace satin {

struct Plan {
  /// A piece of memory.
  struct Buffer {
    int64_t bytes = 0;
    int64_t offset = 0;  ///< in the arena; unused for leaves that persist
    int first =
        0;  ///< the first and last step that need it; -1: before the run, steps.size(): after it
    int last = 0;
    NodePtr persistent;  ///< a constant or parameter: memory of the Store
    std::string label;   ///< for reports: the operation and module that made it
  };
  /// Where a value lives.
  struct Place {
    int buffer = -1;     ///< -1: nowhere, a spare output that nothing reads
    int64_t offset = 0;  ///< inside the buffer
  };
  struct Step {
    NodePtr node;
    std::vector<int> in;
    std::vector<int> out;
    int scratch = -1;        ///< its scratch buffer, or -1
    bool moves_data = true;  ///< false: the result already lies where it belongs
  };

  std::vector<Schedule::Value> values;
  std::vector<Place> places;
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<int> outputs;
  std::map<const Node*, Tensor> hoisted;    ///< of the schedule
  std::vector<std::pair<int, int>> copies;  ///< (value, parameter value) copied after the last step
  int64_t arena_bytes = 0;       ///< the planned peak of everything but constants and parameters
  int64_t persistent_bytes = 0;  ///< constants and parameters this plan reads

  int64_t total_bytes() const { return arena_bytes + persistent_bytes; }
};

/// The views that a kernel sees as its inputs: without the packed weights at the end.
std::span<const View> operands(const std::vector<View>& in, const Node& node);

/// Gives every value its place.  `backend` is asked for scratch sizes.
Plan make_plan(Schedule schedule, const Backend& backend);

/// The same within max_bytes in all, if need be by computing values again that wait for a late
/// reader; the smallest plan found when that does not do.  A step that updates a parameter, or in
/// which processes meet, runs once.
Plan plan_within(Schedule schedule, const Backend& backend, int64_t max_bytes);

/// The places and lifetimes as a table for people, one buffer a line.
std::string describe(const Plan& plan);

/// The arena drawn as SVG: time to the right, address upwards.
std::string draw(const Plan& plan);

}  // namespace satin
