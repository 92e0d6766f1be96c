/// Metrics of a run, a row per step, as JSON lines or CSV.
///
/// Each row is flushed when written, so that a killed run loses at most a torn last line, which the next
/// start drops. Numbers are the shortest that read back equal; a number that is not finite is null in JSON
/// and empty in CSV.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/step_lines.hpp"

namespace aeth::train {

enum class MetricsFormat { jsonl, csv };

struct MetricsOptions {
  std::string path{};
  MetricsFormat format = MetricsFormat::jsonl;
  std::vector<std::string> columns{};  ///< after "step", which comes first
  Index resume_after = -1;             ///< keep rows of the file up to this step; -1 = start an empty file
};

namespace detail {

[[nodiscard]] inline std::string csv_string(std::string_view name) {
  if (name.find_first_of(",\"") == std::string_view::npos) return std::string(name);
  std::string out = "\"";
  for (char const c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

}  // namespace detail

/// An open metrics file.
class MetricsWriter {
 public:
  /// Creates the file, or with resume_after reopens it, without the rows past that step and without a torn
  /// line.
  ///
  /// errors   UsageError for column names, IoError for a file that cannot be used or has other columns
  explicit MetricsWriter(MetricsOptions options)
      : options_((require_columns(options), std::move(options))), lines_(options_.path, "metrics", header()) {
    lines_.open(options_.resume_after);
  }

  /// Goes back to a step: later rows are gone. For a run that has rolled back.
  ///
  /// errors   IoError for a file that cannot be used
  void rewind(Index step) { lines_.open(step); }

  /// Writes and flushes one row; `values` in the order of the columns.
  ///
  /// errors   ShapeError for another number of values, IoError for a full disk
  void append(Index step, std::span<double const> values) {
    expect<ShapeError>(values.size() == options_.columns.size(), "metrics row: ", values.size(),
                       " values for ", options_.columns.size(), " columns");
    expect<UsageError>(step >= 0, "metrics row: step must not be negative; got ", step);
    bool const json = options_.format == MetricsFormat::jsonl;
    std::string row = json ? text("{\"step\":", step) : text(step);
    for (std::size_t i = 0; i < values.size(); ++i) {
      row += ',';
      if (json) row += detail::json_string(options_.columns[i]) + ':';
      if (std::isfinite(values[i]))
        TextPart(values[i]).append_to(row);
      else if (json)
        row += "null";
    }
    if (json) row += '}';
    lines_.append(row);
  }

  [[nodiscard]] MetricsOptions const& options() const noexcept { return options_; }

 private:
  static void require_columns(MetricsOptions const& options) {
    for (std::size_t i = 0; i < options.columns.size(); ++i) {
      auto const& name = options.columns[i];
      bool printable = !name.empty();
      for (char const c : name) printable = printable && (c < '\0' || c >= ' ');
      expect<UsageError>(printable, "MetricsOptions::columns: name ", i,
                         " is empty or has a control character");
      bool repeated = name == "step";
      for (std::size_t j = 0; j < i; ++j) repeated = repeated || options.columns[j] == name;
      expect<UsageError>(!repeated, "MetricsOptions::columns: \"", name, "\" appears twice");
    }
  }

  [[nodiscard]] std::string header() const {
    if (options_.format == MetricsFormat::jsonl) return {};
    std::string line = "step";
    for (auto const& name : options_.columns) line += ',' + detail::csv_string(name);
    return line + '\n';
  }

  MetricsOptions options_;
  detail::StepLines lines_;
};

}  // namespace aeth::train
