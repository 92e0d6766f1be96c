// Each way in which losses tell that a run goes wrong is named when a real run goes wrong that way, and a healthy one of the
// same length is not accused of anything.
#include "aeth/train/diagnose_loss.hpp"

#include <utility>
#include <vector>

#include "support/catch.hpp"
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

TEST_CASE("diagnosis: a healthy run is told nothing") {
  train::MonitorOptions watch = watchful();
  watch.health_every = 1;
  for (double const rate : {1e-3, 3e-3}) {
    train::TrainerOptions o = watched_options(100);
    o.learning_rate = rate;
    WatchedRun run(normal_text(), o, watch);
    run.trainer.run();
    INFO(run.kinds());
    CHECK(run.events.empty());
    CHECK(run.losses.back() < 0.3 * run.losses.front());
  }
}

TEST_CASE("diagnosis: learning rates that are too high or too low") {
  check_options([](auto& o) { o.learning_rate = 1.0, o.warmup_steps = 0; }, "divergence",
                "TrainerOptions::learning_rate");
  check_options([](auto& o) { o.learning_rate = 1e-7; }, "no_progress", "TrainerOptions::learning_rate");
}

TEST_CASE("diagnosis: data, trivial") {
  data::TokenCorpus same;
  same.tokens.assign(4000, 7);
  same.end_document();
  same.seal();
  SmallText const text = with_training(same);
  WatchedRun run(text, watched_options());
  check_named(run, "trivial_data", "TrainingData::training");
}

TEST_CASE("diagnosis: data, few targets") {
  SmallText const text = with_training(random_corpus(std::vector<Index>(2000, 2), 50, 1));
  WatchedRun run(text, watched_options());
  check_named(run, "few_targets", "TrainingData::training");
}

TEST_CASE("diagnosis: data, repeated") {
  SmallText const text = with_training(random_corpus({500}, 50, 1));
  WatchedRun run(text, watched_options(24));  // five steps are an epoch
  check_named(run, "repeated_data", "TrainerOptions::steps");
  CHECK(run.find("repeated_data")->batch == train::BatchId{4, 0});
}

TEST_CASE("diagnosis: data, overfitting") {
  SmallText text = with_training(random_corpus({400}, 20, 1));
  text.validation = random_corpus({400}, 20, 2);
  train::TrainerOptions o = watched_options(200);
  WatchedRun run(text, o);
  check_named(run, "overfitting", "TrainerOptions::steps");
}

TEST_CASE("diagnosis: data, validation of another kind") {
  SmallText text = normal_text();
  text.validation = random_corpus({400}, 512, 2);
  WatchedRun run(text, watched_options());
  check_named(run, "unlike_validation", "TrainingData::validation");
}

TEST_CASE("diagnosis: loss and clipping") {
  check_options([](auto& o) { o.loss.mtp_weight = 1e-10; }, "mtp_not_learning", "LossOptions::mtp_weight");
  WatchedRun run(normal_text(), watched_options(), watchful(), 2, optim::AdamW({.clip = 1e-3}));
  check_named(run, "always_clipped", "AdamWOptions::clip");
}
