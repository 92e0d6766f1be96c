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

#include "aeth/core/buffer.hpp"
#include "aeth/data/loader.hpp"
#include "aeth/data/packing.hpp"
#include "aeth/optim/adamw.hpp"
#include "aeth/optim/on_backend.hpp"
#include "aeth/optim/step.hpp"
#include "aeth/train/options.hpp"
#include "aeth/train/run_schedule.hpp"
#include "aeth/train/step.hpp"
#include "aeth/train/validation.hpp"

namespace aeth::train {

/// What a run is made of beside weights, moments and biases. Restoring it continues the run bit for bit.
struct TrainerState {
  Index step = 0;         ///< optimizer steps done
  Index total_steps = 0;  ///< once the schedule has fixed it
  Index decay_begin = 0;  ///< step from which the learning rate falls, fixed together with total_steps
  double seconds = 0.0;   ///< trained so far
  data::LoaderPosition position{};
  double bits_per_byte = 0.0;  ///< of the last validation; 0 before the first
  Index validated_step = 0;    ///< when that was; 0 before the first
};

/// When a trainer calls its `save`.
enum class SaveMoment {
  between,  ///< after a step whose state need not be saved: an occasion to tell what became of earlier ones
  due,      ///< the state is to be saved, which may go on in the background
  last,     ///< the run ends: the state is to be on the disk when the call returns
};

/// Text to train on and to validate with. The corpora must outlive the trainer.
struct TrainingData {
  data::TokenCorpus const& training;
  data::TokenCorpus const& validation;
  Index validation_bytes =
      0;  ///< of the validation documents, for bits per byte; 0 = bits per byte are reported as 0
  std::int32_t filler = 0;  ///< any valid token id
};

/// Trains a model. One optimizer step: batch → gradients → clip → optimizer → selection biases.
///
/// Optimizer   any `optim::Optimizer`, such as `optim::Sgd`; AdamW with its defaults if none is given
/// memory   beside the model: the optimizer's moments, the activations of `micro_rows` rows, and attention's
///          scratch for whole rows in each thread
/// errors   UsageError for options, DataError for data, NumericError if loss or gradients are not finite:
///          nothing of that step is applied
template <class Model, class Optimizer = optim::AdamW>
class Trainer {
  using T = typename Model::Master;
  using Moment = typename Model::PrecisionPolicy::Moment;
  static_assert(optim::Optimizer<Optimizer, T, Moment>,
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
        second_(Optimizer::moments > 1 ? model.weights().size : 0) {
    expect<UsageError>(options_.length <= Model::config.max_context, "TrainerOptions::length is ",
                       options_.length, ", the model's max_context is ", Model::config.max_context,
                       "; shorten the sequences");
    data::check_tokens(data.training, Model::config.vocab_size);
    data::check_tokens(data.validation, Model::config.vocab_size);
    // Neighbouring tensors with the same decay are updated as one range.
    for (ParameterInfo const& p : model.parameters()) {
      bool const decay = p.kind != nn::ParameterKind::norm;
      if (ranges_.empty() || ranges_.back().decay != decay) ranges_.push_back({p.offset, p.offset, decay});
      ranges_.back().end = p.offset + p.size();
    }
    model.enable_gradients();
  }

  /// Trains until the planned end, the end of the time budget, or a stop request. Calls `save` after each step, and
  /// always before it returns.
  ///
  /// errors   as step(), and what `save` throws; that step has been applied then
  void run() {
    model_.prepare();
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
      bool const last = state_.total_steps > 0 && state_.step >= state_.total_steps;
      if (!last && options_.validate_every > 0 && state_.step % options_.validate_every == 0) {
        state_.bits_per_byte =
            bits_per_byte(train::validate(stepper_, validation_, options_.validation_batches));
        state_.validated_step = state_.step;
        progress.validated = true;
      }
      report(progress, taken);
      bool const due = !last && options_.save_every > 0 && state_.step % options_.save_every == 0;
      if (save) save(due ? SaveMoment::due : SaveMoment::between);
    }
    if (save) save(SaveMoment::last);
  }

  /// One optimizer step on the next batch.
  Progress step() {
    loader_.next(batch_);
    Progress progress;
    progress.loss = stepper_.gradients(batch_, options_.loss);
    progress.gradient_norm =
        std::sqrt(model_.backend().sum_of_squares(model_.gradients().data, model_.gradients().size));
    require_finite(progress);
    progress.rate = schedule_.rate(state_.step);
    update(progress);
    if (options_.bias_rate > 0.0) model_.update_biases(stepper_.load(), options_.bias_rate);
    model_.prepare();
    state_.step += 1;
    state_.position = loader_.position();
    progress.step = state_.step;
    progress.max_violation = max_violation();
    return progress;
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

 private:
  /// overlap: half a row for validation, so that no token is predicted from fewer than half a row of its
  /// document.
  [[nodiscard]] data::RowOptions rows(Index overlap = 0) const {
    return {.length = options_.length,
            .lookahead = 1 + Model::config.mtp_depth,
            .isolate = options_.isolate_documents,
            .overlap = overlap};
  }

  void update(Progress const& progress) {
    auto const span = [](auto v) { return std::span(v.data, to_size(v.size)); };
    optim::OptimizerState<T, Moment> state{span(first_.view()), span(second_.view()), state_.step};
    optim::apply_step(optim::OnBackend(optimizer_, model_.backend()), span(model_.weights()),
                      std::span<T const>(span(model_.gradients())), state,
                      std::span<optim::ParameterRange const>(ranges_), progress.rate, progress.gradient_norm);
  }

  [[gnu::cold]] void require_finite(Progress const& progress) {
    if (std::isfinite(progress.loss.main) && std::isfinite(progress.loss.mtp) &&
        std::isfinite(progress.gradient_norm))
      return;
    std::string culprit = "none, so the loss itself";
    for (ParameterInfo const& p : model_.parameters()) {
      auto const g = model_.gradients().slice(p.offset, p.size());
      if (std::all_of(g.begin(), g.end(), [](T x) { return std::isfinite(x); })) continue;
      culprit = p.name;
      break;
    }
    throw NumericError(text("training: step ", state_.step + 1, " has loss ", progress.loss.main,
                            " and gradient norm ", progress.gradient_norm,
                            "; first tensor with a gradient that is not finite: ", culprit,
                            ". Nothing of this step was applied. Lower TrainerOptions::",
                            options_.schedule ? "schedule" : "learning_rate",
                            " (rate of this step: ", schedule_.rate(state_.step),
                            ") or clip harder, and resume from the last checkpoint"));
  }

  /// Mean over the layers that saw tokens of max_e load_e / mean load - 1.
  [[nodiscard]] double max_violation() const {
    auto const load = stepper_.load();
    double sum = 0.0;
    Index layers = 0;
    for (Index layer = 0; layer < load.rows; ++layer) {
      std::int64_t total = 0, largest = 0;
      for (Index e = 0; e < load.cols; ++e) {
        total += load(layer, e);
        largest = max(largest, load(layer, e));
      }
      if (total == 0) continue;
      sum += static_cast<double>(largest * load.cols) / static_cast<double>(total) - 1.0;
      ++layers;
    }
    return layers > 0 ? sum / static_cast<double>(layers) : 0.0;
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
  TrainerState state_;
  data::Batch batch_;
};

}  // namespace aeth::train
