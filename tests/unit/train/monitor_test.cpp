// Trouble is found before a batch is applied; it is skipped, rolled back or ends the run as the policy says, and a resumed run
// decides as an uninterrupted one.
#include "aeth/train/monitor.hpp"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "aeth/train/event_log.hpp"
#include "aeth/train/saver.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "support/watched_run.hpp"

namespace {

using namespace aeth;
using test::random_corpus;
using test::SmallText, test::WatchedRun, test::watchful, test::watched_options, test::normal_text,
    test::check_named, test::check_options;

SmallText with_training(data::TokenCorpus corpus) {
  SmallText text = normal_text();
  text.training = std::move(corpus);
  return text;
}

}  // namespace

TEST_CASE("monitor: numbers that are not finite stop the run by default, and the place is named") {
  WatchedRun run(normal_text(), watched_options());
  (void)run.trainer.step();
  for (ParameterInfo const& p : run.model.parameters())
    if (p.name == "model.layers.1.post_attention_layernorm.weight")
      run.model.weights()[p.offset] = std::numeric_limits<float>::quiet_NaN();
  run.model.prepare();
  auto const before = run.outcome();
  CHECK_THROWS_AS(run.trainer.run(), NumericError);
  REQUIRE(run.events.size() == 1);
  train::Event const& event = run.events[0];
  CHECK(event.kind == "non_finite_loss");
  CHECK(event.severity == train::Severity::error);
  CHECK(event.action == train::Action::stopped);
  CHECK(event.culprit.tensor == "model.layers.1.post_attention_layernorm.weight");
  CHECK(event.culprit.layer() == 1);
  CHECK(event.step == 2);
  CHECK(test::same(run.outcome().first, before.first));

  train::TrainerOptions o = watched_options();
  o.loss.mtp_weight = 1e300;  // the reported losses are unweighted and stay finite
  WatchedRun overflown(normal_text(), o);
  CHECK_THROWS_AS(overflown.trainer.run(), NumericError);
  REQUIRE(overflown.events.size() == 1);
  CHECK(overflown.events[0].kind == "non_finite_gradient");
  CHECK(overflown.events[0].culprit.layer() == 3);  // the MTP module: backward begins there
  CHECK(overflown.trainer.state().step == 0);
}

TEST_CASE("monitor: batches without targets are dealt with by policy") {
  SmallText const text = with_training(random_corpus(std::vector<Index>(2000, 1), 50, 1));
  WatchedRun stopped(text, watched_options());
  CHECK_THROWS_AS(stopped.trainer.run(), NumericError);
  CHECK(stopped.find("empty_batch")->action == train::Action::stopped);
  train::MonitorOptions watch = watchful();
  watch.empty_batch = train::Policy::skip;
  watch.max_skips = 3;
  WatchedRun skipping(text, watched_options(), watch);
  CHECK_THROWS_AS(skipping.trainer.run(), NumericError);
  REQUIRE(skipping.events.size() == 4);
  CHECK(skipping.events[2].action == train::Action::skipped);
  CHECK(skipping.events[3].action == train::Action::stopped);
  CHECK(skipping.events[3].setting == "MonitorOptions::max_skips");
}
