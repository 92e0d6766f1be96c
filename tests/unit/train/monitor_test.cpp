// Trouble is found before a batch is applied; it is skipped, rolled back or ends the run as the policy says, and a resumed run
// decides as an uninterrupted one.
#include "aeth/train/monitor.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/stored_run.hpp"
#include "support/temporary_folder.hpp"
#include "support/watched_run.hpp"

namespace {

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::random_corpus, test::TemporaryFolder, test::message_of;
using test::SmallText, test::WatchedRun, test::watchful, test::watched_options, test::normal_text,
    test::check_named, test::check_options;
using test::with_policy, test::StoredRun, test::stored_options;

SmallText with_training(data::TokenCorpus corpus) {
  SmallText text = normal_text();
  text.training = std::move(corpus);
  return text;
}

/// What a run leaves: compared with operator==.
void check_same(test::RunOutcome const& a, test::RunOutcome const& b) {
  CHECK(test::same(a.weights, b.weights));
  CHECK(test::same(a.first, b.first));
  CHECK(test::same(a.second, b.second));
  CHECK(test::same(a.biases, b.biases));
  CHECK(a.state.step == b.state.step);
  CHECK(a.state.skipped == b.state.skipped);
  CHECK(a.state.position == b.state.position);
}

}  // namespace

TEST_CASE("monitor: where nothing happens a run is the same, bit for bit") {
  train::MonitorOptions watch = with_policy(train::Policy::skip);
  watch.health_every = 3;
  test::TinyRun plain(normal_text(), watched_options());
  WatchedRun watched(normal_text(), watched_options(), watch);
  plain.trainer.run();
  watched.trainer.run();
  CHECK(watched.events.empty());
  check_same(watched.outcome(), plain.outcome());
  CHECK(watched.losses == plain.losses);
}

TEST_CASE("monitor: a batch that is skipped leaves weights, moments and biases as they were") {
  SmallText const text = test::poisoned(normal_text());
  WatchedRun run(text, watched_options(120), with_policy(train::Policy::skip));
  Index skipped = 0;
  for (Index i = 0; i < 120; ++i) {
    auto const before = run.outcome();
    train::Progress const progress = run.trainer.step();
    CHECK(progress.step == i + 1);
    bool const same = test::same(run.outcome().weights, before.weights);
    CHECK(same == (progress.action == train::Action::skipped));
    if (!same) continue;
    ++skipped;
    CHECK(test::same(run.outcome().first, before.first));
    CHECK(test::same(run.outcome().second, before.second));
    CHECK(test::same(run.outcome().biases, before.biases));
    REQUIRE_FALSE(run.events.empty());
    train::Event const& event = run.events.back();
    CHECK(event.step == i + 1);
    CHECK(event.action == train::Action::skipped);
    CHECK(event.severity == train::Severity::warning);
    CHECK_FALSE(event.culprit.tensor.empty());
    CHECK(event.batch.row == 3 * i % (text.training.size() / 32 / 3 * 3));
  }
  CHECK(skipped >= 2);
  CHECK(run.trainer.state().skipped == skipped);
  CHECK(run.trainer.state().updates() == 120 - skipped);
}

TEST_CASE("monitor: a run that rolls back never applies the bad batches, and killed runs end as it does") {
  SmallText const text = test::poisoned(normal_text(), 250);
  TemporaryFolder const whole_folder;
  StoredRun whole(text, stored_options(), with_policy(train::Policy::roll_back), whole_folder.path);
  whole.trainer.run();
  auto const expected = whole.outcome();
  REQUIRE(whole.monitor.rollbacks() >= 2);
  CHECK(expected.state.skipped >= 2 * whole.monitor.rollbacks());
  CHECK(expected.state.step == 90);
  for (train::Event const& event : whole.events) {
    CHECK(event.action == train::Action::rolled_back);
    CHECK(whole.monitor.is_listed(event.batch));
  }
  std::string const events = io::read_file(whole_folder.path + "/events.jsonl");

  TemporaryFolder const folder;
  Index lives = 0;
  for (bool done = false; !done; ++lives) {
    StoredRun run(text, stored_options(), with_policy(train::Policy::roll_back), folder.path,
                  1 + int(lives % 3));
    // Dies after as many steps, whether they go forwards or back.
    Index left = 3 + 7 * (lives % 3);
    struct Killed {};
    auto const save = run.trainer.save;
    run.trainer.save = [&](train::SaveMoment moment) {
      save(moment);
      if (moment != train::SaveMoment::last && --left < 0) throw Killed{};
    };
    try {
      run.trainer.run();
      done = true;
      check_same(run.outcome(), expected);
      CHECK(run.monitor.rollbacks() == whole.monitor.rollbacks());
    } catch (Killed const&) {
    }
    REQUIRE(lives < 100);
  }
  CHECK(lives > 5);
  CHECK(io::read_file(folder.path + "/events.jsonl") == events);
}

TEST_CASE("monitor: rollbacks have a limit, and need something to go back to") {
  SmallText const text = test::poisoned(normal_text());
  train::MonitorOptions watch = with_policy(train::Policy::roll_back);
  watch.max_rollbacks = 1;
  TemporaryFolder const folder;
  StoredRun run(text, stored_options(), watch, folder.path);
  CHECK_THROWS_AS(run.trainer.run(), NumericError);
  REQUIRE(run.events.size() == 2);
  CHECK(run.events[0].action == train::Action::rolled_back);
  CHECK(run.events[1].action == train::Action::stopped);
  CHECK(run.events[1].severity == train::Severity::error);
  CHECK(run.events[1].setting == "MonitorOptions::max_rollbacks");

  WatchedRun nowhere(text, stored_options(), watch);
  CHECK_THAT(message_of<UsageError>([&] { nowhere.trainer.run(); }),
             ContainsSubstring("Trainer::roll_back is not set"));
  CHECK(nowhere.trainer.state().step == 0);
}

TEST_CASE(
    "monitor: what a rollback needs stays, however few checkpoints are kept and whenever they are saved") {
  SmallText const text = test::poisoned(normal_text(), 250);
  for (Index const batches : {1, 3, 12}) {
    train::MonitorOptions watch = with_policy(train::Policy::roll_back);
    watch.rollback_batches = batches;
    std::vector<float> expected;
    std::size_t events = 0;
    auto const run_of = [&](Index save_every, std::size_t keep, bool gaps = false) {
      TemporaryFolder const folder;
      train::TrainerOptions options = stored_options();
      options.save_every = save_every;
      StoredRun run(text, options, watch, folder.path, 2, {.last = keep});
      auto const rollbacks = [&] {
        return std::count_if(run.events.begin(), run.events.end(),
                             [](train::Event const& e) { return e.action == train::Action::rolled_back; });
      };
      // Between the first and the second rollback no state is saved, as on a full disk: those that the first one has left
      // are the newest then.
      run.trainer.save = [&](train::SaveMoment moment) {
        if (!gaps || rollbacks() != 1) run.saver(moment);
      };
      run.trainer.run();
      CHECK(run.trainer.state().step == 90);
      events = to_size(rollbacks());
      return std::vector<float>(run.model.weights().begin(), run.model.weights().end());
    };
    expected = run_of(1, 1000);
    CHECK(events >= 2);
    for (Index const save_every : {0, 1, 4, 10}) {
      INFO("save_every " << save_every << ", rollback_batches " << batches);
      CHECK(test::same(run_of(save_every, 1), expected));
      CHECK(test::same(run_of(save_every, 2, true), expected));
    }
  }
}

TEST_CASE("monitor: a rollback to checkpoints that are gone says what to do") {
  TemporaryFolder const folder;
  StoredRun run(normal_text(), stored_options(), with_policy(train::Policy::roll_back), folder.path);
  for (int i = 0; i < 3; ++i) (void)run.trainer.step();
  run.saver(train::SaveMoment::last);
  CHECK_THAT(message_of<IoError>([&] { run.saver.roll_back(2); }),
             ContainsSubstring("rollback: no good checkpoint of step 2 or before is left") &&
                 ContainsSubstring("rollback_batches"));
  run.saver.roll_back(3);
}

TEST_CASE("monitor: the tensor with the unusual gradient is named") {
  WatchedRun run(normal_text(), watched_options(), with_policy(train::Policy::skip));
  for (Index i = 0; i < 40; ++i) (void)run.trainer.step();
  // What reads the norm makes up for its smaller gain: the same loss to the bit, and 16,384 times the gain's gradient.
  std::string const layer = "model.layers.0.", name = layer + "post_attention_layernorm.weight";
  for (ParameterInfo const& p : run.model.parameters()) {
    bool const reads = p.name == layer + "mlp.gate_proj.weight" || p.name == layer + "mlp.up_proj.weight";
    if (p.name == name || reads)
      for (float& w : run.model.weights().slice(p.offset, p.size())) w *= reads ? 0x1p14f : 0x1p-14f;
  }
  run.model.prepare();
  (void)run.trainer.step();
  REQUIRE(run.events.size() == 1);
  CHECK(run.events[0].kind == "gradient_spike");
  CHECK(run.events[0].culprit == train::Culprit{name});
  CHECK(run.events[0].culprit.layer() == 0);
}

TEST_CASE("monitor: a state that is damaged is refused, and nothing changes") {
  WatchedRun run(normal_text(), watched_options());
  for (Index i = 0; i < 30; ++i) (void)run.trainer.step();
  std::string const good = run.monitor.state_text();
  train::Monitor other(watchful());
  other.restore(good, "here");
  CHECK(other.state_text() == good);
  for (std::string const& bad : {std::string(), good.substr(0, good.size() / 2), good + " 1", "x" + good,
                                 "9999999999999 " + good, "-1 " + good})
    CHECK_THAT(message_of<IoError>([&] { other.restore(bad, "here"); }),
               ContainsSubstring("here: the state of the monitor is damaged"));
  CHECK(other.state_text() == good);
}

TEST_CASE("monitor: options that make no sense are refused by name") {
  auto const refused = [](auto change, std::string const& name) {
    train::MonitorOptions o;
    change(o);
    CHECK_THAT(message_of<UsageError>([&] { train::Monitor monitor(o); }), ContainsSubstring(name));
  };
  refused([](auto& o) { o.non_finite = train::Policy::go_on; }, "non_finite");
  refused([](auto& o) { o.empty_batch = train::Policy::go_on; }, "empty_batch");
  refused([](auto& o) { o.loss.window = 3; }, "MonitorOptions::loss: window");
  refused([](auto& o) { o.gradient.deviations = 0; }, "MonitorOptions::gradient: deviations");
  refused([](auto& o) { o.rollback_batches = 0; }, "rollback_batches");
  refused([](auto& o) { o.max_skips = -1; }, "max_skips");
}

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
