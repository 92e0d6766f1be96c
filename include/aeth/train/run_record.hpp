/// What is known of a training run after it, or while it goes on: the input of reports.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "aeth/train/event.hpp"
#include "aeth/train/step_table.hpp"

namespace aeth::train {

/// What a run took. Zeros are what is not known.
struct RunCost {
  double seconds = 0.0;
  double tokens = 0.0;  ///< trained on
  double flops = 0.0;   ///< of the model's own products and attention, no recomputation
  double watts = 65.0;  ///< of the machine while it trains: an assumption, for energy
};

/// Tables may lack rows, columns, or all of it; reports leave out what they do not have.
///
/// metrics   loss, mtp_loss, balance_loss (nats per token), bits_per_byte, learning_rate, gradient_norm, max_violation
/// speed     seconds of training so far, tokens_per_second: apart from metrics, which are equal for equal runs
/// load      tokens per expert since the row before: "layer0.expert0", ...; layers with experts are counted, MTP's last
/// bias      selection biases, with the same names
/// health    measurements of every few steps: dead_experts, largest_bias, largest_logit; fp8_vanished, fp8_saturated and
///           fp8_lost as shares of the numbers that were rounded; update.GROUP: |update| / |weight|
struct RunRecord {
  std::string title{};
  StepTable metrics{}, speed{}, load{}, bias{}, health{};
  std::vector<Event> events{};
  RunCost cost{};
};

/// Names of load and bias tables.
[[nodiscard]] inline std::vector<std::string> expert_columns(Index layers, Index experts) {
  std::vector<std::string> names;
  for (Index layer = 0; layer < layers; ++layer)
    for (Index e = 0; e < experts; ++e) names.push_back(text("layer", layer, ".expert", e));
  return names;
}

/// Experts of a layer in such a table: the columns that begin like the first; 0 if they are no rows of equal length.
[[nodiscard]] inline Index experts_of(StepTable const& table) {
  auto const layer = [](std::string const& name) { return name.substr(0, name.find('.')); };
  std::size_t count = 0;
  while (count < table.names.size() && layer(table.names[count]) == layer(table.names.front())) ++count;
  return count > 0 && table.names.size() % count == 0 ? static_cast<Index>(count) : 0;
}

}  // namespace aeth::train
