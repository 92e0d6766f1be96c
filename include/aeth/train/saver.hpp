/// Saves a trainer's states while it trains, in the background. Needs nlohmann-json.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/io/background_writer.hpp"
#include "aeth/io/generation_writer.hpp"
#include "aeth/train/checkpoint.hpp"
#include "aeth/train/trainer.hpp"

namespace aeth::train {

/// What happens when a state could not be saved, for want of space or any other reason. Those before it are intact.
enum class OnSaveError {
  stop,   ///< the run ends with the error
  go_on,  ///< the run goes on and says so; the next save tries again. Only the last state's error ends it.
};

struct SaveOptions {
  bool background = true;  ///< copy and go on; false = no copy, training waits for the disk
  io::WhenBusy when_busy = io::WhenBusy::wait;
  OnSaveError on_error = OnSaveError::stop;
  std::function<void(std::string const&)>
      notice{};  ///< gets what the user should know, from the training thread
};

/// What a trainer's `save` is to be: `trainer.save = std::ref(saver)`.
///
/// memory   with `background` a copy of weights, biases and moments, taken when it is made
template <class Model, class Optimizer>
class Saver {
 public:
  /// Both must outlive it.
  [[gnu::cold]] Saver(Trainer<Model, Optimizer>& trainer, io::GenerationWriter& writer,
                      SaveOptions options = {})
      : trainer_(trainer), writer_(writer), options_(std::move(options)) {
    if (!options_.background) return;
    background_.emplace(writer);
    background_->reserve(checkpoint_content(trainer));
  }

  /// Continues from the newest good checkpoint of the writer's folder. Result and errors: as train::resume().
  std::vector<std::string> resume() {
    auto notices = train::resume(trainer_, writer_.newest());
    saved_step_ = trainer_.state().step;
    return notices;
  }

  /// Goes back to the newest good checkpoint of at most that step that no earlier rollback has left behind:
  /// `trainer.roll_back = [&](Index step) { saver.roll_back(step); }`.
  ///
  /// errors   IoError if there is none, and as resume()
  [[gnu::cold]] void roll_back(Index at_most) {
    if (background_) background_->wait();
    settle(options_.on_error);
    io::Generation const checkpoint = newest_of(at_most);
    for (std::string const& notice : train::resume(trainer_, checkpoint)) tell(notice);
    saved_step_ = trainer_.state().step;
  }

  /// Called by the trainer. A state that is saved already is not saved again.
  ///
  /// errors   IoError and others of io::GenerationWriter::write(), of this save or an earlier one, as options say
  void operator()(SaveMoment moment) {
    if (moment == SaveMoment::last && background_) background_->wait();
    settle(options_.on_error);
    if (moment == SaveMoment::between || saved_step_ == trainer_.state().step) return;
    save();
    if (moment == SaveMoment::last && background_) background_->wait();
    settle(moment == SaveMoment::last ? OnSaveError::stop : options_.on_error);
  }

 private:
  [[nodiscard, gnu::cold]] io::Generation newest_of(Index at_most) {
    try {
      return writer_.newest([&](io::Manifest const& manifest) {
        return detail::is_way_back(trainer_.monitor, manifest, static_cast<std::uint64_t>(at_most));
      });
    } catch (IoError const& error) {
      throw IoError(text("rollback: no good checkpoint of step ", at_most,
                         " or before is left. Resume with MonitorOptions that skip or go on, or with fewer "
                         "rollback_batches. ",
                         error.what()));
    }
  }

  void save() {
    Index const step = trainer_.state().step;
    io::GenerationContent const content = checkpoint_content(trainer_);
    if (background_) {
      if (background_->save(content, options_.when_busy))
        saved_step_ = step;
      else
        tell(text("step ", step, " is not saved: the state before it is still being written"));
      return;
    }
    io::SaveOutcome outcome{content.step, {}, {}};
    try {
      outcome.written = writer_.write(content);
      saved_step_ = step;
    } catch (...) {
      outcome.error = std::current_exception();
    }
    outcomes_.push_back(std::move(outcome));
  }

  /// Deals with what became of the states that were handed over.
  void settle(OnSaveError on_error) {
    if (background_)
      for (io::SaveOutcome& outcome : background_->take_outcomes()) outcomes_.push_back(std::move(outcome));
    std::vector<io::SaveOutcome> const outcomes = std::exchange(outcomes_, {});
    for (io::SaveOutcome const& outcome : outcomes) {
      for (std::string const& notice : outcome.written.notices) tell(notice);
      if (!outcome.error) continue;
      if (saved_step_ == static_cast<Index>(outcome.step)) saved_step_ = none;
      try {
        std::rethrow_exception(outcome.error);
      } catch (std::exception const& error) {
        if (on_error == OnSaveError::stop) throw;
        tell(text("step ", outcome.step, " is not saved: ", error.what(),
                  ". Training goes on; earlier checkpoints are intact, the next save tries again"));
      }
    }
  }

  void tell(std::string const& notice) const {
    if (options_.notice) options_.notice(notice);
  }

  static constexpr Index none = -1;

  Trainer<Model, Optimizer>& trainer_;
  io::GenerationWriter& writer_;
  SaveOptions options_;
  std::optional<io::BackgroundWriter> background_;
  std::vector<io::SaveOutcome> outcomes_;
  Index saved_step_ = none;
};

}  // namespace aeth::train
