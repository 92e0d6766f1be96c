/// A training run as one HTML file that needs nothing else: plots, tables, costs. For people, in any browser, without a
/// network; light or dark as they prefer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/run_record.hpp"
#include "aeth/train/svg.hpp"
#include "aeth/train/svg_expert_load.hpp"
#include "aeth/train/svg_plot.hpp"

namespace aeth::train {

namespace detail {

/// The parts of the page, put together piece by piece.
class ReportWriter {
 public:
  explicit ReportWriter(RunRecord const& run) : run_(run) {
    for (Event const& event : run.events)
      if (event.severity != Severity::note) marks_.push_back(static_cast<double>(event.step));
  }

  [[nodiscard]] std::string page() && {
    tiles();
    losses();
    progress();
    routing();
    fp8();
    health();
    events();
    cost();
    std::string const title = svg::escape(run_.title.empty() ? "Training run" : run_.title);
    return text("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>", title,
                "</title>\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n", style,
                "</style>\n</head>\n<body>\n<main>\n<h1>", title, "</h1>\n", body_,
                "</main>\n</body>\n</html>\n");
  }

  /// Losses over the steps; empty if there are none.
  [[nodiscard]] std::string loss_figure() const {
    Series raw = series(run_.metrics, "loss", "");
    raw.colour = 0;
    raw.faint = true;
    Series main = smoothed(series(run_.metrics, "loss", "next token"));
    Series mtp = smoothed(series(run_.metrics, "mtp_loss", "multi-token prediction"));
    main.colour = 0;
    mtp.colour = 1;
    mtp.dashed = true;
    if (!mtp.y.empty() && *std::max_element(mtp.y.begin(), mtp.y.end()) == 0.0) mtp = {};
    return drawn(
        {.title = "Training loss", .subtitle = "per step, and smoothed", .y_label = "nats per token"},
        {std::move(raw), std::move(main), std::move(mtp)});
  }

  /// Loads of the last tenth of the run, ten rows at least, relative to each layer's mean; empty if there are none.
  [[nodiscard]] std::string load_figure() const {
    Index const experts = experts_of(run_.load);
    std::size_t const rows = run_.load.steps.size();
    if (experts == 0 || rows == 0) return {};
    std::size_t const count = min(rows, max(rows / 10, std::size_t{10}));
    std::vector<double> sums;
    for (auto const& column : run_.load.columns) {
      double sum = 0.0;
      for (std::size_t i = rows - count; i < rows; ++i) sum += std::isfinite(column[i]) ? column[i] : 0.0;
      sums.push_back(sum);
    }
    return load_heat_map(
        {.title = "Expert load",
         .subtitle = text("relative to the layer's mean, steps ", whole(run_.load.steps[rows - count]),
                          " to ", whole(run_.load.steps.back())),
         .row_label = "layer with experts"},
        relative_load(std::move(sums), experts), experts);
  }

 private:
  static constexpr std::string_view style =
      "body{margin:0;background:#fff;color:#1f2933;font:15px/1.5 Inter,'Helvetica "
      "Neue',Helvetica,Arial,'DejaVu Sans',sans-serif}\n"
      "main{max-width:900px;margin:0 auto;padding:24px 20px 48px}\n"
      "h1{font-size:26px;margin:0 0 16px}h2{font-size:19px;margin:40px 0 8px}p{margin:6px 0;color:#616e7c}\n"
      "svg{display:block;max-width:100%;height:auto;margin:8px 0 20px}\n"
      ".tiles{display:flex;flex-wrap:wrap;gap:12px}.tiles div{border:1px solid "
      "#e4e7eb;border-radius:8px;padding:10px 16px}\n"
      ".tiles b{display:block;font-size:20px;font-variant-numeric:tabular-nums}.tiles "
      "span{color:#616e7c;font-size:13px}\n"
      "table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:6px 10px 6px "
      "0;border-bottom:1px solid "
      "#e4e7eb;vertical-align:top}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}\n"
      ".warning{color:#b35900}.error{color:#c0392b}\n"
      "@media (prefers-color-scheme:dark){body{background:#121212;color:#e4e7eb}p,.tiles span{color:#9aa5b1}"
      "svg{filter:invert(.93) hue-rotate(180deg)}.tiles "
      "div,th,td{border-color:#3e4c59}.warning{color:#ffb36b}.error{color:#ff8a7a}}\n";

  void heading(std::string_view words) { body_ += text("<h2>", svg::escape(words), "</h2>\n"); }
  void note(std::string_view words) { body_ += text("<p>", svg::escape(words), "</p>\n"); }

  /// A column as a line, without the rows in which it has no number; empty if there is none.
  [[nodiscard]] static Series series(StepTable const& table, std::string_view column, std::string name) {
    Series line{.name = std::move(name)};
    auto const* const values = table.find(column);
    for (std::size_t i = 0; values && i < values->size(); ++i)
      if (std::isfinite((*values)[i])) line.x.push_back(table.steps[i]), line.y.push_back((*values)[i]);
    return line;
  }

  /// An exponential mean over a twentieth of the points, at most 50.
  [[nodiscard]] static Series smoothed(Series line) {
    if (line.y.empty()) return line;
    double mean = line.y.front();
    double const points = std::clamp(static_cast<double>(line.y.size()) / 20.0, 1.0, 50.0);
    for (double& y : line.y) y = mean += (y - mean) / points;
    return line;
  }

  /// Lines that have points, in one plot; empty if there are none.
  [[nodiscard]] std::string drawn(PlotOptions options, std::vector<Series> lines) const {
    lines.erase(std::remove_if(lines.begin(), lines.end(), [](Series const& line) { return line.x.empty(); }),
                lines.end());
    if (lines.empty()) return {};
    options.x_label = "step";
    options.height = 340.0;
    options.marks = marks_;
    return line_plot(options, lines);
  }
  /// Whether there was something to draw.
  bool plot(PlotOptions options, std::vector<Series> lines) {
    std::string const figure = drawn(std::move(options), std::move(lines));
    body_ += figure;
    return !figure.empty();
  }
  /// One column, faint, with a smoothed line over it if there are many points.
  bool plot(PlotOptions const& options, StepTable const& table, std::string_view column) {
    Series raw = series(table, column, "");
    if (raw.x.size() < 100) return plot(options, std::vector<Series>{std::move(raw)});
    raw.colour = 0;
    raw.faint = true;
    Series mean = smoothed(raw);
    mean.faint = false;
    return plot(options, std::vector<Series>{std::move(raw), std::move(mean)});
  }

  void tile(std::string_view value, std::string_view what) {
    body_ += text("<div><b>", svg::escape(value), "</b><span>", svg::escape(what), "</span></div>\n");
  }
  void tiles() {
    body_ += "<div class=\"tiles\">\n";
    if (!run_.metrics.steps.empty()) tile(whole(run_.metrics.steps.back()), "steps");
    if (run_.cost.tokens > 0.0) tile(whole(run_.cost.tokens), "tokens");
    if (run_.cost.seconds > 0.0) tile(duration(run_.cost.seconds), "of training");
    Series const loss = smoothed(series(run_.metrics, "loss", "")),
                 bits = series(run_.metrics, "bits_per_byte", "");
    if (!loss.y.empty()) tile(fixed(loss.y.back(), 3), "nats per token, smoothed");
    if (!bits.y.empty()) tile(fixed(bits.y.back(), 3), "bits per byte, validation");
    tile(text(run_.events.size()), "events");
    body_ += "</div>\n";
  }

  void losses() {
    heading("Loss");
    std::string const figure = loss_figure();
    if (figure.empty()) note("No losses are on record.");
    body_ += figure;
    plot({.title = "Validation", .y_label = "bits per byte"}, run_.metrics, "bits_per_byte");
    Series const balance = series(run_.metrics, "balance_loss", "");
    if (!balance.y.empty() && *std::max_element(balance.y.begin(), balance.y.end()) > 0.0)
      plot({.title = "Balance loss", .subtitle = "sequence-wise, summed over layers", .y_label = "loss"},
           run_.metrics, "balance_loss");
  }

  void progress() {
    heading("Optimization");
    bool const rate =
        plot({.title = "Learning rate", .y_label = "rate"}, {series(run_.metrics, "learning_rate", "")});
    bool const norm =
        plot({.title = "Gradient norm", .subtitle = "before clipping", .y_label = "norm", .log_y = true},
             run_.metrics, "gradient_norm");
    bool const speed =
        plot({.title = "Throughput", .y_label = "tokens per second"}, run_.speed, "tokens_per_second");
    if (!rate && !norm && !speed) note("Neither rates, norms nor speeds are on record.");
  }

  void routing() {
    heading("Experts");
    bool any = plot({.title = "Largest load",
                     .subtitle = "of an expert over the mean of its layer, less 1; mean over layers",
                     .y_label = "violation"},
                    run_.metrics, "max_violation");
    std::string const load = load_figure();
    body_ += load;
    any = any || !load.empty();
    if (Index const experts = experts_of(run_.bias); experts > 0)
      for (Index first = 0; first < static_cast<Index>(run_.bias.names.size()); first += experts)
        any = biases(first, experts) || any;
    if (!any) note("No loads are on record: a model without experts, or a run that did not write them.");
  }

  /// All experts of a layer, a few hundred points each: biases change little from step to step.
  bool biases(Index first, Index experts) {
    constexpr std::size_t points = 200;
    std::string const& name = run_.bias.names[to_size(first)];
    std::vector<Series> lines;
    for (Index e = 0; e < experts; ++e) {
      Series whole = series(run_.bias, run_.bias.names[to_size(first + e)], ""), line;
      line.colour = static_cast<int>(e % static_cast<Index>(svg::palette.size()));
      std::size_t const stride = whole.x.size() / points + 1;
      for (std::size_t i = whole.x.size(); i > 0; i = i > stride ? i - stride : 0)
        line.x.push_back(whole.x[i - 1]), line.y.push_back(whole.y[i - 1]);
      lines.push_back(std::move(line));
    }
    return plot({.title = text("Selection biases, ", name.substr(0, name.find('.'))),
                 .subtitle = text("of ", experts, " experts"),
                 .y_label = "bias"},
                std::move(lines));
  }

  void fp8() {
    Series vanished = series(run_.health, "fp8_vanished", "rounded to 0"),
           saturated = series(run_.health, "fp8_saturated", "saturated"),
           lost = series(run_.health, "fp8_lost", "not finite");
    heading("FP8");
    if (vanished.x.empty()) return note("Nothing was rounded to FP8, or it was not measured.");
    for (Series* const line : {&vanished, &saturated, &lost})
      for (double& y : line->y) y *= 100.0;
    plot({.title = "Rounding to FP8", .subtitle = "of all operands of a step's products", .y_label = "%"},
         {std::move(vanished), std::move(saturated), std::move(lost)});
  }

  void health() {
    heading("Weights and attention");
    std::vector<Series> updates;
    constexpr std::string_view prefix = "update.";
    for (std::string const& name : run_.health.names)
      if (name.starts_with(prefix)) updates.push_back(series(run_.health, name, name.substr(prefix.size())));
    bool any = plot({.title = "Updates",
                     .subtitle = "size of a step's update over size of the weight",
                     .y_label = "ratio",
                     .log_y = true},
                    std::move(updates));
    any = plot({.title = "Largest attention logit", .y_label = "logit"}, run_.health, "largest_logit") || any;
    if (!any) note("Not measured: the run had no monitor.");
  }

  void events() {
    heading("Events");
    if (run_.events.empty()) return note("None.");
    constexpr std::size_t most = 500;
    body_ +=
        "<table><thead><tr><th class=\"number\">step</th><th>kind</th><th>what became of "
        "it</th><th>message</th><th>setting</th></tr></thead>"
        "<tbody>\n";
    for (std::size_t i = 0; i < min(most, run_.events.size()); ++i) {
      Event const& e = run_.events[i];
      std::string const where = e.culprit.tensor.empty() ? "" : text(" (", e.culprit.tensor, ")");
      body_ += text("<tr><td class=\"number\">", e.step, "</td><td class=\"", name_of(e.severity), "\">",
                    svg::escape(e.kind), "</td><td>",
                    e.action == Action::none          ? ""
                    : e.action == Action::rolled_back ? "rolled back"
                                                      : name_of(e.action),
                    "</td><td>", svg::escape(e.message + where), "</td><td>", svg::escape(e.setting),
                    "</td></tr>\n");
    }
    body_ += "</tbody></table>\n";
    if (run_.events.size() > most) note(text("and ", run_.events.size() - most, " more"));
  }

  void cost() {
    heading("Cost");
    RunCost const& c = run_.cost;
    if (c.seconds <= 0.0) return note("The run's duration is not on record.");
    auto const row = [&](std::string_view what, std::string const& value) {
      body_ += text("<tr><td>", what, "</td><td class=\"number\">", svg::escape(value), "</td></tr>\n");
    };
    body_ += "<table><tbody>\n";
    row("time of training", duration(c.seconds));
    if (c.tokens > 0.0) {
      row("tokens", whole(c.tokens));
      row("tokens per second", whole(c.tokens / c.seconds));
    }
    if (c.flops > 0.0) {
      row("floating-point operations, of the model's products", scientific(c.flops, 2));
      row("10<sup>9</sup> of them per second", decimal(c.flops / c.seconds * 1e-9, 1));
    }
    row(text("energy, if the machine takes ", fixed(c.watts, 0), " W"),
        text(decimal(c.watts * c.seconds / 3.6e6, 4), " kWh"));
    body_ += "</tbody></table>\n";
  }

  /// What is read may be any number: one beyond counting is written with an exponent.
  [[nodiscard]] static std::string whole(double x) {
    return std::fabs(x) < most_digits ? grouped(static_cast<Index>(x)) : scientific(x, 2);
  }
  [[nodiscard]] static std::string decimal(double x, int decimals) {
    return std::fabs(x) < most_digits ? fixed(x, decimals) : scientific(x, 2);
  }
  static constexpr double most_digits = 1e15;

  [[nodiscard]] static std::string duration(double seconds) {
    if (seconds < 120.0) return text(fixed(seconds, 1), " s");
    if (seconds < 7200.0) return text(fixed(seconds / 60.0, 1), " min");
    return text(decimal(seconds / 3600.0, 1), " h");
  }

  RunRecord const& run_;
  std::vector<double> marks_;
  std::string body_;
};

inline void require_even(RunRecord const& run) {
  for (StepTable const* const table : {&run.metrics, &run.speed, &run.load, &run.bias, &run.health})
    for (std::size_t i = 0; i < table->columns.size(); ++i)
      expect<ShapeError>(table->columns[i].size() == table->steps.size() && i < table->names.size(),
                         "report: column ", i, " has ", table->columns[i].size(), " numbers for ",
                         table->steps.size(), " steps");
}

}  // namespace detail

/// The two figures that say most, as files of their own; empty if there is nothing to draw. Errors: as report_html().
[[nodiscard]] inline std::string loss_figure(RunRecord const& run) {
  detail::require_even(run);
  return detail::ReportWriter(run).loss_figure();
}
[[nodiscard]] inline std::string load_figure(RunRecord const& run) {
  detail::require_even(run);
  return detail::ReportWriter(run).load_figure();
}

/// The report of a run. Sections without data say so. Strings of the record may hold anything; they are escaped.
///
/// errors   ShapeError for tables whose columns differ in length
/// cost     linear; long series are drawn with at most four points per pixel, so that spikes stay
[[nodiscard]] inline std::string report_html(RunRecord const& run) {
  detail::require_even(run);
  return detail::ReportWriter(run).page();
}

}  // namespace aeth::train
