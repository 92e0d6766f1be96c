/// A tiny run under a monitor that keeps checkpoints and events in a folder.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "aeth/train/event_log.hpp"
#include "aeth/train/saver.hpp"
#include "support/watched_run.hpp"

namespace aeth::test {

inline train::MonitorOptions with_policy(train::Policy policy) {
  train::MonitorOptions o = watchful();
  o.loss_spike = o.gradient_spike = o.non_finite = policy;
  return o;
}

/// As a program has it: checkpoints and events in a folder, and whatever is there is continued.
struct StoredRun : WatchedRun<> {
  io::GenerationWriter writer;
  train::Saver<TinyModel, optim::AdamW> saver;
  std::optional<train::EventLog> log;

  StoredRun(SmallText const& text, train::TrainerOptions const& options, train::MonitorOptions const& watch,
            std::string const& folder, int threads = 2, io::KeepOptions const& keep = {})
      : WatchedRun(text, options, watch, threads),
        writer(folder + "/checkpoints", keep),
        saver(trainer, writer) {
    trainer.save = std::ref(saver);
    trainer.roll_back = [this](Index step) { saver.roll_back(step); };
    if (writer.has_generations()) saver.resume();
    log.emplace(folder + "/events.jsonl",
                trainer.state().step > 0 ? monitor.recorded_until(trainer.state().step) : -1);
    monitor.record = [this](train::Event const& event) {
      events.push_back(event);
      (*log)(event);
    };
  }
};

inline train::TrainerOptions stored_options() {
  train::TrainerOptions o = watched_options(90);
  o.save_every = 5;
  return o;
}

}  // namespace aeth::test
