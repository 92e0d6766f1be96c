// Each way in which the loads of experts tell that a run goes wrong is named when a real run goes wrong that way.
#include "aeth/train/diagnose_routing.hpp"

#include "support/catch.hpp"
#include "support/watched_run.hpp"

namespace {

using namespace aeth;
using test::SmallText, test::WatchedRun, test::watchful, test::watched_options, test::normal_text,
    test::check_named, test::check_options;

}  // namespace

TEST_CASE("diagnosis: selection biases that are moved too little or too much") {
  check_options([](auto& o) { o.bias_rate = 0, o.loss.balance_weight = 0; }, "balancing_off",
                "TrainerOptions::bias_rate");
  check_options([](auto& o) { o.bias_rate = 0.1; }, "bias_oscillation", "TrainerOptions::bias_rate");
  check_options([](auto& o) { o.bias_rate = 1.0; }, "bias_runaway", "TrainerOptions::bias_rate");
}

TEST_CASE("diagnosis: a dead expert") {
  WatchedRun run(normal_text(), watched_options());
  run.model.biases()(1, 3) = -0.9f;
  check_named(run, "dead_experts", "TrainerOptions::bias_rate");
}

TEST_CASE("diagnosis: experts that have collapsed onto two") {
  WatchedRun run(normal_text(), watched_options());
  auto const biases = run.model.biases();
  for (Index layer = 0; layer < biases.rows; ++layer) biases(layer, 0) = biases(layer, 2) = 0.9f;
  check_named(run, "expert_collapse", "TrainerOptions::bias_rate");
}
