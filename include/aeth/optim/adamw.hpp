/// AdamW: Adam with weight decay that does not pass through the moments.
///
///   m ← β1·m + (1 - β1)·g,   v ← β2·v + (1 - β2)·g²
///   w ← w - η·λ·w - η · m/(1 - β1^t) / ( sqrt(v/(1 - β2^t)) + ε )
///
/// Moments may be BF16 between steps, as DeepSeek-V3 has them. A step widens them, computes m, v and w in single
/// precision, and rounds m and v when it stores them: w sees the new moments before they are rounded, the next step
/// after. So nothing beside weights and stored moments is needed to go on exactly.
///
/// source   Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; constants: DeepSeek-V3,
///          arXiv:2412.19437, §4.2; moments in BF16: §3.3.3
#pragma once

#include <cmath>
#include <concepts>
#include <span>
#include <string>

#include "aeth/backend/types.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/optim/check.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// The defaults are DeepSeek-V3's; ε is not in the paper, 1e-8 is customary.
struct AdamWOptions {
  double beta1 = 0.9;         ///< share of the old mean of gradients
  double beta2 = 0.95;        ///< share of the old mean of squared gradients
  double epsilon = 1e-8;      ///< has the unit of a gradient
  double weight_decay = 0.1;  ///< λ, per unit of learning rate
  double clip = 1.0;          ///< largest global norm of the gradients; infinity = no clipping
};

/// errors   UsageError that names the field
inline void validate(AdamWOptions const& o) {
  detail::require_below_one("AdamWOptions::beta1", o.beta1);
  detail::require_below_one("AdamWOptions::beta2", o.beta2);
  detail::require_positive("AdamWOptions::epsilon", o.epsilon);
  detail::require_not_negative("AdamWOptions::weight_decay", o.weight_decay);
  detail::require_clip("AdamWOptions::clip", o.clip);
}

/// Every option by value: what a resumed run must share.
[[nodiscard]] inline std::string describe(AdamWOptions const& o) {
  return text("AdamW, beta1 ", o.beta1, ", beta2 ", o.beta2, ", epsilon ", o.epsilon, ", weight decay ",
              o.weight_decay, ", clip ", o.clip);
}

/// 1 - beta^steps for steps >= 1, by repeated doubling: 1 - ab = (1-a) + (1-b) - (1-a)(1-b). Accurate also
/// where beta^steps is close to 1, and the same bits on each machine, unlike std::pow.
[[nodiscard]] inline double bias_correction(double beta, Index steps) noexcept {
  double result = 0.0;
  double power = 1.0 - beta;
  for (; steps > 0; steps /= 2) {
    if (steps % 2 != 0) result = std::fma(-result, power, result + power);
    power = std::fma(-power, power, power + power);
  }
  return result;
}

/// The constants of one update, computed in double and rounded once; the backends' own form.
template <std::floating_point T>
using AdamWFactors = AdamWConstants<T>;

template <std::floating_point T>
[[nodiscard]] AdamWFactors<T> adamw_factors(AdamWOptions const& o, UpdateStep const& step,
                                            bool decay) noexcept {
  return {
      .gradient_scale = static_cast<T>(step.gradient_scale),
      .beta1 = static_cast<T>(o.beta1),
      .one_minus_beta1 = static_cast<T>(1.0 - o.beta1),
      .beta2 = static_cast<T>(o.beta2),
      .one_minus_beta2 = static_cast<T>(1.0 - o.beta2),
      .inverse_root_correction2 = static_cast<T>(1.0 / std::sqrt(bias_correction(o.beta2, step.number))),
      .epsilon = static_cast<T>(o.epsilon),
      .minus_step_size = static_cast<T>(-step.rate / bias_correction(o.beta1, step.number)),
      .minus_decay = static_cast<T>(decay ? -step.rate * o.weight_decay : 0.0),
  };
}

/// The update of one element: the definition that vector kernels must match bit for bit. Every sum of a
/// product is an explicit fused multiply-add, so that no compiler can choose.
template <std::floating_point T, MomentType<T> M>
inline void adamw_element(T& weight, T gradient, M& first, M& second, AdamWFactors<T> const& k) noexcept {
  T const g = gradient * k.gradient_scale;
  T const m = std::fma(k.beta1, static_cast<T>(first), k.one_minus_beta1 * g);
  T const v = std::fma(k.beta2, static_cast<T>(second), (k.one_minus_beta2 * g) * g);
  T const denominator = std::fma(std::sqrt(v), k.inverse_root_correction2, k.epsilon);
  T const decayed = std::fma(k.minus_decay, weight, weight);
  weight = std::fma(k.minus_step_size, m / denominator, decayed);
  first = static_cast<M>(m);
  second = static_cast<M>(v);
}

/// The optimizer: options and the loop over a range.
class AdamW {
 public:
  using Options = AdamWOptions;
  static constexpr int moments = 2;

  /// errors   UsageError that names the field
  explicit AdamW(Options const& options = {}) : options_(options) { validate(options_); }

  [[nodiscard]] Options const& options() const noexcept { return options_; }

  /// Overwrites weights and both moments in the range; all buffers have n elements, the range lies within.
  /// Ranges may be split anywhere and updated in any order or in parallel: elements do not depend on one
  /// another.
  template <std::floating_point T, MomentType<T> M>
  void update(std::span<T> weights, std::span<T const> gradients, OptimizerState<T, M> const& state,
              ParameterRange range, UpdateStep const& step) const noexcept {
    auto const k = adamw_factors<T>(options_, step, range.decay);
    for (std::size_t i = to_size(range.begin); i < to_size(range.end); ++i)
      adamw_element(weights[i], gradients[i], state.first[i], state.second[i], k);
  }

 private:
  Options options_;
};

}  // namespace aeth::optim
