// Saving while training: what is saved is the state of its step, errors stop the run or do not, and a resumed run is the
// run. Rows 41 and 48 of the fault table.
#include "aeth/train/saver.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/simulated_disk.hpp"
#include "support/small_text.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_run.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::SimulatedDisk, test::Fault, test::SmallText, test::small_text, test::TinyRun, test::same,
    test::message_of;

namespace {

train::TrainerOptions saving_every(Index steps) {
  train::TrainerOptions o = test::tiny_options();
  o.save_every = steps;
  return o;
}

/// A run that saves on a simulated disk.
struct SavingRun : TinyRun<> {
  std::vector<std::string> notices;
  io::GenerationWriter writer;
  train::Saver<test::TinyModel, optim::AdamW> saver;

  SavingRun(SmallText const& text, train::TrainerOptions const& options, io::FileSystem& disk,
            train::SaveOptions save = {}, io::KeepOptions const& keep = {}, int threads = 2)
      : TinyRun(text, options, threads),
        writer("run", keep, disk),
        saver(trainer, writer,
              (
                  save.notice = [this](std::string const& n) { notices.push_back(n); }, save)) {
    trainer.save = std::ref(saver);
  }
};

/// A state that is saved at this moment is on the disk when the call returns: a fault planned afterwards meets the next one.
constexpr train::SaveMoment wait_for_disk = train::SaveMoment::last;

std::string steps_on(SimulatedDisk& disk) {
  std::vector<std::string> names;
  REQUIRE(disk.list("run", names) == 0);
  std::string steps;
  for (std::string const& name : names)
    if (auto const step = io::detail::step_of(name)) steps += text(*step, ' ');
  return steps;
}

}  // namespace

TEST_CASE("saver: in the background or not, any checkpoint resumes to the end of the uninterrupted run") {
  SmallText const text = small_text(1);
  TinyRun whole(text, saving_every(0));
  whole.trainer.run();
  auto const expected = whole.outcome();
  for (bool const background : {true, false}) {
    SimulatedDisk disk;
    {
      SavingRun run(text, saving_every(3), disk, {.background = background}, {.last = 100});
      run.trainer.run();
      CHECK(run.notices.empty());
      CHECK(same(run.outcome().weights, expected.weights));
    }
    CHECK(steps_on(disk) == "3 6 9 12 15 18 21 24 ");
    for (int taken_away = 0; taken_away < 7; ++taken_away) {
      INFO("background " << background << ", " << taken_away << " taken away");
      auto const rest = disk.clone();
      for (int i = 0; i < taken_away; ++i) {
        std::string const name = io::detail::generation_name(static_cast<std::uint64_t>(24 - 3 * i));
        (void)rest->rename(("run/" + name).c_str(), ("run/gone" + name).c_str());
      }
      (void)rest->remove_file("run/latest");
      SavingRun run(text, saving_every(3), *rest, {.background = background}, {}, 1 + taken_away % 3);
      CHECK(run.saver.resume().size() == 2);  // latest is missing; using …
      CHECK(run.trainer.state().step == 24 - 3 * taken_away);
      run.trainer.run();
      auto const resumed = run.outcome();
      CHECK(same(resumed.weights, expected.weights));
      CHECK(same(resumed.first, expected.first));
      CHECK(same(resumed.second, expected.second));
      CHECK(same(resumed.biases, expected.biases));
      CHECK(resumed.losses ==
            std::vector<double>(expected.losses.end() - 3 * taken_away, expected.losses.end()));
    }
  }
}

TEST_CASE("saver: a state that is on the disk is not written again") {
  SmallText const text = small_text(1);
  SimulatedDisk disk;
  std::atomic<bool> stop{false};
  train::TrainerOptions options = saving_every(3);
  options.stop = &stop;
  {
    SavingRun run(text, options, disk);
    run.trainer.save = [&](train::SaveMoment moment) {
      run.saver(moment);
      if (run.trainer.state().step == 6) stop = true;  // just after the save of that step
    };
    run.trainer.run();
    CHECK(steps_on(disk) == "3 6 ");
  }
  SavingRun run(text, options, disk);
  CHECK(run.saver.resume().empty());
  run.trainer.run();  // stops at once
  CHECK(steps_on(disk) == "3 6 ");
}

TEST_CASE("saver: the score of a state is its own validation's, and the best are kept") {
  SmallText const text = small_text(1);
  SimulatedDisk disk;
  train::TrainerOptions options = saving_every(5);
  options.validate_every = 10;
  SavingRun run(text, options, disk, {}, {.last = 1, .best = 1});
  run.trainer.run();
  CHECK(steps_on(disk) == "20 24 ");  // 5 and 15 were not validated, 10 was worse
  auto const manifest = io::newest_generation("run", {}, disk).manifest();
  CHECK(!manifest.score.has_value());
  CHECK(manifest.notes.at("validated_step") == "20");
}

TEST_CASE("saver, row 41: an error stops the run at the next step, or the run goes on with a message") {
  SmallText const text = small_text(1);
  for (bool const background : {true, false}) {
    INFO("background " << background);
    SimulatedDisk disk;
    {
      SavingRun run(text, saving_every(4), disk, {.background = background});
      auto const inner = run.trainer.save;
      run.trainer.save = [&](train::SaveMoment moment) {
        if (run.trainer.state().step == 8) disk.plan(Fault::all_errors, 10, ENOSPC);
        inner(run.trainer.state().step == 4 ? wait_for_disk : moment);
      };
      std::string const message = message_of<IoError>([&] { run.trainer.run(); });
      CHECK_THAT(message, ContainsSubstring("run/step-000000008") && ContainsSubstring("free some space"));
      CHECK(run.trainer.state().step >= 8);
      CHECK(run.trainer.state().step <= 12);
    }
    disk.plan(Fault::none, 0);
    CHECK(steps_on(disk) == "4 ");
    SavingRun run(text, saving_every(4), disk,
                  {.background = background, .on_error = train::OnSaveError::go_on});
    CHECK(run.saver.resume().empty());
    auto const inner = run.trainer.save;
    run.trainer.save = [&](train::SaveMoment moment) {
      if (run.trainer.state().step == 8) disk.plan(Fault::all_errors, 10, ENOSPC);
      inner(moment);
      if (run.trainer.state().step != 18) return;
      while (run.notices.size() < 3)
        inner(train::SaveMoment::between);  // the save of step 16 has failed then
      disk.plan(Fault::none, 0);
    };
    run.trainer.run();
    CHECK(steps_on(disk) == "20 24 ");
    REQUIRE(run.notices.size() == 3);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK_THAT(run.notices[i], ContainsSubstring(aeth::text("step ", 8 + 4 * i, " is not saved: ")) &&
                                     ContainsSubstring("free some space") &&
                                     ContainsSubstring("Training goes on; earlier checkpoints are intact"));
  }
}

TEST_CASE("saver, row 41: the last state must be saved, whatever the policy") {
  SmallText const text = small_text(1);
  SimulatedDisk disk;
  SavingRun run(text, saving_every(20), disk, {.on_error = train::OnSaveError::go_on});
  bool full = true;
  auto const inner = run.trainer.save;
  run.trainer.save = [&](train::SaveMoment moment) {
    if (full && run.trainer.state().step == 24) disk.plan(Fault::all_errors, 10, EDQUOT);
    inner(run.trainer.state().step == 20 ? wait_for_disk : moment);
  };
  CHECK_THAT(message_of<IoError>([&] { run.trainer.run(); }), ContainsSubstring("run/step-000000024"));
  disk.plan(Fault::none, 0);
  full = false;
  CHECK(steps_on(disk) == "20 ");
  run.trainer.run();  // the state is still there: with space, it is saved
  CHECK(steps_on(disk) == "20 24 ");
}

TEST_CASE("saver: a run that ends by an exception has written what was under way") {
  SmallText const text = small_text(1);
  SimulatedDisk disk;
  {
    SavingRun run(text, saving_every(4), disk);
    auto const inner = run.trainer.save;
    run.trainer.save = [&](train::SaveMoment moment) {
      inner(moment);
      if (run.trainer.state().step == 4) throw DataError("something else");
    };
    CHECK_THROWS_AS(run.trainer.run(), DataError);
  }
  CHECK(steps_on(disk) == "4 ");
}

TEST_CASE("saver, row 44: two trainers on one folder") {
  SmallText const text = small_text(1);
  SimulatedDisk disk;
  SavingRun const run(text, saving_every(4), disk);
  CHECK_THAT(message_of<UsageError>([&] { SavingRun const second(text, saving_every(4), disk); }),
             ContainsSubstring("'run' is in use by this process"));
}
