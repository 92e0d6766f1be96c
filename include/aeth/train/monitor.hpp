/// Looks after a training run: finds trouble before a batch is applied, decides what becomes of it, and tells what is wrong.
///
/// Nothing here knows a model: observations go in, decisions and events come out. All that a decision depends on is in
/// `state_text()`, which checkpoints hold; so a resumed run decides as an uninterrupted one, bit for bit.
#pragma once

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/monitor_state.hpp"
#include "aeth/train/detail/numbers.hpp"
#include "aeth/train/diagnose_health.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/monitor_options.hpp"
#include "aeth/train/observation.hpp"

namespace aeth::train {

/// What is to become of a batch.
struct Decision {
  Action action = Action::none;
  std::string message{};  ///< of the event; empty if there was none
};

/// What a trainer's `monitor` points to. One run at a time.
class Monitor {
 public:
  /// errors   UsageError that names the option
  [[gnu::cold]] explicit Monitor(MonitorOptions const& options = {})
      : options_((validate(options), options)), state_(options_) {}

  /// Gets each event, from the training thread; usually an EventLog.
  std::function<void(Event const&)> record{};
  /// Gets each measurement of `MonitorOptions::health_every`.
  std::function<void(Health const&)> health{};

  [[nodiscard]] MonitorOptions const& options() const { return options_; }

  /// Whether a rollback has ruled out a batch.
  [[nodiscard]] bool is_listed(BatchId const& batch) const { return contains(state_.listed, batch); }
  /// Whether checkpoints must be there to go back to.
  [[nodiscard]] bool may_roll_back() const {
    for (Policy const p :
         {options_.empty_batch, options_.non_finite, options_.loss_spike, options_.gradient_spike})
      if (p == Policy::roll_back) return true;
    return false;
  }
  /// Whether a step ends with a measurement.
  [[nodiscard]] bool wants_health(Index step) const {
    return options_.health_every > 0 && step % options_.health_every == 0;
  }
  /// The newest checkpoint that knows none of the batches that a rollback rules out is of this step or before.
  [[nodiscard]] Index last_good_step(Index step) const {
    return max(step - options_.rollback_batches, Index{0});
  }
  /// Whether a checkpoint has seen a batch that was ruled out after it was made: by its monitor's state text, and the first
  /// batch after it. A text that cannot be read counts as one that has.
  [[nodiscard, gnu::cold]] bool is_abandoned(std::string_view state, BatchId const& next) const {
    State then(options_);
    if (!read(state, then)) return true;
    for (BatchId const& batch : state_.listed) {
      bool const seen = batch.epoch < next.epoch || (batch.epoch == next.epoch && batch.row < next.row);
      if (seen && !contains(then.listed, batch)) return true;
    }
    return false;
  }
  /// The events up to here are on record for a run that stands at `step`: more than that after a rollback.
  [[nodiscard]] Index recorded_until(Index step) const { return max(step, state_.recorded_until); }
  [[nodiscard]] Index rollbacks() const { return state_.rollbacks; }
  /// Gradient norms of the tensors, smoothed over the measurements; empty before the first.
  [[nodiscard]] std::vector<double> const& usual_norms() const { return state_.norms; }

  /// Whether the batch is trouble. Changes nothing.
  [[nodiscard]] std::optional<Finding> judge(StepObservation const& step) const {
    double const loss = step.loss.main, norm = step.gradient_norm;
    if (step.loss.targets == 0)
      return Finding{Diagnosis::empty_batch, "no token of the batch has a next one to predict"};
    if (!std::isfinite(loss) || !std::isfinite(step.loss.mtp))
      return Finding{Diagnosis::non_finite_loss,
                     text("loss ", loss, ", of multi-token prediction ", step.loss.mtp)};
    if (!std::isfinite(norm)) return Finding{Diagnosis::non_finite_gradient, text("gradient norm ", norm)};
    if (loss > state_.loss.limit())
      return Finding{Diagnosis::loss_spike,
                     text("loss ", fixed(loss, 3), ", usual are ", fixed(state_.loss.middle(), 3))};
    if (std::log(norm) > state_.gradient.limit())
      return Finding{Diagnosis::gradient_spike, text("gradient norm ", scientific(norm, 2), ", usual are ",
                                                     scientific(std::exp(state_.gradient.middle()), 2))};
    return std::nullopt;
  }

  /// Decides what becomes of a batch that is trouble, and records it.
  [[gnu::cold]] Decision decide(StepObservation const& step, Finding finding) {
    Action action = action_of(policy_for(finding.diagnosis));
    std::string_view setting{};
    if (action == Action::skipped && ++state_.skips > options_.max_skips) {
      action = Action::stopped, setting = "MonitorOptions::max_skips";
      finding.seen += text("; ", state_.skips, " batches in a row would not be applied");
    }
    if (action == Action::rolled_back && state_.rollbacks >= options_.max_rollbacks) {
      action = Action::stopped, setting = "MonitorOptions::max_rollbacks";
      finding.seen += text(" after ", state_.rollbacks, " rollbacks");
    }
    if (action == Action::rolled_back)
      finding.seen += text("; back to a checkpoint of step ", last_good_step(step.step),
                           " or before, and from there past the batches ",
                           max(step.step - options_.rollback_batches, Index{0}) + 1, " to ", step.step);
    Event event = event_of(step, finding);
    event.action = action;
    if (action == Action::stopped) event.severity = Severity::error;
    if (!setting.empty()) event.setting = setting;
    tell(event);
    return {action, std::move(event.message)};
  }

  /// A step that was applied: it belongs to the past that later ones are compared with.
  void applied(StepObservation const& step, RunFacts const& facts) {
    state_.skips = 0;
    state_.loss.add(step.loss.main);
    state_.gradient.add(std::log(max(step.gradient_norm, 1e-300)));
    state_.largest_rate = max(state_.largest_rate, step.rate);
    Findings findings;
    state_.losses.observe(step, facts, findings);
    state_.routing.observe(step, facts, findings);
    remember(step);
    tell(step, findings);
  }
  /// A batch that was not applied, for whatever reason.
  void passed_over(StepObservation const& step) { remember(step); }

  /// A measurement of a step that was applied.
  void measured(StepObservation const& step, Health health_of_step) {
    health_of_step.dead_experts = state_.routing.dead_experts();
    if (state_.largest_rate > 0.0) health_of_step.rate_share = step.rate / state_.largest_rate;
    health_of_step.max_violation = state_.routing.mean_violation();
    state_.norms.resize(health_of_step.tensors.size(), 0.0);
    for (std::size_t i = 0; i < state_.norms.size(); ++i) {
      double& usual = state_.norms[i];
      double const now = health_of_step.tensors[i].gradient_norm;
      usual = usual > 0.0 ? usual + 0.2 * (now - usual) : now;
    }
    Findings findings;
    diagnose(health_of_step, findings);
    tell(step, findings);
    if (health) health(health_of_step);
  }

  /// A validation after a step, in nats per token.
  void validated(Index step, double loss) {
    Findings findings;
    state_.losses.validated(loss, findings);
    tell(at(step), findings);
  }

  /// How long a step took.
  void timed(Index step, double seconds) {
    Findings findings;
    state_.speed.observe(seconds, findings);
    tell(at(step), findings);
  }

  /// Keeps what belongs to the run and not to the checkpoint that it has gone back to: `before` is the monitor's state text
  /// when the trouble came, at `step`.
  ///
  /// errors   as restore()
  [[gnu::cold]] void went_back(std::string_view before, Index step) {
    State const old = parsed(before, "the monitor's state");
    state_.listed = old.listed;
    for (Index i = 0; i < static_cast<Index>(old.recent.size()); ++i)
      if (i + options_.rollback_batches >= static_cast<Index>(old.recent.size()))
        state_.listed.push_back(old.recent[to_size(i)]);
    state_.rollbacks = old.rollbacks + 1;
    state_.recorded_until = max(step, old.recorded_until);
  }

  /// All that later decisions depend on.
  [[nodiscard]] std::string state_text() const {
    detail::NumberWriter writer;
    State copy = state_;
    copy.for_each_number(writer);
    return writer.text();
  }
  /// Goes on from a state text. Errors: IoError that begins with `where` if it is none; nothing has changed then.
  void restore(std::string_view state, std::string_view where) { state_ = parsed(state, where); }
  /// Whether restore() would accept a text. Errors: as restore().
  void check(std::string_view state, std::string_view where) const { (void)parsed(state, where); }

 private:
  using State = detail::MonitorState;

  [[nodiscard]] static bool contains(std::vector<BatchId> const& all, BatchId const& batch) {
    for (BatchId const& one : all)
      if (one == batch) return true;
    return false;
  }

  /// Whether a text is a state that these options can go on from.
  [[nodiscard]] static bool read(std::string_view state, State& to) {
    detail::NumberReader reader(state);
    to.for_each_number(reader);
    return reader.is_complete() && to.is_sound();
  }
  [[nodiscard]] State parsed(std::string_view state, std::string_view where) const {
    State result(options_);
    expect<IoError>(
        read(state, result), where,
        ": the state of the monitor is damaged, or of other MonitorOptions: window, loss.window or "
        "gradient.window; use the same");
    return result;
  }

  [[nodiscard]] Policy policy_for(Diagnosis diagnosis) const {
    switch (diagnosis) {
      case Diagnosis::empty_batch:
        return options_.empty_batch;
      case Diagnosis::loss_spike:
        return options_.loss_spike;
      case Diagnosis::gradient_spike:
        return options_.gradient_spike;
      default:
        return options_.non_finite;
    }
  }
  [[nodiscard]] static Action action_of(Policy policy) {
    return policy == Policy::skip        ? Action::skipped
           : policy == Policy::roll_back ? Action::rolled_back
           : policy == Policy::stop      ? Action::stopped
                                         : Action::none;
  }

  [[nodiscard]] static Event event_of(StepObservation const& step, Finding const& finding) {
    DiagnosisText const& known = text_of(finding.diagnosis);
    return {.step = step.step,
            .kind = std::string(known.id),
            .severity = known.severity,
            .action = Action::none,
            .message = text(finding.seen, ": ", known.why),
            .setting = std::string(known.setting),
            .culprit = finding.culprit,
            .batch = step.batch};
  }

  /// Each diagnosis once, until it has not held for a while.
  void tell(StepObservation const& step, Findings const& findings) {
    for (Finding const& finding : findings) {
      Index& last = state_.last_seen[static_cast<std::size_t>(finding.diagnosis)];
      bool const lasts = last >= 0 && step.step - last <= max(options_.window, 2 * options_.health_every);
      last = step.step;
      if (!lasts) tell(event_of(step, finding));
    }
  }
  /// After a rollback nothing is told again that was told before it.
  void tell(Event const& event) const {
    if (record && event.step > state_.recorded_until) record(event);
  }

  void remember(StepObservation const& step) {
    state_.recent.push_back(step.batch);
    if (static_cast<Index>(state_.recent.size()) > options_.rollback_batches)
      state_.recent.erase(state_.recent.begin());
  }
  /// For what is seen after a step and belongs to its batch.
  [[nodiscard]] StepObservation at(Index step) const {
    return {.step = step, .batch = state_.recent.empty() ? BatchId{} : state_.recent.back()};
  }

  MonitorOptions options_;
  State state_;
};

}  // namespace aeth::train
