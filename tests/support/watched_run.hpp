/// A tiny run under a monitor, and what that has to say.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "aeth/train/monitor.hpp"
#include "support/bad_text.hpp"
#include "support/catch.hpp"
#include "support/small_text.hpp"
#include "support/tiny_run.hpp"

namespace aeth::test {

inline train::MonitorOptions watchful() {
  train::MonitorOptions o;
  o.window = 25;
  o.health_every = 10;
  o.slow = 0.0;  // tests share their machine
  // The loss of these runs falls so fast that a long past would hide spikes.
  o.loss = {.window = 20, .warmup = 10, .deviations = 6, .least = 1.0};
  o.gradient = {.window = 20, .warmup = 10, .deviations = 8, .least = 2.5};
  return o;
}

template <class Optimizer = optim::AdamW>
struct WatchedRun : TinyRun<Optimizer> {
  std::vector<train::Event> events;
  train::Monitor monitor;

  /// The text must outlive it.
  WatchedRun(SmallText const& text, train::TrainerOptions options,
             train::MonitorOptions const& watch = watchful(), int threads = 2,
             Optimizer const& optimizer = Optimizer())
      : TinyRun<Optimizer>(text, options, threads, optimizer), monitor(watch) {
    monitor.record = [this](train::Event const& event) { events.push_back(event); };
    this->trainer.monitor = &monitor;
  }

  /// The first event of a kind, or null.
  [[nodiscard]] train::Event const* find(std::string const& kind) const {
    auto const found =
        std::find_if(events.begin(), events.end(), [&](train::Event const& e) { return e.kind == kind; });
    return found == events.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::string kinds() const {
    std::string all;
    for (train::Event const& e : events) all += text(e.kind, ' ');
    return all;
  }
};

/// The options of a run in which diagnoses are looked for.
inline train::TrainerOptions watched_options(Index steps = 80) {
  train::TrainerOptions o = tiny_options();
  o.steps = steps;
  o.validate_every = 10;
  return o;
}

inline SmallText const& normal_text() {
  static SmallText const text = small_text(1);
  return text;
}

/// A run that is told of `kind`, with that setting, and goes on to its end.
template <class Run>
void check_named(Run& run, std::string const& kind, std::string const& setting) {
  run.trainer.run();
  INFO("wanted " << kind << ", told of " << run.kinds());
  train::Event const* const event = run.find(kind);
  REQUIRE(event != nullptr);
  CHECK(event->setting == setting);
  CHECK(event->action == train::Action::none);
  CHECK(event->step >= 1);
  CHECK(event->message.find('\n') == std::string::npos);
  CHECK(run.trainer.state().step == run.trainer.options().steps);
  CHECK(run.trainer.state().skipped == 0);
}

/// The same for options that are changed.
template <class Change>
void check_options(Change const& change, std::string const& kind, std::string const& setting,
                   train::MonitorOptions const& watch = watchful()) {
  train::TrainerOptions o = watched_options();
  change(o);
  WatchedRun run(normal_text(), o, watch);
  check_named(run, kind, setting);
}

}  // namespace aeth::test
