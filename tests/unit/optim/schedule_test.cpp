#include "aeth/optim/schedule.hpp"

#include <cmath>
#include <limits>

#include "aeth/optim/recipe_schedule.hpp"
#include "support/catch.hpp"

using namespace aeth::optim;
using aeth::Index;
using aeth::RateShape;
using aeth::UsageError;

TEST_CASE("cosine: values at the boundaries are exact") {
  auto const schedule =
      cosine_schedule({.peak = 1e-3, .floor = 1e-4, .warmup_steps = 10, .total_steps = 110});
  CHECK(schedule.steps() == 110);
  CHECK(schedule.at(0) == Approx(1e-4));
  CHECK(schedule.at(4) == Approx(5e-4));
  CHECK(schedule.at(9) == 1e-3);
  CHECK(schedule.at(59) == Approx(5.5e-4));
  CHECK(schedule.at(109) == 1e-4);
  CHECK(schedule.at(1'000'000) == 1e-4);
  CHECK(schedule.at(-3) == schedule.at(0));
}

TEST_CASE("cosine: agrees with the standard library everywhere") {
  auto const schedule = cosine_schedule({.peak = 1.0, .floor = 0.0, .warmup_steps = 0, .total_steps = 997});
  for (Index step = 0; step < 997; ++step) {
    long double const p = static_cast<long double>(step + 1) / 997.0L;
    long double const expected = (1.0L + std::cos(3.14159265358979323846264L * p)) / 2.0L;
    REQUIRE(std::fabs(schedule.at(step) - static_cast<double>(expected)) < 4e-16);
  }
}

TEST_CASE("warm-up, stable, decay") {
  WarmupStableDecayOptions options{.peak = 2.0,
                                   .floor = 0.0,
                                   .warmup_steps = 4,
                                   .stable_steps = 6,
                                   .decay_steps = 16,
                                   .decay = RateShape::linear};
  auto const linear = warmup_stable_decay_schedule(options);
  CHECK(linear.at(0) == 0.5);
  CHECK(linear.at(3) == 2.0);
  CHECK(linear.at(9) == 2.0);
  CHECK(linear.at(10) == 2.0 * 15 / 16);
  CHECK(linear.at(25) == 0.0);
  options.decay = RateShape::one_minus_sqrt;
  auto const root = warmup_stable_decay_schedule(options);
  CHECK(root.at(10) == 2.0 * (1.0 - 0.25));
  CHECK(root.at(13) == 2.0 * (1.0 - 0.5));
  CHECK(root.at(25) == 0.0);
}

TEST_CASE("rates neither rise after the warm-up nor leave the range") {
  for (auto const& schedule :
       {cosine_schedule({.peak = 3e-4, .floor = 3e-5, .warmup_steps = 20, .total_steps = 500}),
        warmup_stable_decay_schedule(
            {.peak = 3e-4, .floor = 3e-5, .warmup_steps = 20, .stable_steps = 200, .decay_steps = 99}),
        step_decay_schedule({.peak = 3e-4, .warmup_steps = 20, .total_steps = 500}),
        recipe_schedule(aeth::presets::deepseek_v3_recipe,
                        {.total_steps = 500, .warmup_steps = 20, .peak = 3e-4})}) {
    for (Index step = 1; step < 600; ++step) {
      if (step < 20) REQUIRE(schedule.at(step) > schedule.at(step - 1));
      if (step >= 20) REQUIRE(schedule.at(step) <= schedule.at(step - 1));
      REQUIRE(schedule.at(step) > 0.0);
      REQUIRE(schedule.at(step) <= 3e-4);
    }
  }
}

TEST_CASE("DeepSeek-V2 drops twice") {
  auto const schedule = step_decay_schedule({.peak = 2.4e-4, .warmup_steps = 20, .total_steps = 1000});
  CHECK(schedule.at(19) == 2.4e-4);
  CHECK(schedule.at(599) == 2.4e-4);
  CHECK(schedule.at(600) == 2.4e-4 * 0.316);
  CHECK(schedule.at(899) == 2.4e-4 * 0.316);
  CHECK(schedule.at(900) == 2.4e-4 * 0.316 * 0.316);
  CHECK(schedule.at(5000) == 2.4e-4 * 0.316 * 0.316);
  auto const recipe =
      recipe_schedule(aeth::presets::deepseek_v2_recipe, {.total_steps = 1000, .warmup_steps = 20});
  for (Index step = 0; step < 1000; ++step) REQUIRE(recipe.at(step) == Approx(schedule.at(step)));
}

TEST_CASE("DeepSeek-V3's schedule at a scale of a step per 10 billion tokens") {
  auto const schedule =
      recipe_schedule(aeth::presets::deepseek_v3_recipe, {.total_steps = 1480, .warmup_steps = 10});
  CHECK(schedule.steps() == 1480);
  CHECK(schedule.at(9) == 2.2e-4);
  CHECK(schedule.at(999) == 2.2e-4);
  CHECK(schedule.at(1000) < 2.2e-4);
  CHECK(schedule.at(1000 + 215 - 1) == Approx((2.2e-4 + 2.2e-5) / 2));
  CHECK(schedule.at(1429) == 2.2e-5);
  CHECK(schedule.at(1462) == 2.2e-5);
  CHECK(schedule.at(1463) == 7.3e-6);
  CHECK(schedule.at(9999) == 7.3e-6);
}

TEST_CASE("schedule options that make no sense are refused by name") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  double const infinity = std::numeric_limits<double>::infinity();
  for (double const peak : {0.0, -1.0, nan, infinity}) {
    CHECK_THROWS_AS(cosine_schedule({.peak = peak, .total_steps = 10}), UsageError);
    CHECK_THROWS_AS(warmup_stable_decay_schedule({.peak = peak, .stable_steps = 10}), UsageError);
    CHECK_THROWS_AS(step_decay_schedule({.peak = peak, .total_steps = 10}), UsageError);
  }
  CHECK_THROWS_WITH(cosine_schedule({.peak = nan, .total_steps = 10}),
                    "CosineOptions::peak must be positive and finite; got nan");
  CHECK_THROWS_WITH(cosine_schedule({.peak = 1.0}), "CosineOptions::total_steps must be positive; got 0");
  CHECK_THROWS_AS(cosine_schedule({.peak = 1.0, .floor = 2.0, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(cosine_schedule({.peak = 1.0, .floor = -1.0, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(cosine_schedule({.peak = 1.0, .warmup_steps = 11, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(cosine_schedule({.peak = 1.0, .warmup_steps = -1, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(warmup_stable_decay_schedule({.peak = 1.0}), UsageError);
  CHECK_THROWS_AS(warmup_stable_decay_schedule({.peak = 1.0, .decay_steps = 1, .decay = RateShape::constant}),
                  UsageError);
  CHECK_THROWS_AS(step_decay_schedule({.peak = 1.0, .first_drop = 1.5, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(
      step_decay_schedule({.peak = 1.0, .first_drop = 0.9, .second_drop = 0.5, .total_steps = 10}),
      UsageError);
  CHECK_THROWS_AS(step_decay_schedule({.peak = 1.0, .warmup_steps = 7, .total_steps = 10}), UsageError);
  CHECK_THROWS_AS(recipe_schedule(aeth::presets::deepseek_v3_recipe, {.total_steps = 0}), UsageError);
  CHECK_THROWS_AS(recipe_schedule(aeth::presets::deepseek_v3_recipe, {.total_steps = 10, .warmup_steps = 8}),
                  UsageError);
  CHECK_THROWS_AS(recipe_schedule({}, {.total_steps = 10}), UsageError);
}
