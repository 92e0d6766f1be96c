/// The learning rate of a run, also of one whose length the clock decides.
#pragma once

#include "aeth/config/recipe.hpp"
#include "aeth/core/math.hpp"
#include "aeth/optim/schedule.hpp"
#include "aeth/train/options.hpp"

namespace aeth::train {

/// The options' own schedule, or warm-up, constant, decay (WSD). With a time budget the decay begins when its
/// share of the budget is left, and is then fixed in steps: from there on a resumed run repeats an uninterrupted
/// one exactly.
class RunSchedule {
 public:
  explicit RunSchedule(TrainerOptions const& o) : options_(o) {
    if (o.steps > 0) fix(o.steps, o.steps - static_cast<Index>(static_cast<double>(o.steps) * o.decay_share));
  }

  /// Goes on with an end that an earlier part of the run has fixed.
  RunSchedule(TrainerOptions const& o, Index total_steps, Index decay_begin) : RunSchedule(o) {
    if (total_steps > 0) fix(total_steps, decay_begin);
  }

  /// Both 0 until known.
  [[nodiscard]] Index total_steps() const { return total_steps_; }
  [[nodiscard]] Index decay_begin() const { return decay_begin_; }

  [[nodiscard]] double rate(Index step) const {
    return options_.schedule ? options_.schedule->at(step) : schedule_.at(step);
  }

  /// Called before each step with the seconds trained so far; may fix the end of the run.
  void observe(Index steps_done, double seconds) {
    if (total_steps_ > 0) return;
    double const budget = options_.minutes * 60.0, constant = budget * (1.0 - options_.decay_share);
    if (seconds < constant) return;
    double const left = max(budget - seconds, 0.0);
    double const per_step = seconds / static_cast<double>(max(steps_done, Index{1}));
    fix(steps_done + max(static_cast<Index>(left / max(per_step, 1e-9)), Index{1}), steps_done);
  }

 private:
  void fix(Index total_steps, Index decay_begin) {
    total_steps_ = total_steps;
    decay_begin_ = decay_begin;
    Index const warmup = min(options_.warmup_steps, decay_begin);
    schedule_ = optim::warmup_stable_decay_schedule({.peak = options_.learning_rate,
                                                     .floor = options_.learning_rate * options_.final_rate,
                                                     .warmup_steps = warmup,
                                                     .stable_steps = decay_begin - warmup,
                                                     .decay_steps = total_steps - decay_begin,
                                                     .decay = RateShape::linear});
  }

  TrainerOptions options_;
  Index total_steps_ = 0;
  Index decay_begin_ = 0;
  optim::Schedule schedule_ = optim::warmup_stable_decay_schedule({.peak = options_.learning_rate,
                                                                   .floor = options_.learning_rate,
                                                                   .warmup_steps = options_.warmup_steps,
                                                                   .stable_steps = Index{1} << 40,
                                                                   .decay_steps = 0});
};

}  // namespace aeth::train
