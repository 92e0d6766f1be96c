/// Metrics files and pictures of a run.
#pragma once

#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/core/view.hpp"
#include "aeth/io/file.hpp"
#include "aeth/train/metrics.hpp"
#include "aeth/train/options.hpp"
#include "aeth/train/svg_expert_load.hpp"
#include "aeth/train/svg_plot.hpp"

namespace demo {

/// metrics.jsonl and metrics.csv with a row per step; loss.svg and expert_load.svg at the end.
class RunLog {
 public:
  /// Starts new files, or continues old ones after `step`.
  RunLog(std::string folder, aeth::Index step) : folder_(std::move(folder)) {
    std::vector<std::string> const columns{"loss",          "mtp_loss",      "balance_loss", "bits_per_byte",
                                           "learning_rate", "gradient_norm", "max_violation"};
    using aeth::train::MetricsFormat;
    for (auto const format : {MetricsFormat::jsonl, MetricsFormat::csv})
      writers_.push_back(std::make_unique<aeth::train::MetricsWriter>(aeth::train::MetricsOptions{
          .path = folder_ + (format == MetricsFormat::jsonl ? "/metrics.jsonl" : "/metrics.csv"),
          .format = format,
          .columns = columns,
          .resume_after = step > 0 ? step : -1}));
  }

  /// load [layers with experts, E]: tokens per expert of the step; empty where the step has validated since.
  void add(aeth::train::Progress const& p, aeth::MatrixView<std::int64_t const> load) {
    if (p.action == aeth::train::Action::rolled_back) {
      for (auto& writer : writers_) writer->rewind(p.step);
      return;
    }
    double const bits = p.validated ? p.bits_per_byte : std::numeric_limits<double>::quiet_NaN();
    std::vector<double> const row{p.loss.main, p.loss.mtp,      p.loss.balance, bits,
                                  p.rate,      p.gradient_norm, p.max_violation};
    for (auto& writer : writers_) writer->append(p.step, row);
    if (p.validated) return;
    experts_ = load.cols;
    load_.resize(aeth::to_size(load.rows * load.cols));
    for (std::size_t i = 0; i < load_.size(); ++i)
      load_[i] = 0.98 * load_[i] + static_cast<double>(load.data[i]);
  }

  /// Draws the pictures from the whole run's metrics; returns their paths.
  [[nodiscard]] std::string pictures() const {
    std::string const loss = folder_ + "/loss.svg", experts = folder_ + "/expert_load.svg";
    aeth::train::PlotOptions const plot{.title = "Training loss",
                                        .subtitle = "per step, and smoothed over about 50 steps",
                                        .x_label = "step",
                                        .y_label = "nats per token"};
    auto raw = column(1, "");
    raw.faint = true;
    raw.colour = 0;
    auto next = smoothed(column(1, "next token"), 0),
         after = smoothed(column(2, "multi-token prediction"), 1);
    after.dashed = true;
    std::vector<aeth::train::Series> lines{raw, next};
    if (!after.y.empty() && after.y.back() > 0.0) lines.push_back(after);
    aeth::io::write_file_atomic(loss, aeth::train::line_plot(plot, lines));
    if (load_.empty()) return loss;
    aeth::io::write_file_atomic(
        experts,
        aeth::train::load_heat_map({.title = "Expert load",
                                    .subtitle = "relative to the layer's mean, over about the last 50 steps",
                                    .row_label = "MoE layer"},
                                   aeth::train::relative_load(load_, experts_), experts_));
    return loss + ", " + experts;
  }

 private:
  /// A column of metrics.csv over the steps.
  [[nodiscard]] aeth::train::Series column(std::size_t wanted, std::string name) const {
    aeth::train::Series series{.name = std::move(name)};
    std::string const csv = aeth::io::read_file(folder_ + "/metrics.csv");
    for (std::size_t at = csv.find('\n'); at != csv.npos && at + 1 < csv.size();
         at = csv.find('\n', at + 1)) {
      std::size_t cell = at + 1;
      double const step = std::strtod(csv.c_str() + cell, nullptr);
      for (std::size_t i = 0; i < wanted && cell != 0; ++i) cell = csv.find(',', cell) + 1;
      if (csv[cell] == ',' || csv[cell] == '\n') continue;  // a step that was passed over
      series.x.push_back(step);
      series.y.push_back(std::strtod(csv.c_str() + cell, nullptr));
    }
    return series;
  }

  [[nodiscard]] static aeth::train::Series smoothed(aeth::train::Series series, int colour) {
    series.colour = colour;
    double mean = series.y.empty() ? 0.0 : series.y.front();
    for (double& y : series.y) y = mean += 0.02 * (y - mean);
    return series;
  }

  std::string folder_;
  std::vector<double> load_;  // decaying sums, [layers with experts, E]
  aeth::Index experts_ = 0;
  std::vector<std::unique_ptr<aeth::train::MetricsWriter>> writers_;
};

}  // namespace demo
