// The rates against what they were measured from.
#include "aeth/config/training_rates.hpp"

#include "aeth/config/plan_time.hpp"
#include "aeth/config/presets.hpp"
#include "support/catch.hpp"

using namespace aeth;
using Catch::Approx;

namespace {

Hardware const& h800 = *find_hardware("h800");
constexpr ParallelPlan const& v3_plan = presets::deepseek_v3_plan;
using Profile = detail::TrainingProfile;

}  // namespace

TEST_CASE("the profile's work is that of V3's layers with experts") {
  constexpr TokenWork layer = layer_work(presets::deepseek_v3, v3_plan, true);
  STATIC_REQUIRE(3.0 * layer.products + layer.recomputed == Profile::fp8_flops);
  STATIC_REQUIRE(layer.attention == Profile::attention_flops);
  STATIC_REQUIRE(layer.operands == Profile::operands);
}

TEST_CASE("four layers take the seconds of the profile") {
  PlanClock const clock(presets::deepseek_v3, v3_plan, h800, fp8_hopper_rates);
  ComputeSeconds const four = 4.0 * clock.both(layer_work(presets::deepseek_v3, v3_plan, true));
  CHECK(four.products == Approx(Profile::fp8_products).epsilon(1e-9));
  CHECK(four.attention == Approx(Profile::attention_forward + Profile::attention_backward).epsilon(1e-9));
  CHECK(four.others == Approx(Profile::others).epsilon(1e-9));
  // The router's products are in the profile's other kernels: 0.3 ms of them count twice.
  CHECK(four.total() * (1.0 + fp8_hopper_rates.waits.value) == Approx(Profile::wall).epsilon(0.005));
}

TEST_CASE("rates are of the size that kernels were published with") {
  // DeepGEMM's first tables, on all 132 SMs at V3's shapes with 4,096 tokens: 1,185 TFLOP/s of the layer's
  // FLOPs.
  CHECK(fp8_hopper_rates.products.value * 1979e12 < 1185e12);
  CHECK(fp8_hopper_rates.products.value == Approx(0.4315).epsilon(0.001));
  CHECK(fp8_hopper_rates.wide_products.value == Approx(0.681).epsilon(0.001));
  CHECK(fp8_hopper_rates.attention_forward.value == Approx(0.562).epsilon(0.001));
  CHECK(fp8_hopper_rates.attention_backward.value == Approx(0.327).epsilon(0.001));
  CHECK(fp8_hopper_rates.operand_bytes.value == Approx(23.87).epsilon(0.001));
  CHECK(fp8_hopper_rates.waits.value == Approx(0.0376).epsilon(0.001));
  for (TrainingRates const* rates :
       {&fp8_hopper_rates, &bf16_hopper_rates, &fp32_processor_rates, &bf16_processor_rates})
    for (RateField const& field : rate_fields) {
      CHECK_FALSE((rates->*field.field).source.empty());
      CHECK((rates->*field.field).value >= 0.0);
    }
}
