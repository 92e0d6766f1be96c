#include "aeth/io/background_writer.hpp"

#include <atomic>
#include <latch>

#include "aeth/io/generations.hpp"
#include "support/catch.hpp"
#include "support/saved_state.hpp"
#include "support/simulated_disk.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using Catch::Matchers::ContainsSubstring;
using test::Fault, test::SavedState, test::SimulatedDisk;

namespace {

/// A disk whose flushes wait while it is held.
class SlowDisk : public SimulatedDisk {
 public:
  void hold() {
    std::lock_guard const lock(mutex_);
    held_ = true;
  }
  void release() {
    {
      std::lock_guard const lock(mutex_);
      held_ = false;
    }
    changed_.notify_all();
  }
  int flush(int file) noexcept override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !held_; });
    }
    return SimulatedDisk::flush(file);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
};

std::string message_of(io::SaveOutcome const& outcome) {
  return test::message_of<Error>([&] {
    if (outcome.error) std::rethrow_exception(outcome.error);
  });
}

}  // namespace

TEST_CASE("what is saved is the state at the call, whatever becomes of it meanwhile", "[io][background]") {
  SlowDisk disk;
  io::GenerationWriter writer("run", {}, disk);
  io::BackgroundWriter background(writer);
  for (std::uint64_t step = 1; step <= 3; ++step) {
    SavedState state(step, 1000);
    disk.hold();
    CHECK(background.save(state.content()));
    for (float& w : state.weights) w = -1;
    for (double& m : state.moments) m = -1;
    CHECK(background.take_outcomes().empty());
    disk.release();
    background.wait();
    auto const outcomes = background.take_outcomes();
    REQUIRE(outcomes.size() == 1);
    CHECK(outcomes[0].step == step);
    CHECK(message_of(outcomes[0]) == "no error");
    CHECK(outcomes[0].written.path == text("run/step-00000000", step));
    CHECK(test::clean_step("run", disk) == step);
  }
}

TEST_CASE("a save while another is under way waits or is left out", "[io][background]") {
  SlowDisk disk;
  io::GenerationWriter writer("run", {}, disk);
  io::BackgroundWriter background(writer);
  SavedState const first(1), second(2), third(3);
  disk.hold();
  CHECK(background.save(first.content()));
  CHECK_FALSE(background.save(second.content(), io::WhenBusy::skip));
  std::thread helper([&] { disk.release(); });
  CHECK(background.save(third.content(), io::WhenBusy::wait));
  helper.join();
  background.wait();
  CHECK(test::clean_step("run", disk) == 3);
  auto const outcomes = background.take_outcomes();
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[0].step == 1);
  CHECK(outcomes[1].step == 3);
  CHECK(background.save(second.content(), io::WhenBusy::skip));
}

TEST_CASE("errors of the thread come back once, in order, and the next save is fine", "[io][background]") {
  SimulatedDisk disk;
  io::GenerationWriter writer("run", {}, disk);
  io::BackgroundWriter background(writer);
  SavedState const good(1), bad(2), odd(3);
  CHECK(background.save(good.content()));
  background.wait();
  disk.plan(Fault::all_errors, 5, ENOSPC);
  CHECK(background.save(bad.content()));
  background.wait();
  disk.plan(Fault::none, 0);
  auto content = odd.content();
  content.notes["n"] = "\xFF";
  CHECK(background.save(content));
  background.wait();
  auto const outcomes = background.take_outcomes();
  REQUIRE(outcomes.size() == 3);
  CHECK(message_of(outcomes[0]) == "no error");
  CHECK_THAT(message_of(outcomes[1]),
             ContainsSubstring("run/step-000000002") && ContainsSubstring("free some space"));
  CHECK_THAT(message_of(outcomes[2]), ContainsSubstring("UTF-8"));
  CHECK(background.take_outcomes().empty());
  CHECK(test::clean_step("run", disk) == 1);
  SavedState const next(4);
  CHECK(background.save(next.content()));
  background.wait();
  CHECK(test::clean_step("run", disk) == 4);
}

TEST_CASE("what is under way is written before the end", "[io][background]") {
  test::TemporaryFolder const folder;
  io::GenerationWriter writer(folder.path);
  SavedState const state(5, 50'000);
  { CHECK(io::BackgroundWriter(writer).save(state.content())); }
  CHECK(test::clean_step(folder.path) == 5);
  { io::BackgroundWriter const idle(writer); }
  { io::BackgroundWriter(writer).reserve(state.content()); }
}

TEST_CASE("states of growing and shrinking size, and empty ones", "[io][background]") {
  SimulatedDisk disk;
  io::GenerationWriter writer("run", {}, disk);
  io::BackgroundWriter background(writer);
  std::uint64_t step = 0;
  for (std::size_t const size : {0u, 1u, 1000u, 10u, 5000u}) {
    SavedState const state(++step, size);
    CHECK(background.save(state.content()));
    background.wait();
    CHECK(test::clean_step("run", disk) == step);
  }
}
