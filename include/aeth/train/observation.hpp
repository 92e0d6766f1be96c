/// What a trainer sees of its own run: the numbers that the monitor judges.
///
/// legend   L layers with experts, MTP modules last · E experts
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/core/view.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/step.hpp"

namespace aeth::train {

/// What stays the same through a run.
struct RunFacts {
  Index batch_tokens = 0;  ///< B·T
  double clip = std::numeric_limits<double>::infinity();
  double bias_rate = 0.0;  ///< 0 also in a model without selection biases
  LossOptions loss{};
  Index mtp_depth = 0;
  Index experts = 0;
  Index top_k = 0;
};

/// A step's batch, before anything of it is applied.
struct StepObservation {
  Index step = 0;  ///< that the batch is to make
  BatchId batch{};
  StepLoss loss{};
  double gradient_norm = 0.0;
  double rate = 0.0;
  MatrixView<std::int64_t const> load{};  ///< [L,E]
};

/// How one tensor does.
struct TensorHealth {
  double gradient_norm = 0.0;
  double weight_norm = 0.0;   ///< of the elements that are sampled
  double update_ratio = 0.0;  ///< |update| / |weight| of them in this step; 0 for a tensor that was 0
};

/// Which part of the model a tensor is of.
enum class TensorGroup { embedding, attention, router, experts, dense, norm, head };
inline constexpr Index tensor_groups = 7;

/// What is measured every so many steps only.
struct Health {
  Index step = 0;
  double rate_share = 1.0;                          ///< learning rate of the step over the largest so far
  std::vector<std::string> const* names = nullptr;  ///< of the tensors
  std::vector<TensorGroup> const* groups = nullptr;
  std::vector<TensorHealth> tensors{};
  double largest_bias = 0.0;  ///< |selection bias|
  double largest_logit =
      0.0;  ///< |largest attention logit of a query|, scale included; over the last rows at once
  Index largest_logit_layer = 0;
  Index dead_experts = 0;      ///< of all layers: without a token in the last window of steps
  double max_violation = 0.0;  ///< mean over the last window of steps
  double f8_values = 0.0;      ///< rounded to FP8 in this step; 0 under other policies
  double f8_saturated = 0.0;   ///< share of them
  double f8_vanished = 0.0;    ///< share of them
  double f8_lost = 0.0;        ///< share of them
  std::string f8_tensor{};     ///< in whose products the largest share vanished

  /// Root mean square over a group's tensors of their update ratios; 0 for a group without tensors.
  [[nodiscard]] double update_ratio(TensorGroup group) const {
    double sum = 0.0, count = 0.0;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if ((*groups)[i] == group) sum += tensors[i].update_ratio * tensors[i].update_ratio, count += 1.0;
    return count > 0.0 ? std::sqrt(sum / count) : 0.0;
  }
};

/// A batch that was run again.
struct Replayed {
  Index step = 0;
  BatchId batch{};
  StepLoss loss{};
  double gradient_norm = 0.0;
  Culprit culprit{};
};

/// `step 40, rows from 120 of epoch 0: loss 3.214, gradient norm 1.52; unlike what is usual most of all in lm_head.weight`
[[nodiscard, gnu::cold]] inline std::string describe(Replayed const& r) {
  return text("step ", r.step, ", rows from ", r.batch.row, " of epoch ", r.batch.epoch, ": loss ",
              r.loss.main, ", gradient norm ", r.gradient_norm, "; unlike what is usual most of all in ",
              r.culprit.tensor);
}

/// Mean over the layers that saw tokens of max_e load_e / mean load - 1; source: arXiv:2408.15664.
[[nodiscard]] inline double max_violation(MatrixView<std::int64_t const> load) {
  double sum = 0.0;
  Index layers = 0;
  for (Index layer = 0; layer < load.rows; ++layer) {
    std::int64_t total = 0, largest = 0;
    for (Index e = 0; e < load.cols; ++e) {
      total += load(layer, e);
      largest = max(largest, load(layer, e));
    }
    if (total == 0) continue;
    sum += static_cast<double>(largest * load.cols) / static_cast<double>(total) - 1.0;
    ++layers;
  }
  return layers > 0 ? sum / static_cast<double>(layers) : 0.0;
}

}  // namespace aeth::train
