#include "aeth/config/describe_plan.hpp"

#include "aeth/config/presets.hpp"
#include "aeth/config/recipe.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

Hardware const& h800 = *find_hardware("h800");
constexpr double tokens = presets::deepseek_v3_recipe.tokens;

}  // namespace

TEST_CASE("a plan in one line") {
  CHECK(describe(presets::deepseek_v3_plan, h800) ==
        "2048 x h800: data 128, pipeline 16 (dualpipe), expert 64, tensor 1, ZeRO-1, fp8 products; steps of "
        "15360 "
        "sequences of 4096, 1 at once");
}

TEST_CASE("the table shows hours, money, the parts of a step and of memory") {
  CostPlan const estimate = cost_plan(presets::deepseek_v3, tokens, h800, presets::deepseek_v3_plan);
  std::string const table = cost_table(estimate, h800);
  INFO(table);
  CHECK_THAT(table, Catch::Contains("14,800,000,000,000"));
  CHECK_THAT(table, Catch::Contains(grouped(static_cast<Index>(estimate.device_hours + 0.5))));
  CHECK_THAT(table, Catch::Contains("at 2.00 per device hour"));
  for (char const* part : {"products of layers", "attention", "bubble of the pipeline", "uneven stages",
                           "communication that nothing hides", "weights", "gradients", "optimizer",
                           "activations", "buffers", "fits in 80.0 GB"})
    CHECK_THAT(table, Catch::Contains(part));
}

TEST_CASE("what does not fit, and what no rent is known of, say so") {
  Hardware half = h800;
  half.memory = 40e9;
  half.dollars_per_hour = 0.0;
  std::string const table =
      cost_table(cost_plan(presets::deepseek_v3, tokens, half, presets::deepseek_v3_plan), half);
  CHECK_THAT(table, Catch::Contains("DOES NOT FIT in 40.0 GB") && Catch::Contains("no rent is known"));
}

TEST_CASE("every assumption is listed with its source and what it would change") {
  std::string const table =
      assumption_table(presets::deepseek_v3, tokens, h800, presets::deepseek_v3_plan, fp8_hopper_rates);
  INFO(table);
  for (RateField const& field : rate_fields) {
    CHECK_THAT(table, Catch::Contains(std::string(field.name)));
    CHECK_THAT(table, Catch::Contains(std::string((fp8_hopper_rates.*field.field).source)));
  }
  CHECK_THAT(table, Catch::Contains(std::string(h800.source)) && Catch::Contains("not counted"));
  auto const most = table.find("matters most");
  CHECK(table.rfind("products of layers", most) > table.rfind('\n', most));
}
