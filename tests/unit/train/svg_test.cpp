#include "aeth/train/svg.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "aeth/train/svg_expert_load.hpp"
#include "aeth/train/svg_plot.hpp"
#include "support/catch.hpp"

using namespace aeth::train;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

std::string names(std::vector<svg::Tick> const& ticks) {
  std::string out;
  for (auto const& tick : ticks) out += tick.name + ' ';
  return out;
}

/// Number of times a piece of text occurs.
int occurrences(std::string const& where, std::string const& what) {
  int count = 0;
  for (auto at = where.find(what); at != std::string::npos; at = where.find(what, at + 1)) ++count;
  return count;
}

/// One root, every element closed, quotes paired within tags, no bare ampersand, no number that is none.
void check_well_formed(std::string const& file) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < file.size(); ++at) {
    if (file[at] == '&') {
      auto const end = file.find(';', at);
      REQUIRE(end != std::string::npos);
      REQUIRE(end - at <= 5);
    }
    if (file[at] != '<') continue;
    auto const end = file.find('>', at);
    REQUIRE(end != std::string::npos);
    std::string const tag = file.substr(at + 1, end - at - 1);
    REQUIRE(occurrences(tag, "\"") % 2 == 0);
    REQUIRE(tag.find('<') == std::string::npos);
    if (tag[0] == '/') {
      REQUIRE_FALSE(open.empty());
      REQUIRE(open.back() == tag.substr(1));
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    at = end;
  }
  CHECK(open.empty());
  CHECK(file.starts_with("<svg xmlns="));
  CHECK(occurrences(file, "<svg") == 1);
  CHECK(file.ends_with("</svg>\n"));
  CHECK(file.find("nan") == std::string::npos);
  CHECK(file.find("inf") == std::string::npos);
}

}  // namespace

TEST_CASE("escaping and coordinates") {
  CHECK(svg::escape("a<b & \"c\" > 'd'\n\x01") == "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;  ");
  CHECK(svg::escape("γ ½") == "γ ½");
  CHECK(svg::coordinate(1.0) == "1");
  CHECK(svg::coordinate(100.0) == "100");
  CHECK(svg::coordinate(-0.001) == "0");
  CHECK(svg::coordinate(12.345) == "12.35");
  CHECK(svg::coordinate(infinity) == "0");
  CHECK(svg::coordinate(not_a_number) == "0");
}

TEST_CASE("ticks are round and share a unit") {
  CHECK(names(svg::ticks({.low = 0.0, .high = 1.0}, 5)) == "0 0.2 0.4 0.6 0.8 1.0 ");
  CHECK(names(svg::ticks({.low = 0.0, .high = 20000.0}, 5)) == "0 5k 10k 15k 20k ");
  CHECK(names(svg::ticks({.low = 0.0, .high = 9000.0}, 5)) == "0 2000 4000 6000 8000 ");
  CHECK(names(svg::ticks({.low = 0.0, .high = 2.2e-4}, 5)) == "0 5e-5 1e-4 1.5e-4 2e-4 ");
  CHECK(names(svg::ticks({.low = -1.0, .high = 1.0}, 4)) == "-1.0 -0.5 0 0.5 1.0 ");
  CHECK(names(svg::ticks({.low = 0.0, .high = 12.5e6}, 5)) == "0 5M 10M ");
  CHECK(names(svg::ticks({.low = -6.0, .high = 0.0, .logarithmic = true}, 7)) ==
        "1e-6 1e-5 1e-4 0.001 0.01 0.1 1 ");
  CHECK(names(svg::ticks({.low = 0.0, .high = 2.0, .logarithmic = true}, 6)) == "1 2 5 10 20 50 100 ");
  CHECK(names(svg::ticks({.low = std::log10(2.0), .high = std::log10(4.0), .logarithmic = true}, 4)) ==
        "2.0 2.5 3.0 3.5 4.0 ");
}

TEST_CASE("axes fit what can be shown") {
  auto const axis = svg::fit_axis({3.0, not_a_number, 5.0, infinity, 1e305}, false, 0.1);
  CHECK(axis.low == Approx(2.8));
  CHECK(axis.high == Approx(5.2));
  auto const logarithmic = svg::fit_axis({-1.0, 0.0, 10.0, 1000.0}, true, 0.0);
  CHECK(logarithmic.low == Approx(1.0));
  CHECK(logarithmic.high == Approx(3.0));
  for (auto const& values :
       std::vector<std::vector<double>>{{}, {not_a_number}, {0.0}, {7.0, 7.0}, {-1e300, 1e300}})
    for (bool const log : {false, true}) {
      auto const fitted = svg::fit_axis(values, log, 0.05);
      CHECK(fitted.high > fitted.low);
      CHECK(svg::ticks(fitted, 5).size() < 20);
    }
}

TEST_CASE("line plots are well-formed whatever the data") {
  std::vector<double> const awkward = {not_a_number, infinity, -infinity, 0.0, -1.0, 1e-320, 1e308, 1.0, 1.0};
  for (bool const log_x : {false, true})
    for (bool const log_y : {false, true}) {
      PlotOptions const options{.title = "A & B <\"C\">",
                                .subtitle = "'d'",
                                .x_label = "x<y",
                                .y_label = "&",
                                .log_x = log_x,
                                .log_y = log_y};
      check_well_formed(line_plot(options, {}));
      check_well_formed(line_plot(options, {{.name = "empty"}}));
      check_well_formed(line_plot(options, {{.name = "<&>", .x = awkward, .y = awkward, .dashed = true}}));
      check_well_formed(line_plot(options, {{.name = "none", .x = {1.0}, .y = {not_a_number}}}));
    }
}

TEST_CASE("a value that is missing leaves a gap, a lonely point a dot") {
  auto const file = line_plot(
      {.title = "gaps"},
      {{.name = "s", .x = {1, 2, 3, 4, 5, 6, 7}, .y = {1, 2, not_a_number, 4, not_a_number, 6, 7}}});
  auto const path = file.find("<path d=\"M", file.find("stroke-width") + 1);
  REQUIRE(path != std::string::npos);
  CHECK(occurrences(file.substr(path, file.find('"', path + 10) - path), "M") == 3);
  CHECK(occurrences(file, "<circle") == 1);
}

TEST_CASE("many points stay small, with their extremes") {
  Series series{.name = "s"};
  for (int i = 0; i < 300000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 123456 ? 100.0 : std::sin(i));
  }
  auto const file = line_plot({.title = "many"}, {series});
  CHECK(file.size() < 100'000);
  auto const spike = svg::fit_axis(series.y, false, 0.05);
  double const y = 418.0 - (418.0 - 80.0) * spike.share(100.0);
  CHECK(occurrences(file, ' ' + svg::coordinate(y) + 'L') == 1);
}

TEST_CASE("plots that cannot be drawn are refused") {
  CHECK_THROWS_AS(line_plot({.title = "t"}, {{.name = "s", .x = {1.0}, .y = {}}}), aeth::ShapeError);
  CHECK_THROWS_AS(line_plot({.title = "t", .width = 10.0}, {}), aeth::UsageError);
  CHECK_THROWS_AS(line_plot({.title = "t", .height = not_a_number}, {}), aeth::UsageError);
  std::vector<Series> const crowd(200, Series{.name = "a series with a long name"});
  CHECK_THROWS_AS(line_plot({.title = "t"}, crowd), aeth::UsageError);
}

TEST_CASE("expert load") {
  auto const load = relative_load({1, 3, 0, 0, 5, 5}, 2);
  CHECK(load == std::vector<double>{0.5, 1.5, 0.0, 0.0, 1.0, 1.0});
  check_well_formed(load_heat_map({.title = "<load>", .row_label = "layer"}, load, 2));
  check_well_formed(load_bars({.title = "load"}, load));
  std::vector<double> const awkward = {not_a_number, infinity, -1.0, 0.0, 1e308, 1e-320};
  check_well_formed(load_heat_map({.title = "load"}, awkward, 3));
  check_well_formed(load_bars({.title = "load"}, awkward));
  check_well_formed(load_heat_map({.title = "load"}, std::vector<double>(3000, 1.0), 1000));
  CHECK(occurrences(load_heat_map({.title = "load"}, {1.0, 1.0, not_a_number, 8.0}, 4), "#F7F7F5") == 2);
  CHECK(detail::load_colour(1.0) == "#F7F7F5");
  CHECK(detail::load_colour(0.0) == detail::load_colour(0.25));
  CHECK(detail::load_colour(100.0) == detail::load_colour(4.0));
  CHECK_THROWS_AS(load_heat_map({.title = "load"}, load, 4), aeth::ShapeError);
  CHECK_THROWS_AS(load_heat_map({.title = "load"}, {}, 4), aeth::ShapeError);
  CHECK_THROWS_AS(load_bars({.title = "load"}, {}), aeth::ShapeError);
  CHECK_THROWS_AS(relative_load({1, 2, 3}, 2), aeth::ShapeError);
}
