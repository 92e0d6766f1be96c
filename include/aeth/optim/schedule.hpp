/// Learning-rate schedules: a value made of pieces, each with a length in steps, two rates and a shape.
///
/// Steps count from 0. Step i of a piece of n steps has done p = (i + 1) / n of it, so a warm-up from 0
/// starts at peak / n instead of a lost step, and each piece ends on its last rate exactly. After the last
/// piece that rate holds. Only operations with one correctly rounded result are used: the same bits on each
/// machine.
#pragma once

#include <array>
#include <cmath>

#include "aeth/config/recipe.hpp"
#include "aeth/core/math.hpp"
#include "aeth/optim/check.hpp"

namespace aeth::optim {

/// A stretch of steps in which the rate goes from one value to another.
struct SchedulePiece {
  Index steps = 0;    ///< 0 = no such piece
  double from = 0.0;  ///< rate before the first step
  double to = 0.0;    ///< rate at the last step
  RateShape shape = RateShape::constant;

  friend constexpr bool operator==(SchedulePiece const&, SchedulePiece const&) = default;
};

namespace detail {

/// sin(x) for 0 <= x <= π/4, by its series; the first term left out is below 1e-18.
[[nodiscard]] inline double small_sine(double x) noexcept {
  double const square = x * x;
  double sum = 0.0;
  for (int n = 17; n >= 3; n -= 2) sum = -std::fma(sum, square, square) / static_cast<double>(n * (n - 1));
  return std::fma(sum, x, x);
}

/// (1 - cos πp) / 2 for 0 <= p <= 1.
[[nodiscard]] inline double cosine_share(double p) noexcept {
  constexpr double half_pi = 1.57079632679489661923;
  bool const second_half = p > 0.5;
  double const sine = small_sine(half_pi * (second_half ? 1.0 - p : p));
  return second_half ? std::fma(-sine, sine, 1.0) : sine * sine;
}

/// How much of the way from one rate to the other is done after the share p of the piece.
[[nodiscard]] inline double shape_share(RateShape shape, double p) noexcept {
  switch (shape) {
    case RateShape::linear:
      return p;
    case RateShape::cosine:
      return cosine_share(p);
    case RateShape::one_minus_sqrt:
      return std::sqrt(p);
    case RateShape::constant:
      break;
  }
  return 1.0;
}

}  // namespace detail

/// Up to six pieces, one after another.
struct Schedule {
  std::array<SchedulePiece, 6> pieces{};

  /// Steps of all pieces together.
  [[nodiscard]] constexpr Index steps() const noexcept {
    Index sum = 0;
    for (auto const& piece : pieces) sum += piece.steps;
    return sum;
  }

  /// Learning rate of a step, counted from 0.
  [[nodiscard]] double at(Index step) const noexcept {
    double rate = 0.0;
    for (auto const& piece : pieces) {
      if (piece.steps <= 0) continue;
      rate = piece.to;
      if (step < piece.steps - 1 && piece.shape != RateShape::constant) {
        double const done = static_cast<double>(max(step, Index{0}) + 1) / static_cast<double>(piece.steps);
        double const share = detail::shape_share(piece.shape, done);
        return std::fma(share, piece.to, std::fma(-share, piece.from, piece.from));
      }
      if (step < piece.steps) return rate;
      step -= piece.steps;
    }
    return rate;
  }

  friend constexpr bool operator==(Schedule const&, Schedule const&) = default;
};

/// errors   UsageError for a schedule without steps, or with a length or rate that makes no sense
inline void validate(Schedule const& schedule) {
  for (auto const& piece : schedule.pieces) {
    detail::require_steps("SchedulePiece::steps", piece.steps);
    detail::require_not_negative("SchedulePiece::from", piece.from);
    detail::require_not_negative("SchedulePiece::to", piece.to);
  }
  detail::require_positive_steps("the sum of SchedulePiece::steps of a schedule", schedule.steps());
}

/// Warm-up, then half a cosine from peak to floor.
struct CosineOptions {
  double peak = 0.0;
  double floor = 0.0;
  Index warmup_steps = 0;
  Index total_steps = 0;  ///< warm-up included
};

/// errors   UsageError
[[nodiscard]] inline Schedule cosine_schedule(CosineOptions const& o) {
  detail::require_positive("CosineOptions::peak", o.peak);
  detail::require_not_negative("CosineOptions::floor", o.floor);
  expect<UsageError>(o.floor <= o.peak, "CosineOptions::floor must not exceed peak; got ", o.floor, " and ",
                     o.peak);
  detail::require_steps("CosineOptions::warmup_steps", o.warmup_steps);
  detail::require_positive_steps("CosineOptions::total_steps", o.total_steps);
  expect<UsageError>(o.warmup_steps <= o.total_steps,
                     "CosineOptions::warmup_steps must not exceed total_steps; got ", o.warmup_steps, " and ",
                     o.total_steps);
  return {{{{o.warmup_steps, 0.0, o.peak, RateShape::linear},
            {o.total_steps - o.warmup_steps, o.peak, o.floor, RateShape::cosine}}}};
}

/// Warm-up, stable, decay; the decay can start whenever one likes, from any checkpoint of the stable part.
///
/// source   Hu et al. 2024 (MiniCPM), arXiv:2404.06395; the square-root form: Hägele et al. 2024,
///          arXiv:2405.18392
struct WarmupStableDecayOptions {
  double peak = 0.0;
  double floor = 0.0;
  Index warmup_steps = 0;
  Index stable_steps = 0;
  Index decay_steps = 0;
  RateShape decay = RateShape::one_minus_sqrt;
};

/// errors   UsageError
[[nodiscard]] inline Schedule warmup_stable_decay_schedule(WarmupStableDecayOptions const& o) {
  detail::require_positive("WarmupStableDecayOptions::peak", o.peak);
  detail::require_not_negative("WarmupStableDecayOptions::floor", o.floor);
  expect<UsageError>(o.floor <= o.peak, "WarmupStableDecayOptions::floor must not exceed peak; got ", o.floor,
                     " and ", o.peak);
  detail::require_steps("WarmupStableDecayOptions::warmup_steps", o.warmup_steps);
  detail::require_steps("WarmupStableDecayOptions::stable_steps", o.stable_steps);
  detail::require_steps("WarmupStableDecayOptions::decay_steps", o.decay_steps);
  expect<UsageError>(
      o.warmup_steps > 0 || o.stable_steps > 0 || o.decay_steps > 0,
      "WarmupStableDecayOptions needs at least one step in warmup_steps, stable_steps or decay_steps");
  expect<UsageError>(o.decay != RateShape::constant,
                     "WarmupStableDecayOptions::decay must be linear, cosine or one_minus_sqrt");
  return {{{{o.warmup_steps, 0.0, o.peak, RateShape::linear},
            {o.stable_steps, o.peak, o.peak, RateShape::constant},
            {o.decay_steps, o.peak, o.floor, o.decay}}}};
}

/// Warm-up, then constant with two drops. The defaults are DeepSeek-V2's (§3.1.2); V2-Lite drops first at
/// 0.8.
struct StepDecayOptions {
  double peak = 0.0;
  double factor = 0.316;     ///< about 1/sqrt(10), applied at each drop
  double first_drop = 0.6;   ///< share of total_steps
  double second_drop = 0.9;  ///< share of total_steps
  Index warmup_steps = 0;
  Index total_steps = 0;  ///< warm-up included
};

/// errors   UsageError
[[nodiscard]] inline Schedule step_decay_schedule(StepDecayOptions const& o) {
  detail::require_positive("StepDecayOptions::peak", o.peak);
  detail::require_positive("StepDecayOptions::factor", o.factor);
  detail::require_below_one("StepDecayOptions::first_drop", o.first_drop);
  detail::require_below_one("StepDecayOptions::second_drop", o.second_drop);
  expect<UsageError>(o.first_drop <= o.second_drop,
                     "StepDecayOptions::first_drop must not exceed second_drop; got ", o.first_drop, " and ",
                     o.second_drop);
  detail::require_steps("StepDecayOptions::warmup_steps", o.warmup_steps);
  detail::require_positive_steps("StepDecayOptions::total_steps", o.total_steps);
  auto const total = static_cast<double>(o.total_steps);
  auto const first = static_cast<Index>(std::floor(o.first_drop * total));
  auto const second = static_cast<Index>(std::floor(o.second_drop * total));
  expect<UsageError>(o.warmup_steps <= first,
                     "StepDecayOptions::warmup_steps must end before the first drop at step ", first,
                     "; got ", o.warmup_steps);
  double const middle = o.peak * o.factor;
  return {{{{o.warmup_steps, 0.0, o.peak, RateShape::linear},
            {first - o.warmup_steps, o.peak, o.peak, RateShape::constant},
            {second - first, middle, middle, RateShape::constant},
            {o.total_steps - second, middle * o.factor, middle * o.factor, RateShape::constant}}}};
}

}  // namespace aeth::optim
