/// Expert load as SVG text: a heat map (layers by experts, or steps by experts), and bars of one layer.
///
/// A load of 1 is the mean: the share of tokens an expert would get from a perfectly balanced router. Colours
/// run from blue (idle) over white (balanced) to orange (overloaded) on a logarithmic scale, four times less
/// to four times more than the mean; what is not finite is grey.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/svg.hpp"

namespace aeth::train {

struct LoadChartOptions {
  std::string title{};
  std::string subtitle{};
  std::string row_label{};  ///< of the vertical axis, e.g. "layer"; for bars "load, relative to the mean"
  std::string column_label = "expert";
  int first_row = 0;     ///< number of the first row
  double width = 860.0;  ///< pixels
  double height = 0.0;   ///< pixels; 0 = by the number of rows
};

/// Token counts of one or more rows of experts as loads relative to each row's mean; a row of zeros stays
/// zero.
[[nodiscard]] inline std::vector<double> relative_load(std::vector<double> counts, Index experts) {
  expect<ShapeError>(experts > 0 && static_cast<Index>(counts.size()) % experts == 0,
                     "relative_load: ", counts.size(), " counts are no rows of ", experts, " experts");
  for (std::size_t row = 0; row < counts.size(); row += to_size(experts)) {
    double sum = 0.0;
    for (std::size_t i = 0; i < to_size(experts); ++i) sum += counts[row + i];
    if (sum > 0.0)
      for (std::size_t i = 0; i < to_size(experts); ++i)
        counts[row + i] *= static_cast<double>(experts) / sum;
  }
  return counts;
}

namespace detail {

/// Colour of a load; blue and orange have the same lightness, so that grey print shows the distance from 1.
[[nodiscard]] inline std::string load_colour(double load) {
  if (!svg::drawable(load) || load < 0.0) return "#B8BEC5";
  double const place = load > 0.0 ? std::clamp(std::log2(load) / 2.0, -1.0, 1.0) : -1.0;
  constexpr std::array<int, 3> blue = {26, 92, 156}, white = {247, 247, 245}, orange = {196, 78, 10};
  auto const& end = place < 0.0 ? blue : orange;
  std::string out = "#";
  for (std::size_t i = 0; i < 3; ++i) {
    int const level = static_cast<int>(std::lround(white[i] + std::fabs(place) * (end[i] - white[i])));
    constexpr std::string_view digits = "0123456789ABCDEF";
    out += digits[static_cast<std::size_t>(level / 16)];
    out += digits[static_cast<std::size_t>(level % 16)];
  }
  return out;
}

[[nodiscard]] inline std::string load_heading(LoadChartOptions const& options, double left, double& top) {
  std::string out;
  if (!options.title.empty())
    out += svg::label(left, top += 20.0, options.title, {.size = 17.0, .colour = svg::ink, .weight = "600"});
  if (!options.subtitle.empty()) out += svg::label(left, top += 20.0, options.subtitle, {.size = 13.0});
  top += 22.0;
  return out;
}

/// Every how many entries a label fits: 1, 2, 5, 10, 20, ...
[[nodiscard]] inline Index label_stride(Index count, double pixels, double room) {
  for (Index decade = 1; decade < count; decade *= 10)
    for (Index const digit : {1, 2, 5})
      if (static_cast<double>(ceil_div(count, digit * decade)) * room <= pixels) return digit * decade;
  return max(count, Index{1});
}

/// Numbers of experts below the chart, and the name of the axis.
[[nodiscard]] inline std::string load_columns(LoadChartOptions const& options, Index experts, double left,
                                              double right, double bottom) {
  std::string out;
  double const step = (right - left) / static_cast<double>(experts);
  for (Index column = 0, stride = label_stride(experts, right - left, 30.0); column < experts;
       column += stride)
    out += svg::label(left + step * (static_cast<double>(column) + 0.5), bottom + 17.0, text(column),
                      {.anchor = "middle"});
  out += svg::label((left + right) / 2.0, bottom + 39.0, options.column_label,
                    {.size = 13.0, .anchor = "middle"});
  return out;
}

/// The scale of colours, with the loads at its marks.
[[nodiscard]] inline std::string load_scale(double x, double top, double bottom) {
  std::string out;
  constexpr int parts = 64;
  double const part = (bottom - top) / parts;
  for (int i = 0; i < parts; ++i) {
    double const load = std::exp2(2.0 - 4.0 * (i + 0.5) / parts);
    out += svg::rectangle(x, top + part * i, 12.0, part + 0.4, load_colour(load));
  }
  constexpr std::array<std::string_view, 5> marks = {"≥ 4×", "2×", "1×", "½×", "≤ ¼×"};
  for (std::size_t i = 0; i < marks.size(); ++i)
    out += svg::label(x + 19.0, top + (bottom - top) * static_cast<double>(i) / 4.0 + 4.0, marks[i],
                      {.size = 11.0});
  return out;
}

inline void require_load(LoadChartOptions const& options, std::vector<double> const& load, Index experts) {
  expect<ShapeError>(experts > 0 && !load.empty() && static_cast<Index>(load.size()) % experts == 0,
                     "expert load: ", load.size(), " values are no rows of ", experts, " experts");
  expect<UsageError>(
      options.width >= 240.0 && options.width <= 1e4 && options.height >= 0.0 && options.height <= 1e4,
      "LoadChartOptions: width must be 240 to 10000 and height 0 to 10000; got ", options.width, " and ",
      options.height);
}

}  // namespace detail

/// Load [rows, experts], relative to the mean, as a heat map.
///
/// errors   ShapeError, UsageError
[[nodiscard]] inline std::string load_heat_map(LoadChartOptions const& options,
                                               std::vector<double> const& load, Index experts) {
  detail::require_load(options, load, experts);
  Index const rows = static_cast<Index>(load.size()) / experts;
  double const left = 64.0, right = options.width - 76.0;
  double top = 14.0;
  std::string body = detail::load_heading(options, left, top);
  double const wanted = std::clamp(22.0 * static_cast<double>(rows), 120.0, 600.0);
  double const height =
      options.height > 0.0 ? (std::max)(options.height, top + 56.0 + 60.0) : top + wanted + 56.0;
  double const bottom = height - 56.0;
  double const cell_width = (right - left) / static_cast<double>(experts);
  double const cell_height = (bottom - top) / static_cast<double>(rows);
  double const gap = (std::min)(cell_width, cell_height) > 8.0 ? 1.0 : 0.0;
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < experts; ++column)
      body += svg::rectangle(left + cell_width * static_cast<double>(column),
                             top + cell_height * static_cast<double>(row), cell_width - gap,
                             cell_height - gap, detail::load_colour(load[to_size(row * experts + column)]));
  for (Index row = 0, stride = detail::label_stride(rows, bottom - top, 18.0); row < rows; row += stride)
    body += svg::label(left - 9.0, top + cell_height * (static_cast<double>(row) + 0.5) + 4.0,
                       text(options.first_row + row), {.anchor = "end"});
  body += svg::label(20.0, (top + bottom) / 2.0, options.row_label,
                     {.size = 13.0, .anchor = "middle", .turn = -90.0});
  body += detail::load_columns(options, experts, left, right, bottom);
  body += detail::load_scale(right + 16.0, top, bottom);
  return svg::document(options.width, height, options.title, body);
}

/// Load of the experts of one layer as bars, with a line at the mean.
///
/// errors   ShapeError, UsageError
[[nodiscard]] inline std::string load_bars(LoadChartOptions const& options, std::vector<double> const& load) {
  auto const experts = static_cast<Index>(load.size());
  detail::require_load(options, load, experts);
  double const left = 64.0, right = options.width - 28.0;
  double top = 14.0;
  std::string body = detail::load_heading(options, left, top);
  double const height = (std::max)(options.height > 0.0 ? options.height : 320.0, top + 56.0 + 60.0);
  double const bottom = height - 56.0;
  svg::Axis axis{.low = 0.0, .high = 1.2};
  for (double const x : load)
    if (svg::drawable(x)) axis.high = (std::max)(axis.high, x * 1.05);
  auto const pixel = [&](double value) { return bottom - (bottom - top) * axis.share(value); };
  for (auto const& tick : svg::ticks(axis, static_cast<int>((bottom - top) / 50.0) + 1)) {
    body += svg::line(left, pixel(tick.value), right, pixel(tick.value), svg::grid);
    body += svg::label(left - 9.0, pixel(tick.value) + 4.0, tick.name, {.anchor = "end"});
  }
  double const step = (right - left) / static_cast<double>(experts);
  for (std::size_t i = 0; i < load.size(); ++i) {
    if (!svg::drawable(load[i]) || load[i] <= 0.0) continue;
    double const y = pixel(load[i]);
    body += svg::rectangle(left + step * (static_cast<double>(i) + 0.1), y, step * 0.8, bottom - y,
                           svg::palette[0]);
  }
  body += text("<path d=\"M", svg::coordinate(left), ' ', svg::coordinate(pixel(1.0)), 'H',
               svg::coordinate(right), "\" fill=\"none\" stroke=\"", svg::palette[1],
               "\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\n");
  body += svg::line(left, bottom, right, bottom, svg::border);
  body += svg::label(20.0, (top + bottom) / 2.0, options.row_label,
                     {.size = 13.0, .anchor = "middle", .turn = -90.0});
  body += detail::load_columns(options, experts, left, right, bottom);
  return svg::document(options.width, height, options.title, body);
}

}  // namespace aeth::train
