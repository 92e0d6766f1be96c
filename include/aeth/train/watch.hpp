/// Measures a model for the monitor: where trouble sits, and gradients and updates tensor by tensor.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/core/view.hpp"
#include "aeth/model/f8_statistics.hpp"
#include "aeth/model/model.hpp"
#include "aeth/numeric/f8_statistics.hpp"
#include "aeth/optim/clip.hpp"
#include "aeth/train/event.hpp"
#include "aeth/train/monitor.hpp"
#include "aeth/train/observation.hpp"
#include "aeth/train/step.hpp"

namespace aeth::train {

[[nodiscard]] inline TensorGroup group_of(ParameterInfo const& p) {
  auto const has = [&](char const* part) { return p.name.find(part) != std::string::npos; };
  if (p.kind == nn::ParameterKind::norm) return TensorGroup::norm;
  if (p.kind == nn::ParameterKind::embedding) return TensorGroup::embedding;
  if (p.kind == nn::ParameterKind::router) return TensorGroup::router;
  if (has(".self_attn.")) return TensorGroup::attention;
  if (has(".experts.")) return TensorGroup::experts;
  return has(".mlp.") ? TensorGroup::dense : TensorGroup::head;
}

/// What `Cpu::observe_f8` is.
template <class B>
concept HasF8Observation = requires(B& b, F8Observation* o) {
  { b.observe_f8(o) } -> std::same_as<F8Observation*>;
};

/// Holds nothing but names until the first measurement.
template <class Model>
class Watch {
  using T = typename Model::Master;
  static constexpr bool f8 =
      std::is_same_v<typename Model::Weight, e4m3> && HasF8Observation<typename Model::Backend>;
  static constexpr Index samples = 1024;  ///< of each tensor, spread evenly, from which updates are judged

 public:
  explicit Watch(Model& model) : model_(model) {}

  /// The tensor that trouble is in. Not finite: the first with such a weight; else the last in order with such a gradient,
  /// for backward goes from the last to the first and spoils all that follow. Finite: the one whose gradient norm exceeds
  /// its `usual` one by most; what is usual counts as 0 where it is not known.
  [[nodiscard, gnu::cold]] Culprit culprit(std::vector<double> const& usual) const {
    auto const finite = [](auto const& values) {
      for (T const x : values)
        if (!std::isfinite(x)) return false;
      return true;
    };
    for (ParameterInfo const& p : model_.parameters())
      if (!finite(model_.weights().slice(p.offset, p.size()))) return {p.name};
    Culprit worst;
    double most = 0.0;
    for (std::size_t i = model_.parameters().size(); i-- > 0;) {
      ParameterInfo const& p = model_.parameters()[i];
      if (!finite(gradient(p))) return {p.name};
      double const excess = norm_of(gradient(p)) - (i < usual.size() ? usual[i] : 0.0);
      if (excess > most) most = excess, worst.tensor = p.name;
    }
    return worst;
  }

  /// What becomes of a batch. Without a monitor one whose loss or gradient norm is not finite ends the run.
  ///
  /// errors   NumericError if the run is to end
  Action decide(Monitor* monitor, StepObservation const& seen) const {
    if (!monitor) return require_finite(seen), Action::none;
    auto trouble = monitor->judge(seen);
    if (!trouble) return Action::none;
    if (seen.loss.targets > 0) trouble->culprit = culprit(monitor->usual_norms());
    Decision const decision = monitor->decide(seen, std::move(*trouble));
    expect<NumericError>(decision.action != Action::stopped, "training: step ", seen.step, " has ",
                         decision.message, ". Nothing of this step was applied; the last checkpoint is good");
    return decision.action;
  }

  /// Runs `body`, and if `wanted` counts what becomes of FP8 operands meanwhile. No bit of a result changes; an observation
  /// that the user has given to `Cpu::observe_f8` gets the counts too.
  template <class Body>
  void observe_f8(bool wanted, Body const& body) {
    if constexpr (f8)
      if (wanted) return observed(body);
    body();
  }

  /// Between backward and update.
  void before_update() {
    before_.clear();
    for_each_sample([&](std::size_t, T weight) { before_.push_back(weight); });
  }

  /// After the update of the same step.
  ///
  /// cost     a pass over the gradients; 1,024 weights of each tensor; attention's statistics
  [[nodiscard]] Health measure(Index step, Stepper<Model> const& stepper) {
    auto const& parameters = model_.parameters();
    if (names_.empty())
      for (ParameterInfo const& p : parameters) names_.push_back(p.name), groups_.push_back(group_of(p));
    Health health{.step = step, .names = &names_, .groups = &groups_};
    health.tensors.resize(parameters.size());
    std::vector<double> moved(parameters.size(), 0.0);
    std::size_t at = 0;
    for_each_sample([&](std::size_t i, T weight) {
      double const before = static_cast<double>(before_[at++]), change = static_cast<double>(weight) - before;
      health.tensors[i].weight_norm += before * before;
      moved[i] += change * change;
    });
    model_.backend().parallel(static_cast<Index>(parameters.size()), [&](Index i, int) {
      TensorHealth& tensor = health.tensors[to_size(i)];
      tensor.gradient_norm = norm_of(gradient(parameters[to_size(i)]));
      tensor.weight_norm = std::sqrt(tensor.weight_norm);
      if (tensor.weight_norm > 0.0) tensor.update_ratio = std::sqrt(moved[to_size(i)]) / tensor.weight_norm;
    });
    auto const biases = model_.biases();
    for (Index i = 0; i < biases.rows * biases.cols; ++i)
      health.largest_bias = max(health.largest_bias, std::fabs(static_cast<double>(biases.data[i])));
    for (Index layer = 0; layer < Model::config.layers; ++layer)
      if (double const logit = stepper.largest_logit(layer); logit > health.largest_logit)
        health.largest_logit = logit, health.largest_logit_layer = layer;
    if constexpr (f8) add_f8(health);
    return health;
  }

 private:
  template <class Body>
  void observed(Body const& body) {
    struct Restore {
      typename Model::Backend& backend;
      F8Observation* before;
      ~Restore() { backend.observe_f8(before); }
    };
    f8_.clear();
    F8Observation* const before = model_.backend().observe_f8(&f8_);
    {
      Restore const restore{model_.backend(), before};
      body();
    }
    if (before) *before += f8_;
  }

  [[gnu::cold]] void require_finite(StepObservation const& seen) const {
    if (std::isfinite(seen.loss.main) && std::isfinite(seen.loss.mtp) && std::isfinite(seen.gradient_norm))
      return;
    throw NumericError(
        text("training: step ", seen.step, " has loss ", seen.loss.main, " and gradient norm ",
             seen.gradient_norm, "; the trouble seems to begin in ", culprit({}).tensor,
             ". Nothing of this step was applied. Lower the learning rate (TrainerOptions::learning_rate "
             "or schedule; ",
             seen.rate, " in this step) or clip harder, and resume from the last checkpoint"));
  }

  [[nodiscard]] VectorView<T> gradient(ParameterInfo const& p) const {
    return model_.gradients().slice(p.offset, p.size());
  }
  [[nodiscard]] static double norm_of(VectorView<T> values) {
    return optim::global_norm(std::span<T const>(values.data, to_size(values.size)));
  }

  template <class Visit>
  void for_each_sample(Visit const& visit) const {
    auto const& parameters = model_.parameters();
    auto const weights = model_.weights();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Index const size = parameters[i].size(), stride = ceil_div(size, samples);
      for (Index k = 0; k < size; k += stride) visit(i, weights[parameters[i].offset + k]);
    }
  }

  void add_f8(Health& health) const {
    F8Statistics all;
    double worst = 0.0;
    for (F8TensorStatistics const& entry : f8_statistics(model_, f8_)) {
      all += entry.statistics;
      double const share =
          static_cast<double>(entry.statistics.vanished) / static_cast<double>(entry.statistics.values);
      if (share > worst) worst = share, health.f8_tensor = entry.name;
    }
    if (all.values == 0) return;
    health.f8_values = static_cast<double>(all.values);
    health.f8_saturated = static_cast<double>(all.saturated) / health.f8_values;
    health.f8_vanished = static_cast<double>(all.vanished) / health.f8_values;
    health.f8_lost = static_cast<double>(all.lost) / health.f8_values;
  }

  Model& model_;
  std::vector<std::string> names_;
  std::vector<TensorGroup> groups_;
  std::vector<T> before_;
  F8Observation f8_;
};

}  // namespace aeth::train
