// Each way in which tensors, attention and FP8 tell that a run goes wrong is named when a real run goes wrong that way.
#include "aeth/train/diagnose_health.hpp"

#include <string>

#include "aeth/optim/schedule.hpp"
#include "support/catch.hpp"
#include "support/watched_run.hpp"

namespace {

using namespace aeth;
using test::SmallText, test::WatchedRun, test::watchful, test::watched_options, test::normal_text,
    test::check_named, test::check_options;

}  // namespace

TEST_CASE("diagnosis: updates of the wrong size") {
  check_options([](auto& o) { o.learning_rate = 1e-7; }, "update_too_small", "TrainerOptions::learning_rate");
  train::MonitorOptions each = watchful();
  each.health_every = 1;
  check_options([](auto& o) { o.learning_rate = 0.1, o.warmup_steps = 0, o.steps = 10; }, "update_too_large",
                "TrainerOptions::learning_rate", each);
  check_options(
      [](auto& o) {
        o.schedule = optim::Schedule{};
        o.schedule->pieces[0] = {o.steps = 20, 0.0, 0.0, RateShape::linear};
      },
      "frozen", "TrainerOptions::schedule");
}

TEST_CASE("diagnosis: attention logits") {
  check_options([](auto& o) { o.learning_rate = 0.1, o.steps = 30; }, "attention_logits",
                "TrainerOptions::learning_rate");
}

TEST_CASE("diagnosis: weights that cannot learn") {
  WatchedRun run(normal_text(), watched_options(20));
  for (float& w : run.model.weights()) w = 0.0f;
  run.model.prepare();
  check_named(run, "vanishing_gradient", "Model::initialize");
}
