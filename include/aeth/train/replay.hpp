/// Runs a step of a past run again, to look at the batch that an event names. Needs nlohmann-json.
#pragma once

#include <cstdint>
#include <string>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/io/generations.hpp"
#include "aeth/train/checkpoint.hpp"
#include "aeth/train/detail/numbers.hpp"
#include "aeth/train/monitor.hpp"
#include "aeth/train/observation.hpp"
#include "aeth/train/trainer.hpp"

namespace aeth::train {

namespace detail {

/// The newest good one that a run had saved before it came to a step for the first time.
[[nodiscard, gnu::cold]] inline io::Generation checkpoint_before(std::string const& folder, Index step) {
  auto const is_before = [&](io::Manifest const& manifest) {
    Index recorded = 0;
    if (auto const found = manifest.notes.find(recorded_note); found != manifest.notes.end())
      NumberReader{found->second}(recorded);
    return manifest.step < static_cast<std::uint64_t>(step) && recorded < step;
  };
  try {
    return io::newest_generation(folder, {}, io::FileSystem::system(), nullptr, is_before);
  } catch (IoError const& error) {
    throw IoError(text("replay: no checkpoint from before step ", step,
                       " is left; keep more of them (KeepOptions::last) to replay later ones. ",
                       error.what()));
  }
}

}  // namespace detail

/// Goes to the newest checkpoint in `folder` from before the step, trains up to it, and measures its batch: loss, gradient norm
/// and culprit are those of the event. What a rollback has ruled out since is not ruled out here: checkpoints that know of it
/// are passed over. Afterwards the trainer is not to be used; events and saves are not touched.
///
/// trainer  made with the options of the run, its monitor included
/// errors   UsageError for a step below 1 or after TrainerOptions::steps, IoError if no such checkpoint is left, and as
///          resume() and Trainer::step()
template <class Model, class Optimizer>
[[nodiscard, gnu::cold]] Replayed replay(Trainer<Model, Optimizer>& trainer, std::string const& folder,
                                         Index step) {
  expect<UsageError>(step >= 1, "replay: step is ", step, "; the first step of a run is 1");
  Index const planned = trainer.options().steps;
  expect<UsageError>(planned == 0 || step <= planned, "replay: step is ", step, "; the run has ", planned,
                     " steps");
  Monitor* const monitor = trainer.monitor;
  io::Generation const checkpoint = detail::checkpoint_before(folder, step);
  auto const go_to_it = [&] { (void)resume(trainer, checkpoint); };
  trainer.save = {};
  trainer.roll_back = [&](Index at_most) {
    expect<IoError>(static_cast<Index>(checkpoint.step()) <= at_most, checkpoint.path(),
                    ": a rollback to step ", at_most, " lies between it and step ", step,
                    "; keep more checkpoints (KeepOptions::last) to replay such steps");
    go_to_it();
  };
  go_to_it();
  if (monitor) monitor->record = {};
  while (trainer.state().step < step - 1) (void)trainer.step();
  Replayed const result = trainer.look();
  trainer.roll_back = {};  // it refers to what is here
  return result;
}

}  // namespace aeth::train
