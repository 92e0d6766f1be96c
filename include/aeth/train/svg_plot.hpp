/// A line plot of several series as a self-contained SVG text: losses, learning rates, rewards over steps.
///
/// Points that cannot be drawn (not finite, or not positive on a logarithmic axis) leave a gap in the line.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/svg.hpp"

namespace aeth::train {

/// A line; x must not decrease for a readable plot, but any order is drawn.
struct Series {
  std::string name{};
  std::vector<double> x{};
  std::vector<double> y{};
  bool dashed = false;
  bool faint = false;  ///< for raw values under a smoothed line; not in the legend if its name is empty
  int colour = -1;     ///< index into svg::palette; -1 = position of the series in the plot
};

struct PlotOptions {
  std::string title{};
  std::string subtitle{};
  std::string x_label{};
  std::string y_label{};
  double width = 860.0;   ///< pixels
  double height = 480.0;  ///< pixels
  bool log_x = false;
  bool log_y = false;
  std::vector<double> marks{};  ///< x of thin vertical lines, such as events
};

namespace detail {

/// The pixels inside the axes.
struct PlotArea {
  double left, top, right, bottom;
  svg::Axis x, y;

  [[nodiscard]] double pixel_x(double value) const { return left + (right - left) * x.share(value); }
  [[nodiscard]] double pixel_y(double value) const { return bottom - (bottom - top) * y.share(value); }
};

[[nodiscard]] inline std::string draw_frame(PlotArea const& area, PlotOptions const& options) {
  std::string out;
  for (auto const& tick : svg::ticks(area.y, static_cast<int>((area.bottom - area.top) / 55.0) + 1)) {
    double const y = area.pixel_y(tick.value);
    out += svg::line(area.left, y, area.right, y, svg::grid);
    out += svg::label(area.left - 10.0, y + 4.0, tick.name, {.anchor = "end"});
  }
  for (auto const& tick : svg::ticks(area.x, static_cast<int>((area.right - area.left) / 110.0) + 1)) {
    double const x = area.pixel_x(tick.value);
    out += svg::line(x, area.bottom, x, area.bottom + 5.0, svg::border);
    out += svg::label(x, area.bottom + 20.0, tick.name, {.anchor = "middle"});
  }
  out += svg::line(area.left, area.bottom, area.right, area.bottom, svg::border);
  out += svg::label((area.left + area.right) / 2.0, area.bottom + 42.0, options.x_label,
                    {.size = 13.0, .anchor = "middle"});
  out += svg::label(20.0, (area.top + area.bottom) / 2.0, options.y_label,
                    {.size = 13.0, .anchor = "middle", .turn = -90.0});
  return out;
}

/// The path of a line. Of all points that fall into one pixel column only the first, lowest, highest and last
/// are kept, so that a million points look the same and fit into a few kilobytes.
class PathBuilder {
 public:
  void point(double x, double y) {
    double const column = std::floor(x);
    if (!pending_.empty() && column != column_) flush();
    column_ = column;
    pending_.push_back({x, y});
  }
  void gap() {
    flush();
    pen_up_ = true;
  }
  [[nodiscard]] std::string finish() {
    flush();
    return std::move(path_);
  }

 private:
  using Point = std::pair<double, double>;

  void flush() {
    if (pending_.size() > 4) {
      auto const [low, high] = std::minmax_element(pending_.begin(), pending_.end(),
                                                   [](Point a, Point b) { return a.second < b.second; });
      Point const first = low < high ? *low : *high;
      Point const second = low < high ? *high : *low;
      pending_ = {pending_.front(), first, second, pending_.back()};
    }
    for (auto const& [x, y] : pending_) {
      path_ += text(pen_up_ ? "M" : "L", svg::coordinate(x), ' ', svg::coordinate(y));
      pen_up_ = false;
    }
    pending_.clear();
  }

  std::string path_;
  std::vector<Point> pending_;
  double column_ = 0.0;
  bool pen_up_ = true;
};

[[nodiscard]] inline std::string_view series_colour(Series const& series, std::size_t position) {
  return svg::palette[(series.colour >= 0 ? static_cast<std::size_t>(series.colour) : position) %
                      svg::palette.size()];
}

[[nodiscard]] inline std::string stroke(Series const& series, std::size_t position) {
  return text(" stroke=\"", series_colour(series, position), "\" stroke-width=\"", series.faint ? "1" : "2",
              "\"", series.faint ? " stroke-opacity=\"0.35\"" : "",
              series.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

[[nodiscard]] inline std::string draw_series(PlotArea const& area, Series const& series,
                                             std::size_t position) {
  PathBuilder path;
  std::string dots;
  bool previous = false;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    auto const drawn = [&](std::size_t j) {
      return j < series.x.size() && area.x.shows(series.x[j]) && area.y.shows(series.y[j]);
    };
    bool const current = drawn(i);
    if (current) {
      double const x = area.pixel_x(series.x[i]);
      double const y = area.pixel_y(series.y[i]);
      path.point(x, y);
      if (!previous && !drawn(i + 1))  // alone between gaps: a line would not show
        dots += text("<circle cx=\"", svg::coordinate(x), "\" cy=\"", svg::coordinate(y),
                     "\" r=\"2.5\" fill=\"", series_colour(series, position), "\"/>\n");
    } else if (previous) {
      path.gap();
    }
    previous = current;
  }
  std::string const d = path.finish();
  if (d.empty()) return dots;
  return text("<path d=\"", d, "\" fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\"",
              stroke(series, position), "/>\n", dots);
}

/// Legend entries in rows; returns the height they take.
inline double draw_legend(std::string& out, std::vector<Series> const& all, double left, double right,
                          double top) {
  double x = left;
  double y = top;
  bool any = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name.empty()) continue;
    double const width = 28.0 + svg::text_width(all[i].name, 12.0) + 22.0;
    if (any && x + width > right) {
      x = left;
      y += 20.0;
    }
    any = true;
    out += text("<path d=\"M", svg::coordinate(x), ' ', svg::coordinate(y), 'h', "22\" fill=\"none\"",
                stroke(all[i], i), "/>\n");
    out += svg::label(x + 28.0, y + 4.0, all[i].name, {.colour = svg::ink});
    x += width;
  }
  return any ? y - top + 24.0 : 0.0;
}

}  // namespace detail

/// The plot as the text of an SVG file.
///
/// errors   ShapeError if a series has not as many x as y, UsageError for a size that leaves no room
[[nodiscard]] inline std::string line_plot(PlotOptions const& options, std::vector<Series> const& all) {
  expect<UsageError>(
      options.width >= 240.0 && options.height >= 200.0 && options.width <= 1e4 && options.height <= 1e4,
      "PlotOptions: width must be 240 to 10000 and height 200 to 10000; got ", options.width, " and ",
      options.height);
  std::vector<double> xs, ys;
  for (auto const& series : all) {
    expect<ShapeError>(series.x.size() == series.y.size(), "line_plot: series \"", series.name, "\" has ",
                       series.x.size(), " x and ", series.y.size(), " y");
    xs.insert(xs.end(), series.x.begin(), series.x.end());
    ys.insert(ys.end(), series.y.begin(), series.y.end());
  }
  double const left = 76.0;
  double top = 22.0;
  std::string body;
  auto const heading = [&](std::string const& words, svg::TextStyle const& style, double height) {
    if (words.empty()) return;
    top += height;
    body += svg::label(left, top - 6.0, words, style);
  };
  heading(options.title, {.size = 17.0, .colour = svg::ink, .weight = "600"}, 20.0);
  heading(options.subtitle, {.size = 13.0}, 20.0);
  top += 14.0;
  top += detail::draw_legend(body, all, left, options.width - 24.0, top);
  detail::PlotArea const area{.left = left,
                              .top = top,
                              .right = options.width - 28.0,
                              .bottom = options.height - 62.0,
                              .x = svg::fit_axis(xs, options.log_x, 0.0),
                              .y = svg::fit_axis(ys, options.log_y, 0.05)};
  expect<UsageError>(area.bottom > area.top,
                     "PlotOptions::height leaves no room beside title and legend; got ", options.height);
  body += detail::draw_frame(area, options);
  double last_mark = -1.0;
  for (double const x : options.marks) {
    if (!area.x.shows(x) || area.x.share(x) < 0.0 || area.x.share(x) > 1.0) continue;
    double const pixel = std::round(area.pixel_x(x));
    if (pixel != last_mark)
      body += text("<line x1=\"", svg::coordinate(pixel), "\" y1=\"", svg::coordinate(area.top), "\" x2=\"",
                   svg::coordinate(pixel), "\" y2=\"", svg::coordinate(area.bottom), "\" stroke=\"",
                   svg::palette[1], "\" stroke-width=\"1\" stroke-dasharray=\"2 3\"/>\n");
    last_mark = pixel;
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].faint) body += detail::draw_series(area, all[i], i);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].faint) body += detail::draw_series(area, all[i], i);
  return svg::document(options.width, options.height, options.title, body);
}

}  // namespace aeth::train
