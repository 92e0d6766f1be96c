#include "aeth/train/report.hpp"

#include <cmath>
#include <limits>
#include <regex>

#include "support/catch.hpp"

namespace {
using namespace aeth;
using Catch::Matchers::ContainsSubstring;
double const none = std::numeric_limits<double>::quiet_NaN();

std::size_t count(std::string const& page, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = page.find(part); at != page.npos; at = page.find(part, at + 1)) ++n;
  return n;
}

train::RunRecord full_run(std::size_t steps) {
  train::RunRecord run{.title = "a <run> & \"more\""};
  run.metrics.names = {"loss",          "mtp_loss",      "balance_loss", "bits_per_byte",
                       "learning_rate", "gradient_norm", "max_violation"};
  run.speed.names = {"tokens_per_second"};
  run.speed.columns.resize(1);
  run.metrics.columns.resize(run.metrics.names.size());
  run.load.names = run.bias.names = train::expert_columns(2, 4);
  run.load.columns.resize(8), run.bias.columns.resize(8);
  run.health.names = {"fp8_vanished", "fp8_saturated", "fp8_lost", "update.attention", "largest_logit"};
  run.health.columns.resize(5);
  for (std::size_t i = 0; i < steps; ++i) {
    double const x = static_cast<double>(i + 1);
    for (auto* const table : {&run.metrics, &run.speed, &run.load, &run.bias, &run.health}) {
      table->steps.push_back(x);
      for (std::size_t c = 0; c < table->columns.size(); ++c)
        table->columns[c].push_back(1.0 / x + static_cast<double>(c));
    }
  }
  run.events.push_back({.step = 3,
                        .kind = "loss_spike",
                        .severity = train::Severity::warning,
                        .action = train::Action::skipped,
                        .message = "<script>alert(1)</script>",
                        .setting = "TrainerOptions::learning_rate",
                        .culprit = {"model.layers.0.x"}});
  run.cost = {.seconds = 100.0, .tokens = 5e6, .flops = 3e12, .watts = 50.0};
  return run;
}

TEST_CASE("a report has every section of a run that has everything") {
  std::string const page = train::report_html(full_run(300));
  for (char const* title :
       {"Training loss", "Validation", "Balance loss", "Learning rate", "Gradient norm", "Throughput",
        "Largest load", "Expert load", "Selection biases, layer0", "Selection biases, layer1",
        "Rounding to FP8", "Updates", "Largest attention logit"})
    CHECK(count(page, std::string("<title>") + title + "</title>") == 1);
  CHECK(count(page, "<svg ") == 13);
  CHECK(count(page, "<svg ") == count(page, "</svg>"));
  CHECK_THAT(page, ContainsSubstring("loss_spike"));
  CHECK_THAT(page, ContainsSubstring("5,000,000"));
  CHECK_THAT(page, ContainsSubstring("0.0014 kWh"));
  CHECK_THAT(page, ContainsSubstring("50,000"));  // tokens per second
  // The event is a mark in each plot over steps.
  CHECK(count(page, "stroke-dasharray=\"2 3\"") == 12);
}

TEST_CASE("a report loads nothing and believes no text") {
  std::string const page = train::report_html(full_run(3));
  CHECK(page.find("<script") == page.npos);
  CHECK(page.find("<run>") == page.npos);
  CHECK_THAT(page, ContainsSubstring("a &lt;run&gt; &amp; &quot;more&quot;"));
  for (char const* part : {"src=", "href=", "url(", "@import", "<link", "<iframe"})
    CHECK(page.find(part) == page.npos);
  // Only the namespace of SVG is an address, and nobody fetches it.
  CHECK(count(page, "http") == count(page, "xmlns=\"http://www.w3.org/2000/svg\""));
}

TEST_CASE("a report of nothing says what is missing") {
  std::string const page = train::report_html({});
  CHECK(count(page, "<svg ") == 0);
  for (char const* note : {"No losses are on record", "No loads are on record", "Nothing was rounded to FP8",
                           "the run had no monitor", "None.", "duration is not on record"})
    CHECK_THAT(page, ContainsSubstring(note));
}

TEST_CASE("a report survives odd numbers and stays small where runs are long") {
  train::RunRecord run;
  run.metrics = {{1}, {"loss", "gradient_norm"}, {{2.0}, {0.0}}};
  CHECK_NOTHROW(train::report_html(run));
  run.metrics = {{1, 2, 3}, {"loss"}, {{none, none, none}}};
  CHECK_THAT(train::report_html(run), ContainsSubstring("No losses are on record"));
  run.metrics = {{1e300}, {"loss"}, {{2.0}}};
  run.cost = {.seconds = 1e-300, .tokens = 1e300, .flops = 1e300};
  std::string const huge = train::report_html(run);
  CHECK_THAT(huge, ContainsSubstring("1.00e+300") && !ContainsSubstring("9,223,372,036,854,775,808"));
  CHECK_FALSE(std::regex_search(huge, std::regex("[0-9]{30}")));
  run.cost = {};
  std::size_t const steps = 1'000'000;
  std::vector<double> x(steps), y(steps, 1.0);
  for (std::size_t i = 0; i < steps; ++i) x[i] = static_cast<double>(i);
  y[567'890] = 90.0;  // one spike
  run.metrics = {x, {"gradient_norm"}, {y}};
  std::string const page = train::report_html(run);
  CHECK(page.size() < 400'000);
  train::RunRecord flat = run;
  flat.metrics.columns[0][567'890] = 1.0;
  CHECK(train::report_html(flat) != page);
  run.metrics.columns[0].pop_back();
  CHECK_THROWS_AS(train::report_html(run), ShapeError);
}

}  // namespace
