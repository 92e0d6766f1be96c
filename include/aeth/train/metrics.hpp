/// Metrics of a run, a row per step, as JSON lines or CSV.
///
/// Each row is flushed when written, so that a killed run loses at most a torn last line, which the next
/// start drops. Numbers are the shortest that read back equal; a number that is not finite is null in JSON
/// and empty in CSV.
#pragma once

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"

namespace aeth::train {

enum class MetricsFormat { jsonl, csv };

struct MetricsOptions {
  std::string path{};
  MetricsFormat format = MetricsFormat::jsonl;
  std::vector<std::string> columns{};  ///< after "step", which comes first
  Index resume_after = -1;             ///< keep rows of the file up to this step; -1 = start an empty file
};

namespace detail {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

[[nodiscard]] inline File open_file(std::string const& path, char const* mode, char const* purpose) {
  File file(std::fopen(path.c_str(), mode));
  expect<IoError>(file != nullptr, path, ": cannot open metrics for ", purpose, ": ", std::strerror(errno));
  return file;
}

inline void write_all(std::FILE* file, std::string_view bytes, std::string const& path) {
  bool const written =
      std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fflush(file) == 0;
  expect<IoError>(written, path, ": cannot write metrics: ", std::strerror(errno),
                  "; free some space and resume");
}

[[nodiscard]] inline std::string json_string(std::string_view name) {
  std::string out = "\"";
  for (char const c : name) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

[[nodiscard]] inline std::string csv_string(std::string_view name) {
  if (name.find_first_of(",\"") == std::string_view::npos) return std::string(name);
  std::string out = "\"";
  for (char const c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// The step of a complete row, or -1 if the line is none.
[[nodiscard]] inline Index step_of_row(std::string_view line, MetricsFormat format) {
  constexpr std::string_view opening = "{\"step\":";
  if (format == MetricsFormat::jsonl) {
    if (!line.starts_with(opening) || !line.ends_with('}')) return -1;
    line.remove_prefix(opening.size());
  }
  Index step = -1;
  auto const [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  bool const delimited = end == line.data() + line.size() || *end == ',' || *end == '}';
  return error == std::errc{} && delimited ? step : -1;
}

}  // namespace detail

/// An open metrics file.
class MetricsWriter {
 public:
  /// Creates the file, or with resume_after reopens it, without the rows past that step and without a torn
  /// line.
  ///
  /// errors   UsageError for column names, IoError for a file that cannot be used or has other columns
  explicit MetricsWriter(MetricsOptions options) : options_(std::move(options)) {
    require_columns();
    std::string const kept = header() + (options_.resume_after >= 0 ? kept_rows() : std::string{});
    std::string const temporary = options_.path + ".tmp";
    detail::write_all(detail::open_file(temporary, "wb", "writing").get(), kept, temporary);
    expect<IoError>(std::rename(temporary.c_str(), options_.path.c_str()) == 0, options_.path,
                    ": cannot replace metrics: ", std::strerror(errno));
    file_ = detail::open_file(options_.path, "ab", "appending");
  }

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
    row += json ? "}\n" : "\n";
    detail::write_all(file_.get(), row, options_.path);
  }

  [[nodiscard]] MetricsOptions const& options() const noexcept { return options_; }

 private:
  void require_columns() const {
    for (std::size_t i = 0; i < options_.columns.size(); ++i) {
      auto const& name = options_.columns[i];
      bool printable = !name.empty();
      for (char const c : name) printable = printable && (c < '\0' || c >= ' ');
      expect<UsageError>(printable, "MetricsOptions::columns: name ", i,
                         " is empty or has a control character");
      bool repeated = name == "step";
      for (std::size_t j = 0; j < i; ++j) repeated = repeated || options_.columns[j] == name;
      expect<UsageError>(!repeated, "MetricsOptions::columns: \"", name, "\" appears twice");
    }
  }

  [[nodiscard]] std::string header() const {
    if (options_.format == MetricsFormat::jsonl) return {};
    std::string line = "step";
    for (auto const& name : options_.columns) line += ',' + detail::csv_string(name);
    return line + '\n';
  }

  /// Complete rows of the existing file up to resume_after; nothing if there is no file.
  [[nodiscard]] std::string kept_rows() const {
    detail::File const file(std::fopen(options_.path.c_str(), "rb"));
    if (file == nullptr && errno == ENOENT) return {};
    expect<IoError>(file != nullptr, options_.path,
                    ": cannot open metrics to resume: ", std::strerror(errno));
    std::string content;
    char buffer[1 << 14];
    while (std::size_t const count = std::fread(buffer, 1, sizeof buffer, file.get()))
      content.append(buffer, count);
    expect<IoError>(std::ferror(file.get()) == 0, options_.path,
                    ": cannot read metrics: ", std::strerror(errno));
    std::string_view rest = content;
    std::string const expected = header();
    bool const torn_header = content.size() < expected.size() && expected.starts_with(content);
    if (torn_header) return {};
    expect<IoError>(rest.starts_with(expected), options_.path,
                    ": has other columns than this run; move it away");
    rest.remove_prefix(expected.size());
    std::string rows;
    for (Index number = expected.empty() ? 1 : 2;; ++number) {
      auto const length = rest.find('\n');
      if (length == std::string_view::npos) return rows;
      Index const step = detail::step_of_row(rest.substr(0, length), options_.format);
      expect<IoError>(step >= 0, options_.path, ":", number,
                      ": not a row of metrics; repair the line or move the file away");
      if (step <= options_.resume_after) rows.append(rest.substr(0, length + 1));
      rest.remove_prefix(length + 1);
    }
  }

  MetricsOptions options_;
  detail::File file_;
};

}  // namespace aeth::train
