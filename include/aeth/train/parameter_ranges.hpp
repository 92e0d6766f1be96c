/// A model's tensors as an optimizer updates them.
#pragma once

#include <vector>

#include "aeth/model/model.hpp"
#include "aeth/nn/parameter.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::train {

/// Ranges over all tensors, in order; all but norms decay. Neighbours with the same decay are one range.
///
/// matrices   a range of its own for each matrix of a hidden layer: attention, feed-forward networks, experts, routers,
///            and the projections of multi-token prediction, but not embedding and output head
[[nodiscard]] inline std::vector<optim::ParameterRange> parameter_ranges(
    std::vector<ParameterInfo> const& parameters, bool matrices) {
  std::vector<optim::ParameterRange> ranges;
  for (ParameterInfo const& p : parameters) {
    bool const decay = p.kind != nn::ParameterKind::norm;
    bool const hidden = p.kind == nn::ParameterKind::matrix || p.kind == nn::ParameterKind::router;
    if (matrices && hidden) {
      ranges.push_back({p.offset, p.offset + p.size(), decay, p.rows, p.cols});
      continue;
    }
    if (ranges.empty() || ranges.back().is_matrix() || ranges.back().decay != decay)
      ranges.push_back({p.offset, p.offset, decay});
    ranges.back().end = p.offset + p.size();
  }
  return ranges;
}

}  // namespace aeth::train
