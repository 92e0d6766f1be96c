/// The parts of a chart that all kinds share, as SVG text: escaping, numbers, ticks, axes, colours.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "aeth/core/text.hpp"

namespace aeth::train::svg {

/// Okabe & Ito's palette without its yellow, which is too pale for lines: distinct also to colour-blind
/// readers.
inline constexpr std::array<std::string_view, 7> palette = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                            "#E69F00", "#56B4E9", "#404040"};

inline constexpr std::string_view ink = "#1F2933";     ///< titles
inline constexpr std::string_view muted = "#616E7C";   ///< ticks, axis labels
inline constexpr std::string_view grid = "#E4E7EB";    ///< grid lines
inline constexpr std::string_view border = "#9AA5B1";  ///< axis lines

/// Whether a value can be drawn; beyond 1e300 differences overflow.
[[nodiscard]] inline bool drawable(double value) noexcept {
  return std::fabs(value) <= 1e300;
}

/// Text for XML content and attributes; control characters, which XML forbids, become spaces.
[[nodiscard]] inline std::string escape(std::string_view raw) {
  std::string out;
  for (char const c : raw) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c >= '\0' && c < ' ' ? ' ' : c;
    }
  }
  return out;
}

/// A coordinate with two decimals at most.
[[nodiscard]] inline std::string coordinate(double value) {
  std::string out = fixed(drawable(value) ? value : 0.0, 2);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.back() == '.') out.pop_back();
  return out == "-0" ? "0" : out;
}

/// Width of a text in pixels, estimated for a sans-serif font: 0.56 of the size per character.
[[nodiscard]] inline double text_width(std::string_view words, double size) {
  auto const characters =
      std::count_if(words.begin(), words.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return 0.56 * size * static_cast<double>(characters);
}

struct TextStyle {
  double size = 12.0;
  std::string_view anchor = "start";  ///< start, middle, end
  std::string_view colour = muted;
  std::string_view weight = "400";
  double turn = 0.0;  ///< degrees clockwise
};

[[nodiscard]] inline std::string label(double x, double y, std::string_view words, TextStyle const& style) {
  std::string const turned = style.turn != 0.0 ? text(" transform=\"rotate(", coordinate(style.turn), ' ',
                                                      coordinate(x), ' ', coordinate(y), ")\"")
                                               : std::string{};
  return text("<text x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" font-size=\"",
              coordinate(style.size), "\" font-weight=\"", style.weight, "\" text-anchor=\"", style.anchor,
              "\" fill=\"", style.colour, "\"", turned, ">", escape(words), "</text>\n");
}

[[nodiscard]] inline std::string line(double x1, double y1, double x2, double y2, std::string_view colour) {
  return text("<line x1=\"", coordinate(x1), "\" y1=\"", coordinate(y1), "\" x2=\"", coordinate(x2),
              "\" y2=\"", coordinate(y2), "\" stroke=\"", colour, "\"/>\n");
}

[[nodiscard]] inline std::string rectangle(double x, double y, double width, double height,
                                           std::string_view colour) {
  return text("<rect x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" width=\"",
              coordinate((std::max)(width, 0.0)), "\" height=\"", coordinate((std::max)(height, 0.0)),
              "\" fill=\"", colour, "\"/>\n");
}

/// A whole file around the given elements; numerals of equal width, white ground.
[[nodiscard]] inline std::string document(double width, double height, std::string_view title,
                                          std::string_view body) {
  return text(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", coordinate(width), "\" height=\"",
      coordinate(height), "\" viewBox=\"0 0 ", coordinate(width), ' ', coordinate(height),
      "\" role=\"img\" font-family=\"Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif\" "
      "style=\"font-variant-numeric: tabular-nums\">\n<title>",
      escape(title), "</title>\n", rectangle(0, 0, width, height, "#FFFFFF"), body, "</svg>\n");
}

/// A range of values and how it maps to pixels.
struct Axis {
  double low = 0.0;   ///< in values; of a logarithmic axis, the decimal logarithm
  double high = 1.0;  ///< likewise
  bool logarithmic = false;

  /// Whether the axis has a place for the value.
  [[nodiscard]] bool shows(double value) const noexcept {
    return drawable(value) && (!logarithmic || value > 0.0);
  }

  /// Where in [0, 1] a shown value lies.
  [[nodiscard]] double share(double value) const noexcept {
    return ((logarithmic ? std::log10(value) : value) - low) / (high - low);
  }
};

/// An axis over the shown values among `values`, widened by `margin` of its length at both ends.
[[nodiscard]] inline Axis fit_axis(std::vector<double> const& values, bool logarithmic, double margin) {
  Axis axis{.low = (std::numeric_limits<double>::max)(),
            .high = std::numeric_limits<double>::lowest(),
            .logarithmic = logarithmic};
  for (double const value : values) {
    if (!axis.shows(value)) continue;
    double const place = logarithmic ? std::log10(value) : value;
    axis.low = (std::min)(axis.low, place);
    axis.high = (std::max)(axis.high, place);
  }
  if (axis.low > axis.high) return {.low = 0.0, .high = 1.0, .logarithmic = logarithmic};
  double const length = axis.high - axis.low;
  // Equal values get room to both sides; so do values that differ by rounding only.
  double const least = (std::max)(std::fabs(axis.low), std::fabs(axis.high)) * 1e-9;
  double const room =
      length > least ? length * margin : (logarithmic ? 0.5 : (std::max)(std::fabs(axis.low) * 0.1, 0.5));
  axis.low -= room;
  axis.high += room;
  return axis;
}

struct Tick {
  double value;
  std::string name{};
};

/// A tick's value for people: 0.25, 1500, 20k, 1.5M, 3e-5. `step` is the distance to the next tick, `largest`
/// the size of the largest value on the axis, which chooses the unit for all of them.
[[nodiscard]] inline std::string tick_name(double value, double step, double largest) {
  double const size = std::fabs(value);
  if (size < step * 1e-6) return "0";
  auto const scientific = [](double x) {
    char digits[32];
    auto const end = std::to_chars(digits, digits + sizeof digits, x, std::chars_format::scientific, 3).ptr;
    std::string const raw(digits, end);  // d.ddde±xx
    auto const e = raw.find('e');
    std::string mantissa = raw.substr(0, e);
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
    bool const negative = raw[e + 1] == '-';
    std::string exponent = raw.substr(e + 2);
    exponent.erase(0, (std::min)(exponent.find_first_not_of('0'), exponent.size() - 1));
    return mantissa + (negative ? "e-" : "e") + exponent;
  };
  if (largest < 1e-3 || largest >= 1e15) return scientific(value);
  double unit = 1.0;
  std::string_view suffix;
  for (std::string_view const next : {"k", "M", "G", "T"})
    if (largest >= unit * 1e4 || (unit > 1.0 && largest >= unit * 1e3)) {
      unit *= 1e3;
      suffix = next;
    }
  int decimals = 0;
  for (double spacing = step / unit; spacing < 0.999 && decimals < 6; spacing *= 10.0) ++decimals;
  std::string number = fixed(value / unit, decimals);
  if (unit > 1.0 && number.find('.') != std::string::npos) {  // 20k beside 7.5k, not 20.0k
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') number.pop_back();
  }
  return number + std::string(suffix);
}

/// About `wanted` ticks at round values within the axis.
[[nodiscard]] inline std::vector<Tick> ticks(Axis const& axis, int wanted) {
  std::vector<Tick> out;
  double const length = axis.high - axis.low;
  if (axis.logarithmic && length > 0.6) {  // decades, with 2 and 5 between them where there is room
    int const every = (std::max)(1, static_cast<int>(std::ceil(length / wanted)));
    bool const between = length * 3.0 <= wanted + 1.0;
    for (int decade = static_cast<int>(std::floor(axis.low)); decade <= static_cast<int>(axis.high) + 1;
         ++decade)
      for (double const digit : {1.0, 2.0, 5.0}) {
        double const place = decade + std::log10(digit);
        bool const kept = digit == 1.0 ? decade % every == 0 : between;
        if (kept && place >= axis.low - 1e-9 && place <= axis.high + 1e-9) {
          double const value = digit * std::pow(10.0, decade);
          out.push_back({value, tick_name(value, value, value)});
        }
      }
    return out;
  }
  double const low = axis.logarithmic ? std::pow(10.0, axis.low) : axis.low;
  double const high = axis.logarithmic ? std::pow(10.0, axis.high) : axis.high;
  double const rough = (high - low) / wanted;
  double const decade = std::pow(10.0, std::floor(std::log10(rough)));
  double const step = decade * (rough > 5.0 * decade   ? 10.0
                                : rough > 2.0 * decade ? 5.0
                                : rough > decade       ? 2.0
                                                       : 1.0);
  double const largest = (std::max)(std::fabs(low), std::fabs(high));
  double const first = std::ceil(low / step - 1e-9);
  for (int i = 0; i <= 2 * wanted + 2; ++i) {
    double const value = (first + i) * step;
    if (value > high + step * 1e-9) break;
    if (axis.shows(value)) out.push_back({value, tick_name(value, step, largest)});
  }
  return out;
}

}  // namespace aeth::train::svg
