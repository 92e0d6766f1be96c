// The batch of an event can be run again: the same loss, gradient norm and culprit, bit for bit.
#include "aeth/train/replay.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/stored_run.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::SmallText, test::StoredRun, test::WatchedRun, test::TemporaryFolder, test::message_of;

TEST_CASE("replay: every event of a run, whatever became of it") {
  SmallText const text = test::poisoned(test::normal_text(), 250);
  for (train::Policy const policy : {train::Policy::skip, train::Policy::roll_back}) {
    TemporaryFolder const folder;
    auto const watch = test::with_policy(policy);
    std::vector<train::Event> events;
    std::vector<train::Progress> progress;
    {
      StoredRun run(text, test::stored_options(), watch, folder.path, 2, {.last = 1000});
      run.trainer.run();
      events = run.events;
      progress = run.progress;
    }
    REQUIRE(events.size() >= 2);
    // A rollback is reported with the step that it leads back to, so the reports are told apart by their action.
    std::erase_if(progress, [](train::Progress const& p) {
      return p.action == train::Action::none || std::isnan(p.loss.main);
    });
    REQUIRE(progress.size() == events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      WatchedRun run(text, test::stored_options(), watch, 1 + static_cast<int>(i % 3));
      train::Replayed const again = train::replay(run.trainer, folder.path + "/checkpoints", events[i].step);
      INFO(to_json(events[i]));
      CHECK(again.step == events[i].step);
      CHECK(again.batch == events[i].batch);
      CHECK(again.culprit == events[i].culprit);
      CHECK(again.loss.main == progress[i].loss.main);
      CHECK(again.loss.mtp == progress[i].loss.mtp);
      CHECK(again.gradient_norm == progress[i].gradient_norm);
      CHECK(run.events.empty());
    }
  }
}

TEST_CASE("replay: a step without a checkpoint before it is refused") {
  TemporaryFolder const folder;
  WatchedRun run(test::normal_text(), test::stored_options());
  CHECK_THAT(message_of<IoError>([&] { (void)train::replay(run.trainer, folder.path, 3); }),
             ContainsSubstring("replay: no checkpoint from before step 3 is left"));
  CHECK_THAT(message_of<UsageError>([&] { (void)train::replay(run.trainer, folder.path, 0); }),
             ContainsSubstring("replay: step is 0"));
  TemporaryFolder const other;
  StoredRun whole(test::normal_text(), test::stored_options(), test::watchful(), other.path);
  whole.trainer.run();
  WatchedRun again(test::normal_text(), test::stored_options());
  CHECK_THAT(message_of<UsageError>(
                 [&] { (void)train::replay(again.trainer, other.path + "/checkpoints", 1'000'000); }),
             ContainsSubstring("replay: step is 1000000; the run has 90 steps"));
}
