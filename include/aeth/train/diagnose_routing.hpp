/// What the loads of the experts tell.
///
/// legend   L layers with experts · E experts · K experts per token
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/window.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/observation.hpp"

namespace aeth::train {

/// Watches loads over a window of steps. Only steps that were applied are shown to it.
class RoutingDiagnoses {
 public:
  explicit RoutingDiagnoses(Index window) : window_(window), violation_(window), turns_(window) {}

  void observe(StepObservation const& step, RunFacts const& facts, Findings& findings) {
    if (facts.experts == 0) return;
    std::size_t const size = to_size(step.load.rows * step.load.cols);
    if (idle_.size() != size) idle_.assign(size, 0), deviation_.assign(size, 0.0);
    count_idle(step.load);
    violation_.add(max_violation(step.load));
    turns_.add(turn(step.load));
    if (!violation_.is_full()) return;
    double const expected =
        static_cast<double>(window_ * facts.batch_tokens * facts.top_k) / static_cast<double>(facts.experts);
    if (dead_experts() > 0 && expected >= 100.0)
      findings.push_back(
          {Diagnosis::dead_experts, text(dead_experts(), " of ", size, " experts got no token in ", window_,
                                         " steps, where ", fixed(expected, 0), " each would be even")});
    double const worst = static_cast<double>(facts.experts) / static_cast<double>(facts.top_k) - 1.0,
                 mean = violation_.mean();
    collapsed_ = mean > 0.75 * worst ? collapsed_ + 1 : 0;
    if (collapsed_ >= window_)  // at the start of a run loads are uneven until the biases have moved
      findings.push_back({Diagnosis::expert_collapse,
                          text("the busiest expert of a layer has ", fixed(1.0 + mean, 2),
                               " times the mean load, at most ", fixed(1.0 + worst, 2), " is possible")});
    bool const balanced = facts.bias_rate > 0.0 || facts.loss.balance_weight >= 1e-3;
    if (!balanced && mean > 0.35 * worst)
      findings.push_back(
          {Diagnosis::balancing_off,
           text("the busiest expert of a layer has ", fixed(1.0 + mean, 2),
                " times the mean load, bias_rate is 0 and balance_weight ", facts.loss.balance_weight)});
    if (facts.bias_rate > 0.0 && turns_.mean() < -0.35)
      findings.push_back(
          {Diagnosis::bias_oscillation,
           text("the loads of consecutive steps have a correlation of ", fixed(turns_.mean(), 2),
                ": an expert with too many tokens has too few in the next step")});
  }

  /// Experts of layers that saw tokens, without one in the last window of steps.
  [[nodiscard]] Index dead_experts() const {
    Index count = 0;
    for (Index const steps : idle_) count += steps >= window_ ? 1 : 0;
    return count;
  }
  [[nodiscard]] double mean_violation() const {
    return violation_.values().empty() ? 0.0 : violation_.mean();
  }

  template <class Visit>
  void for_each_number(Visit&& visit) {
    violation_.for_each_number(visit);
    turns_.for_each_number(visit);
    visit(idle_);
    visit(deviation_);
    visit(collapsed_);
  }
  [[nodiscard]] bool is_sound() const {
    return violation_.is_sound() && turns_.is_sound() && idle_.size() == deviation_.size();
  }

 private:
  void count_idle(MatrixView<std::int64_t const> load) {
    for (Index layer = 0; layer < load.rows; ++layer) {
      std::int64_t total = 0;
      for (Index e = 0; e < load.cols; ++e) total += load(layer, e);
      for (Index e = 0; total > 0 && e < load.cols; ++e) {
        Index& steps = idle_[to_size(layer * load.cols + e)];
        steps = load(layer, e) > 0 ? 0 : steps + 1;
      }
    }
  }

  /// Correlation of the loads' deviations from their mean with those of the step before, over all experts.
  double turn(MatrixView<std::int64_t const> load) {
    double product = 0.0, before = 0.0, now = 0.0;
    for (Index layer = 0; layer < load.rows; ++layer) {
      std::int64_t total = 0;
      for (Index e = 0; e < load.cols; ++e) total += load(layer, e);
      for (Index e = 0; e < load.cols; ++e) {
        double& last = deviation_[to_size(layer * load.cols + e)];
        double const x = static_cast<double>(load(layer, e) * load.cols - total);
        product += x * last;
        before += last * last;
        now += x * x;
        last = x;
      }
    }
    return before > 0.0 && now > 0.0 ? product / std::sqrt(before * now) : 0.0;
  }

  Index window_;
  detail::Window violation_, turns_;
  std::vector<Index> idle_;        ///< [L,E] steps since the last token
  Index collapsed_ = 0;            ///< steps in a row
  std::vector<double> deviation_;  ///< [L,E] of the last step, from the mean load, times E
};

}  // namespace aeth::train
