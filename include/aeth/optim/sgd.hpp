/// Stochastic gradient descent with momentum, and decoupled weight decay so that ranges mean what they mean
/// in AdamW.
///
///   b ← μ·b + g,   w ← w - η·λ·w - η·b        (Nesterov: g + μ·b in place of the last b)
///
/// source   Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning";
///          decay: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 1
#pragma once

#include <cmath>
#include <concepts>
#include <span>
#include <string>

#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/optim/check.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

struct SgdOptions {
  double momentum = 0.9;      ///< μ, share of the old direction
  bool nesterov = false;      ///< look ahead along the new direction
  double weight_decay = 0.0;  ///< λ, per unit of learning rate
  double clip = 1.0;          ///< largest global norm of the gradients; infinity = no clipping
};

/// errors   UsageError that names the field
inline void validate(SgdOptions const& o) {
  detail::require_below_one("SgdOptions::momentum", o.momentum);
  detail::require_not_negative("SgdOptions::weight_decay", o.weight_decay);
  detail::require_clip("SgdOptions::clip", o.clip);
}

/// Every option by value: what a resumed run must share.
[[nodiscard]] inline std::string describe(SgdOptions const& o) {
  return text(o.nesterov ? "SGD, Nesterov momentum " : "SGD, momentum ", o.momentum, ", weight decay ",
              o.weight_decay, ", clip ", o.clip);
}

/// The constants of one update, computed in double and rounded once.
template <std::floating_point T>
struct SgdFactors {
  T gradient_scale;
  T momentum;
  bool nesterov;
  T minus_rate;   ///< -η
  T minus_decay;  ///< -η·λ, or 0 without decay
};

template <std::floating_point T>
[[nodiscard]] SgdFactors<T> sgd_factors(SgdOptions const& o, UpdateStep const& step, bool decay) noexcept {
  return {
      .gradient_scale = static_cast<T>(step.gradient_scale),
      .momentum = static_cast<T>(o.momentum),
      .nesterov = o.nesterov,
      .minus_rate = static_cast<T>(-step.rate),
      .minus_decay = static_cast<T>(decay ? -step.rate * o.weight_decay : 0.0),
  };
}

/// Overwrites an element's momentum; returns its direction, which sees the momentum before it is rounded to M.
template <std::floating_point T, MomentType<T> M>
[[nodiscard]] inline T sgd_direction(T gradient, M& momentum, SgdFactors<T> const& k) noexcept {
  T const b = std::fma(gradient, k.gradient_scale, k.momentum * static_cast<T>(momentum));
  momentum = static_cast<M>(b);
  return k.nesterov ? std::fma(gradient, k.gradient_scale, k.momentum * b) : b;
}

/// Moves one weight along its direction.
template <std::floating_point T>
[[nodiscard]] inline T sgd_moved(T weight, T direction, SgdFactors<T> const& k) noexcept {
  return std::fma(k.minus_rate, direction, std::fma(k.minus_decay, weight, weight));
}

/// The update of one element.
template <std::floating_point T, MomentType<T> M>
inline void sgd_element(T& weight, T gradient, M& momentum, SgdFactors<T> const& k) noexcept {
  weight = sgd_moved(weight, sgd_direction(gradient, momentum, k), k);
}

/// The optimizer: options and the loop over a range. Uses the first moment of the state only.
class Sgd {
 public:
  using Options = SgdOptions;
  static constexpr int moments = 1;

  /// errors   UsageError that names the field
  explicit Sgd(Options const& options = {}) : options_(options) { validate(options_); }

  [[nodiscard]] Options const& options() const noexcept { return options_; }

  /// Overwrites weights and momentum in the range; ranges may be split anywhere.
  template <std::floating_point T, MomentType<T> M>
  void update(std::span<T> weights, std::span<T const> gradients, OptimizerState<T, M> const& state,
              ParameterRange range, UpdateStep const& step) const noexcept {
    auto const k = sgd_factors<T>(options_, step, range.decay);
    for (std::size_t i = to_size(range.begin); i < to_size(range.end); ++i)
      sgd_element(weights[i], gradients[i], state.first[i], k);
  }

 private:
  Options options_;
};

}  // namespace aeth::optim
