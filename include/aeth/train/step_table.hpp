/// Numbers over the steps of a run, as `MetricsWriter` writes them to CSV.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"

namespace aeth::train {

/// A column of numbers per name; NaN where a row has none.
struct StepTable {
  std::vector<double> steps{};
  std::vector<std::string> names{};
  std::vector<std::vector<double>> columns{};

  /// Null if there is no column of that name.
  [[nodiscard]] std::vector<double> const* find(std::string_view name) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return &columns[i];
    return nullptr;
  }
};

namespace detail {

/// The cells of a line of CSV; quotes around names with commas are taken off. False if quotes do not match.
[[nodiscard]] inline bool split_csv(std::string_view line, std::vector<std::string>& cells) {
  cells.assign(1, {});
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char const c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        cells.back() += line[++i];
      else
        quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return !quoted;
}

}  // namespace detail

/// Reads such a table; `file` is for messages. A last line without an end, as a killed run leaves it, is dropped.
///
/// errors   IoError with file and line: no header, a row with another number of cells, a cell that is no number, steps that
///          do not ascend
/// cost     linear
[[nodiscard]] inline StepTable parse_step_table(std::string_view content, std::string_view file) {
  StepTable table;
  std::vector<std::string> cells;
  for (Index number = 1;; ++number) {
    auto const length = content.find('\n');
    if (length == std::string_view::npos) return table;
    std::string_view const line = content.substr(0, length);
    content.remove_prefix(length + 1);
    expect<IoError>(detail::split_csv(line, cells), file, ':', number,
                    ": a quotation mark has no partner; repair the line or remove it");
    if (number == 1) {
      expect<IoError>(cells.front() == "step", file,
                      ": the first column must be named step; is this a file of metrics?");
      table.names.assign(cells.begin() + 1, cells.end());
      table.columns.resize(table.names.size());
      continue;
    }
    expect<IoError>(cells.size() == table.names.size() + 1, file, ':', number, ": ", cells.size(),
                    " cells, the header has ", table.names.size() + 1, "; repair the line or remove it");
    for (std::size_t i = 0; i < cells.size(); ++i) {
      double value = std::numeric_limits<double>::quiet_NaN();
      char const *const begin = cells[i].data(), *const end = begin + cells[i].size();
      auto const parsed = std::from_chars(begin, end, value);
      bool const none = begin == end && i > 0;
      expect<IoError>(none || (parsed.ec == std::errc() && parsed.ptr == end && std::isfinite(value)), file,
                      ':', number, ": cell ", i + 1, " is no number; repair the line or remove it");
      (i == 0 ? table.steps : table.columns[i - 1]).push_back(value);
    }
    std::size_t const rows = table.steps.size();
    expect<IoError>(rows < 2 || table.steps[rows - 1] > table.steps[rows - 2], file, ':', number, ": step ",
                    table.steps.back(), " does not follow ", table.steps[rows - 2 < rows ? rows - 2 : 0],
                    "; remove the repeated lines");
  }
}

}  // namespace aeth::train
