/// The training loop: batches in, a trained model out, with everything needed to stop and go on at any step.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aeth/core/arena.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/data/loader.hpp"
#include "aeth/data/packing.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/on_backend.hpp"
#include "aeth/optim/step.hpp"
#include "aeth/train/monitor.hpp"
#include "aeth/train/observation.hpp"
#include "aeth/train/options.hpp"
#include "aeth/train/parameter_ranges.hpp"
#include "aeth/train/run_schedule.hpp"
#include "aeth/train/step.hpp"
#include "aeth/train/trainer_state.hpp"
#include "aeth/train/validation.hpp"
#include "aeth/train/watch.hpp"

namespace aeth::train {

/// Trains a model. One optimizer step: batch → gradients → clip → optimizer → selection biases.
///
/// Optimizer   any `optim::Optimizer`, such as `optim::Sgd` or `optim::Muon`; AdamW with its defaults if none is given
/// memory   beside the model: the optimizer's moments, the activations of `micro_rows` rows, attention's scratch for whole
///          rows in each thread, and for an optimizer that takes matrices whole a few times the largest one
/// errors   UsageError for options, DataError for data, NumericError if loss or gradients are not finite or the monitor
///          ends the run: nothing of that step is applied
template <class Model, class Optimizer = optim::AdamW>
class Trainer {
  using T = typename Model::Master;
  using Moment = typename Model::PrecisionPolicy::Moment;
  static_assert(optim::OptimizerOn<Optimizer, typename Model::Backend, T, Moment>,
                "aeth: Trainer needs an optimizer as optim/concepts.hpp describes it");

 public:
  [[gnu::cold]] Trainer(Model& model, TrainingData const& data, TrainerOptions options,
                        Optimizer optimizer = Optimizer())
      : model_(model),
        options_((validate(options), std::move(options))),
        optimizer_(std::move(optimizer)),
        stepper_(model, options_.micro_rows),
        loader_(data.training, {.rows = rows(), .batch_rows = options_.batch_rows, .seed = options_.seed}),
        validation_(data.validation, rows(options_.length / 2), options_.batch_rows, data.filler),
        bits_per_nat_byte_(data.validation_bytes == 0
                               ? 0.0
                               : static_cast<double>(data.validation.size() - data.validation.documents()) /
                                     static_cast<double>(max(data.validation_bytes, Index{1})) /
                                     std::log(2.0)),
        schedule_(options_),
        first_(model.weights().size),
        second_(Optimizer::moments > 1 ? model.weights().size : 0),
        ranges_(parameter_ranges(model.parameters(), optim::TakesMatrices<Optimizer>)),
        watch_(model) {
    expect<UsageError>(options_.length <= Model::config.max_context, "TrainerOptions::length is ",
                       options_.length, ", the model's max_context is ", Model::config.max_context,
                       "; shorten the sequences");
    expect<DataError>(data.filler >= 0 && data.filler < Model::config.vocab_size, "TrainingData::filler is ",
                      data.filler, "; it must be a token of the model's vocabulary of ",
                      Model::config.vocab_size);
    expect<DataError>(data.validation_bytes >= 0, "TrainingData::validation_bytes is ", data.validation_bytes,
                      "; give the bytes of the validation text, or 0 to have no bits per byte");
    data::check_tokens(data.training, Model::config.vocab_size);
    data::check_tokens(data.validation, Model::config.vocab_size);
    model.enable_gradients();
    state_.position = loader_.position();
  }

  /// Trains until the planned end, the end of the time budget, or a stop request. Calls `save` after each step, and
  /// always before it returns.
  ///
  /// errors   as step(), and what `save` throws; that step has been applied then. UsageError if the monitor may roll back and
  ///          `roll_back` is not set
  void run() {
    model_.prepare();
    if (monitor && monitor->may_roll_back()) {
      require_roll_back();
      if (save) save(SaveMoment::due);  // so that there is something to go back to
    }
    for (;;) {
      schedule_.observe(state_.step, state_.seconds);
      state_.total_steps = schedule_.total_steps();
      state_.decay_begin = schedule_.decay_begin();
      bool const finished = state_.total_steps > 0 && state_.step >= state_.total_steps;
      if (finished || (options_.stop && options_.stop->load())) break;
      auto const begin = std::chrono::steady_clock::now();
      Progress progress = step();
      double const taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      state_.seconds += taken;
      if (monitor && progress.action == Action::none) monitor->timed(state_.step, taken);
      bool const again = progress.action == Action::rolled_back;  // was validated and saved when it was new
      bool const last = state_.total_steps > 0 && state_.step >= state_.total_steps;
      if (!again && !last && options_.validate_every > 0 && state_.step % options_.validate_every == 0) {
        ValidationResult const result = train::validate(stepper_, validation_, options_.validation_batches);
        if (monitor) monitor->validated(state_.step, result.loss());
        state_.bits_per_byte = bits_per_byte(result);
        state_.validated_step = state_.step;
        progress.validated = true;
      }
      report(progress, taken);
      bool const due = !again && !last && options_.save_every > 0 && state_.step % options_.save_every == 0;
      if (save) save(due ? SaveMoment::due : SaveMoment::between);
    }
    if (save) save(SaveMoment::last);
  }

  /// One step: gradients of the next batch, and unless the monitor decides otherwise an update of weights and biases.
  Progress step() {
    BatchId const batch = next_batch();
    Progress progress{.step = state_.step + 1, .rate = schedule_.rate(state_.step)};
    bool const listed = monitor && monitor->is_listed(batch);
    if (listed)
      progress.loss.main = progress.gradient_norm = std::nan("");  // never computed
    else
      measure(progress);
    StepObservation const seen = observation(progress, batch);
    progress.action = listed ? Action::skipped : watch_.decide(monitor, seen);
    if (progress.action == Action::rolled_back) {
      go_back(seen);
      progress.step = state_.step;
      return progress;
    }
    if (progress.action == Action::none) {
      apply(seen);
    } else {
      state_.skipped += 1;
      monitor->passed_over(seen);
    }
    state_.step += 1;
    state_.position = loader_.position();
    return progress;
  }

  /// The next batch's loss and gradients, and where trouble with them would sit; nothing is applied, and the state stays
  /// before that batch though the loader is past it. For train::replay().
  Replayed look() {
    Progress progress{.step = state_.step + 1, .rate = schedule_.rate(state_.step)};
    BatchId const batch = next_batch();
    measure(progress);
    auto const usual = monitor ? monitor->usual_norms() : std::vector<double>{};
    return {progress.step, batch, progress.loss, progress.gradient_norm, watch_.culprit(usual)};
  }

  /// The whole validation set, or the first batches of it.
  [[nodiscard]] ValidationResult validate_now(Index batches = 0) {
    return train::validate(stepper_, validation_, batches);
  }
  /// The validation set itself, from its beginning.
  [[nodiscard]] data::ValidationRows& validation() {
    validation_.rewind();
    return validation_;
  }
  /// Bits per byte of the validation text.
  [[nodiscard]] double bits_per_byte(ValidationResult const& result) const {
    return result.loss() * bits_per_nat_byte_;
  }

  [[nodiscard]] TrainerState const& state() const { return state_; }
  [[nodiscard]] TrainerOptions const& options() const { return options_; }
  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] Stepper<Model>& stepper() { return stepper_; }
  [[nodiscard]] VectorView<Moment> first_moments() { return first_.view(); }
  /// Empty for an optimizer with one moment.
  [[nodiscard]] VectorView<Moment> second_moments() { return second_.view(); }
  [[nodiscard]] Optimizer const& optimizer() const { return optimizer_; }

  /// Whether the data go on at a saved position. Errors: DataError as data::Loader::check().
  void check(data::LoaderPosition const& position) const { loader_.check(position); }

  /// Continues from a saved state; weights, moments and biases are the caller's to restore, before or after.
  ///
  /// errors   UsageError or DataError if the state does not fit options or data; nothing has changed then
  void restore(TrainerState const& state) {
    RunSchedule const schedule(options_, state.total_steps, state.decay_begin);
    loader_.restore(state.position);
    state_ = state;
    schedule_ = schedule;
  }

  /// Saves the state; usually a `train::Saver`.
  std::function<void(SaveMoment)> save{};
  /// Goes back to the newest saved state of at most that step, the monitor's included; usually `train::Saver::roll_back`.
  std::function<void(Index)> roll_back{};
  /// Looks after the run and must outlive the trainer. Without one a loss or gradient norm that is not finite ends it.
  Monitor* monitor = nullptr;

 private:
  /// overlap: half a row for validation, so that no token is predicted from fewer than half a row of its
  /// document.
  [[nodiscard]] data::RowOptions rows(Index overlap = 0) const {
    return {.length = options_.length,
            .lookahead = 1 + Model::config.mtp_depth,
            .isolate = options_.isolate_documents,
            .overlap = overlap};
  }

  BatchId next_batch() {
    loader_.next(batch_);
    auto const after = loader_.position();
    return {static_cast<Index>(after.epoch), after.row - options_.batch_rows};
  }

  /// Gradients of the batch. One without targets has none, which a monitor deals with.
  void measure(Progress& progress) {
    if (monitor && !has_targets(batch_)) return;
    watch_.observe_f8(wants_health(progress.step),
                      [&] { progress.loss = stepper_.gradients(batch_, options_.loss); });
    progress.gradient_norm =
        std::sqrt(model_.backend().sum_of_squares(model_.gradients().data, model_.gradients().size));
    progress.max_violation = max_violation(stepper_.load());
  }

  [[nodiscard]] StepObservation observation(Progress const& p, BatchId const& batch) const {
    return {p.step, batch, p.loss, p.gradient_norm, p.rate, stepper_.load()};
  }

  [[nodiscard]] bool wants_health(Index step) const { return monitor && monitor->wants_health(step); }

  void apply(StepObservation const& seen) {
    bool const measured = wants_health(seen.step);
    if (measured) watch_.before_update();
    update(seen);
    if (options_.bias_rate > 0.0) model_.update_biases(stepper_.load(), options_.bias_rate);
    model_.prepare();
    if (monitor) monitor->applied(seen, facts());
    if (measured) monitor->measured(seen, watch_.measure(seen.step, stepper_));
  }

  [[gnu::cold]] void require_roll_back() const {
    expect<UsageError>(roll_back != nullptr,
                       "training: the monitor is to roll back, and Trainer::roll_back is not set; set it to "
                       "train::Saver::roll_back, or let MonitorOptions skip or stop");
  }

  [[gnu::cold]] void go_back(StepObservation const& seen) {
    require_roll_back();
    monitor->passed_over(seen);
    std::string const run = monitor->state_text();
    double const seconds = state_.seconds;
    roll_back(monitor->last_good_step(seen.step));
    monitor->went_back(run, seen.step);
    state_.seconds = seconds;
    model_.prepare();
  }

  [[nodiscard]] RunFacts facts() const {
    return {.batch_tokens = options_.batch_rows * options_.length,
            .clip = optimizer_.options().clip,
            .bias_rate = Model::config.moe.selection == Selection::bias_corrected ? options_.bias_rate : 0.0,
            .loss = options_.loss,
            .mtp_depth = Model::config.mtp_depth,
            .experts = Model::config.moe.experts,
            .top_k = Model::config.moe.top_k};
  }
  void update(StepObservation const& seen) {
    auto const span = []<class X>(VectorView<X> v) { return std::span<X>(v.data, to_size(v.size)); };
    optim::OptimizerState<T, Moment> state{span(first_.view()), span(second_.view()), state_.updates()};
    optim::apply_step(optim::OnBackend(optimizer_, model_.backend(), scratch_), span(model_.weights()),
                      std::span<T const>(span(model_.gradients())), state,
                      std::span<optim::ParameterRange const>(ranges_), seen.rate, seen.gradient_norm);
  }

  void report(Progress& progress, double taken) {
    progress.total_steps = state_.total_steps;
    progress.bits_per_byte = state_.bits_per_byte;
    progress.seconds = state_.seconds;
    progress.tokens_per_second =
        static_cast<double>(options_.batch_rows * options_.length) / max(taken, 1e-9);
    double const per_step = state_.seconds / static_cast<double>(state_.step);
    progress.seconds_left = state_.total_steps > 0
                                ? per_step * static_cast<double>(state_.total_steps - state_.step)
                                : max(options_.minutes * 60.0 - state_.seconds, 0.0);
    if (options_.report) options_.report(progress);
  }

  Model& model_;
  TrainerOptions options_;
  Optimizer optimizer_;
  Stepper<Model> stepper_;
  data::Loader loader_;
  data::ValidationRows validation_;
  double bits_per_nat_byte_;  ///< bits per byte for a loss of 1 nat per token
  RunSchedule schedule_;
  Buffer<Moment> first_, second_;
  std::vector<optim::ParameterRange> ranges_;
  Arena scratch_;  ///< of an optimizer that takes matrices whole
  TrainerState state_;
  data::Batch batch_;
  Watch<Model> watch_;
};

}  // namespace aeth::train
