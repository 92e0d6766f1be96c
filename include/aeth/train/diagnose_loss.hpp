/// What the course of the losses tells: divergence, standstill, data that do not fit.
#pragma once

#include <cmath>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/train/detail/window.hpp"
#include "aeth/train/diagnosis.hpp"
#include "aeth/train/observation.hpp"

namespace aeth::train {

/// Watches means over a window of steps. Only steps that were applied are shown to it.
class LossDiagnoses {
 public:
  explicit LossDiagnoses(Index window)
      : window_(window), main_(window), mtp_(window), targets_(window), clipped_(window) {}

  void observe(StepObservation const& step, RunFacts const& facts, Findings& findings) {
    main_.add(step.loss.main);
    mtp_.add(step.loss.mtp);
    targets_.add(static_cast<double>(step.loss.targets) / static_cast<double>(facts.batch_tokens));
    clipped_.add(step.gradient_norm / facts.clip);
    if (++steps_ == 1) start_ = best_ = step.loss.main, start_mtp_ = step.loss.mtp;
    if (step.batch.epoch == repeated_epochs && step.batch.row == 0)
      findings.push_back({Diagnosis::repeated_data,
                          text("the training text has been gone through ", repeated_epochs, " times")});
    if (!main_.is_full()) return;
    double const now = main_.mean();
    if (now > best_ + 0.5)
      findings.push_back({Diagnosis::divergence, text("the mean loss of ", window_, " steps is ",
                                                      fixed(now, 2), ", it was ", fixed(best_, 2))});
    best_ = min(best_, now);
    if (steps_ >= 2 * window_ && now > 0.99 * start_ && now < start_ + 0.5)
      findings.push_back(
          {Diagnosis::no_progress, text("the mean loss is ", fixed(now, 3), " after ", steps_,
                                        " steps, it was ", fixed(start_, 3), " at the start")});
    if (steps_ >= 2 * window_ && facts.mtp_depth > 0 && facts.loss.mtp_weight > 0.0 && now < 0.8 * start_ &&
        mtp_.mean() > 0.95 * start_mtp_)
      findings.push_back(
          {Diagnosis::mtp_not_learning,
           text("the loss of multi-token prediction is ", fixed(mtp_.mean(), 3), " and was ",
                fixed(start_mtp_, 3), " at the start, while the main loss fell to ", fixed(now, 3))});
    if (now < 0.02)
      findings.push_back(
          {Diagnosis::trivial_data, text("the mean loss is ", scientific(now, 1), " nats per token")});
    if (targets_.mean() < 0.6)
      findings.push_back({Diagnosis::few_targets, text("only ", fixed(100.0 * targets_.mean(), 0),
                                                       " % of the tokens have a next one to predict")});
    double least = HUGE_VAL;
    for (double const x : clipped_.values()) least = min(least, x);
    if (least > 10.0)
      findings.push_back(
          {Diagnosis::always_clipped, text("the gradient norm was at least ", fixed(least, 0),
                                           " times the bound in each of ", window_, " steps")});
  }

  /// A validation; nats per token.
  void validated(double loss, Findings& findings) {
    ++validations_;
    double const training = main_.values().empty() ? loss : main_.mean();
    if (validations_ == 1 || loss < best_validation_) {
      best_validation_ = loss;
      training_at_best_ = training;
      worse_ = 0;
    } else if (loss > 1.05 * best_validation_) {
      ++worse_;
    }
    if (worse_ >= 3 && training < 0.95 * training_at_best_)
      findings.push_back(
          {Diagnosis::overfitting,
           text("validation has risen from ", fixed(best_validation_, 3), " to ", fixed(loss, 3),
                " nats per token while training fell to ", fixed(training, 3))});
    if (validations_ <= 3 && main_.is_full() && loss > 1.25 * training + 0.5)
      findings.push_back({Diagnosis::unlike_validation,
                          text("validation is at ", fixed(loss, 3), " nats per token and training at ",
                               fixed(training, 3), " so early in the run")});
  }

  template <class Visit>
  void for_each_number(Visit&& visit) {
    for (detail::Window* const w : {&main_, &mtp_, &targets_, &clipped_}) w->for_each_number(visit);
    for (Index* const n : {&steps_, &validations_, &worse_}) visit(*n);
    for (double* const x : {&start_, &start_mtp_, &best_, &best_validation_, &training_at_best_}) visit(*x);
  }
  [[nodiscard]] bool is_sound() const {
    return main_.is_sound() && mtp_.is_sound() && targets_.is_sound() && clipped_.is_sound();
  }

 private:
  static constexpr Index repeated_epochs = 4;

  Index window_;
  detail::Window main_, mtp_, targets_, clipped_;  ///< clipped_: gradient norm over the bound
  Index steps_ = 0, validations_ = 0, worse_ = 0;
  double start_ = 0.0, start_mtp_ = 0.0, best_ = 0.0, best_validation_ = 0.0, training_at_best_ = 0.0;
};

}  // namespace aeth::train
