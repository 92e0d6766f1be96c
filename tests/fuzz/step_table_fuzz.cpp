// Any bytes as a table of metrics: an IoError, or columns as long as the steps, finite numbers or none, and ascending steps.
#include <cmath>
#include <string_view>

#include "aeth/train/step_table.hpp"
#include "fuzz/target.hpp"

using aeth::fuzz::require;

AETH_FUZZ_TARGET(step_table, content) {
  aeth::train::StepTable table;
  try {
    table = aeth::train::parse_step_table(content, "fuzz");
  } catch (aeth::IoError const&) {
    return false;
  }
  require(table.names.size() == table.columns.size(), "a column has no name");
  for (auto const& column : table.columns) {
    require(column.size() == table.steps.size(), "a column is shorter than the steps");
    for (double const x : column) require(!std::isinf(x), "an infinite number was accepted");
  }
  for (std::size_t i = 0; i < table.steps.size(); ++i)
    require(std::isfinite(table.steps[i]) && (i == 0 || table.steps[i] > table.steps[i - 1]),
            "steps do not ascend");
  return true;
}
