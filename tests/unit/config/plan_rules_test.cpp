// Parallel plans that cannot run are refused with messages that name the field.
#include "aeth/config/plan_rules.hpp"

#include <limits>
#include <string>

#include "aeth/config/cost_plan.hpp"
#include "aeth/config/presets.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {

Hardware const& h800 = *find_hardware("h800");
Hardware const& zen4 = *find_hardware("zen4");

std::string refusal(ParallelPlan const& plan, ModelConfig const& config, Hardware const& hardware) {
  try {
    require_valid(plan, config, hardware, "the plan");
  } catch (UsageError const& error) {
    return error.what();
  }
  return "not refused";
}

/// V3's plan with a change.
template <class Change>
std::string changed(Change change) {
  ParallelPlan plan = presets::deepseek_v3_plan;
  change(plan);
  return refusal(plan, presets::deepseek_v3, h800);
}

}  // namespace

TEST_CASE("V3's own plan and a plan for one machine are accepted") {
  CHECK_NOTHROW(require_valid(presets::deepseek_v3_plan, presets::deepseek_v3, h800, "V3"));
  CHECK_NOTHROW(require_valid({.products = Products::fp32, .batch_rows = 16, .context = 256}, presets::mini,
                              zen4, "mini"));
}

TEST_CASE("a plan that cannot run says which field is wrong and why") {
  using Plan = ParallelPlan;
  CHECK_THAT(
      changed([](Plan& p) { p.pipeline = 62; }),
      Catch::StartsWith("the plan: this plan cannot run:\n") &&
          Catch::Contains("ParallelPlan::pipeline must not exceed ModelConfig::layers; each stage needs a "
                          "layer (62 <= 61 is false)\n"));
  CHECK_THAT(
      changed([](Plan& p) { p.expert = 24; }),
      Catch::Contains("ParallelPlan::expert must divide MoeConfig::experts; each device holds as many (16 "
                      "== 0 is false)"));
  CHECK_THAT(changed([](Plan& p) { p.data = 96; }),
             Catch::Contains("ParallelPlan::expert must divide data times tensor"));
  CHECK_THAT(changed([](Plan& p) { p.tensor = 3; }),
             Catch::Contains("ParallelPlan::tensor must divide MlaConfig::heads"));
  CHECK_THAT(changed([](Plan& p) { p.tensor = 16; }),
             Catch::Contains("ParallelPlan::tensor must not exceed Hardware::node_devices") &&
                 Catch::Contains("(16 <= 8 is false)"));
  CHECK_THAT(changed([](Plan& p) { p.batch_rows = 15361; }),
             Catch::Contains("ParallelPlan::batch_rows must be a multiple of data times micro_rows"));
  CHECK_THAT(changed([](Plan& p) { p.pipeline = 15; }),
             Catch::Contains("ParallelPlan::pipeline must be even for DualPipe"));
  CHECK_THAT(
      changed([](Plan& p) { p.batch_rows = 128 * 41; }),
      Catch::Contains("ParallelPlan::batch_rows must give an even number of micro-batches for DualPipe"));
  CHECK_THAT(changed([](Plan& p) { p.batch_rows = 3072; }),
             Catch::Contains(
                 "ParallelPlan::batch_rows must give twice as many micro-batches as stages for DualPipe") &&
                 Catch::Contains("(32 <= 24 is false)"));
  CHECK_THAT(changed([](Plan& p) {
               p.schedule = Schedule::zb1p;
               p.batch_rows = 128 * 15;
             }),
             Catch::Contains("ParallelPlan::batch_rows must give as many micro-batches as stages for ZB1P"));
  CHECK_THAT(changed([](Plan& p) { p.context = 163841; }),
             Catch::Contains("ParallelPlan::context must not exceed ModelConfig::max_context"));
  CHECK_THAT(changed([](Plan& p) { p.products = Products::fp32; }),
             Catch::Contains("ParallelPlan::products is fp32, but no rate of that is known"));
  CHECK_THAT(changed([](Plan& p) { p.data = 0; }), Catch::Contains("ParallelPlan::data must be positive"));
  CHECK_THAT(changed([](Plan& p) { p.micro_rows = -1; }),
             Catch::Contains("ParallelPlan::micro_rows must be positive"));
  CHECK_THAT(changed([](Plan& p) { p.data = p.pipeline = 1 << 13; }),
             Catch::Contains("more than 16777216 devices"));
  CHECK_THAT(changed([](Plan& p) { p.micro_rows = 4097; }), Catch::Contains("16777216 tokens at once"));
  CHECK_THAT(changed([](Plan& p) { p.batch_rows = Index{1} << 40; }),
             Catch::Contains("a size above 16777216"));
}

TEST_CASE("a plan must suit its machine and its model") {
  CHECK_THAT(refusal({.products = Products::fp8, .context = 256}, presets::mini, zen4),
             Catch::Contains("ParallelPlan::products is fp8, which this hardware has not") &&
                 Catch::Contains("ParallelPlan::products must be fp32 or bf16 on one device"));
  CHECK_THAT(refusal({.data = 2, .batch_rows = 2, .context = 256}, presets::mini, zen4),
             Catch::Contains("no link between them") && Catch::Contains("no network"));
  ModelConfig const dense = with(presets::mini, [](ModelConfig& c) { c.moe.experts = 0; });
  CHECK_THAT(refusal({.data = 2, .expert = 2, .batch_rows = 2, .context = 256}, dense, h800),
             Catch::Contains("ParallelPlan::expert must be 1 for a model without experts"));
  ModelConfig const odd = with(presets::deepseek_v3, [](ModelConfig& c) { c.ffn_dim = 18433; });
  CHECK_THAT(refusal({.data = 1, .tensor = 2}, odd, h800),
             Catch::Contains("ParallelPlan::tensor must divide ModelConfig::ffn_dim") &&
                 Catch::Contains("(1 == 0 is false)"));
  ModelConfig const broken = with(presets::mini, [](ModelConfig& c) { c.layers = 0; });
  CHECK_THROWS_AS(require_valid({}, broken, h800, "the plan"), ConfigError);
}

TEST_CASE("one message lists everything that is wrong with a plan") {
  std::string const message = changed([](ParallelPlan& p) {
    p.expert = 24;
    p.tensor = 3;
    p.context = 1 << 20;
  });
  CHECK_THAT(message, Catch::Contains("ParallelPlan::expert must divide MoeConfig::experts") &&
                          Catch::Contains("ParallelPlan::tensor must divide MlaConfig::heads") &&
                          Catch::Contains("ParallelPlan::context must not exceed"));
}

TEST_CASE("no setting of a plan to extremes overflows or escapes") {
  constexpr int extremes[] = {std::numeric_limits<int>::min(), -1, 0, 1, 2, std::numeric_limits<int>::max()};
  for (int const a : extremes)
    for (int const b : extremes)
      for (auto const schedule : {Schedule::one_f_one_b, Schedule::zb1p, Schedule::dual_pipe}) {
        ParallelPlan const plan{.data = a,
                                .pipeline = b,
                                .expert = a,
                                .tensor = b,
                                .schedule = schedule,
                                .micro_rows = b,
                                .batch_rows = Index{a} * 4,
                                .context = a};
        if (refusal(plan, presets::deepseek_v3, h800) != "not refused") continue;
        CostPlan const estimate = cost_plan(presets::deepseek_v3, 1e12, h800, plan);
        CHECK(estimate.device_hours > 0.0);
        CHECK(detail::is_finite(estimate.device_hours));
      }
}
