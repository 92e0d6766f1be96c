/// One optimizer step over a whole flat parameter buffer: norm, clipping, update of each range.
#pragma once

#include <cmath>
#include <concepts>
#include <span>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/optim/check.hpp"
#include "aeth/optim/clip.hpp"
#include "aeth/optim/concepts.hpp"
#include "aeth/optim/state.hpp"

namespace aeth::optim {

/// What happened in a step.
struct StepReport {
  double gradient_norm = 0.0;   ///< before clipping
  double gradient_scale = 1.0;  ///< below 1 if clipped
  bool applied = false;         ///< false if the norm is not finite: weights and state are untouched
};

/// Throws unless the buffers have n elements each, the ranges ascend within them without overlap, and those that are
/// matrices have their elements.
///
/// errors   ShapeError
template <std::floating_point T, MomentType<T> M>
void require_matching(Index n, Index gradients, OptimizerState<T, M> const& state, int moments,
                      std::span<ParameterRange const> ranges) {
  auto const size = [](std::span<M> s) { return static_cast<Index>(s.size()); };
  expect<ShapeError>(gradients == n, "optimizer step: ", gradients, " gradients for ", n, " weights");
  expect<ShapeError>(size(state.first) == n, "optimizer step: ", size(state.first), " first moments for ", n,
                     " weights");
  expect<ShapeError>(moments < 2 || size(state.second) == n, "optimizer step: ", size(state.second),
                     " second moments for ", n, " weights");
  Index previous = 0;
  for (auto const& range : ranges) {
    expect<ShapeError>(range.begin >= previous && range.end >= range.begin && range.end <= n,
                       "optimizer step: range ", range.begin, " .. ", range.end, " does not follow ",
                       previous, " within ", n, " weights");
    expect<ShapeError>(!range.is_matrix() || range.rows * range.cols == range.end - range.begin,
                       "optimizer step: range ", range.begin, " .. ", range.end, " is no matrix of ",
                       range.rows, " x ", range.cols);
    previous = range.end;
  }
}

/// Clips the gradients to the optimizer's norm and updates each range; weights outside all ranges stay
/// frozen, but their gradients count in the norm. Overwrites weights and state, counts the step; nothing
/// changes if the norm is not finite. `norm` is of all gradients (of all ranks).
///
/// errors   UsageError for a rate that is negative or not finite, ShapeError for buffers that do not match
template <std::floating_point T, MomentType<T> M, Optimizer<T, M> O>
StepReport apply_step(O const& optimizer, std::span<T> weights, std::span<T const> gradients,
                      OptimizerState<T, M>& state, std::span<ParameterRange const> ranges, double rate,
                      double norm) {
  detail::require_not_negative("learning rate", rate);
  require_matching(static_cast<Index>(weights.size()), static_cast<Index>(gradients.size()), state,
                   O::moments, ranges);
  StepReport report{.gradient_norm = norm, .gradient_scale = 1.0, .applied = std::isfinite(norm)};
  if (!report.applied) return report;
  report.gradient_scale = clip_scale(norm, optimizer.options().clip);
  UpdateStep const step{.number = state.step + 1, .rate = rate, .gradient_scale = report.gradient_scale};
  for (auto const& range : ranges) optimizer.update(weights, gradients, state, range, step);
  state.step += 1;
  return report;
}

/// The same with the norm computed here, on one thread.
template <std::floating_point T, MomentType<T> M, Optimizer<T, M> O>
StepReport apply_step(O const& optimizer, std::span<T> weights, std::span<T const> gradients,
                      OptimizerState<T, M>& state, std::span<ParameterRange const> ranges, double rate) {
  return apply_step(optimizer, weights, gradients, state, ranges, rate, global_norm(gradients));
}

}  // namespace aeth::optim
