/// What all optimizers share: the state they keep, the ranges they work on, and what changes from step to
/// step.
#pragma once

#include <concepts>
#include <span>

#include "aeth/core/math.hpp"
#include "aeth/numeric/precision.hpp"

namespace aeth::optim {

/// Step count and running means of a flat parameter buffer of n elements; views, the caller owns the memory
/// and sets it to zero before the first step. Together with the weights this is all that a checkpoint has to
/// keep.
///
/// types    T: weights and gradients; M: moments between steps. An update widens them to T and computes in T; what it
///          stores is rounded to nearest even, once
template <std::floating_point T, MomentType<T> M = T>
struct OptimizerState {
  std::span<M> first{};   ///< [n] mean of gradients, or momentum
  std::span<M> second{};  ///< [n] mean of squared gradients; empty if the optimizer has one moment only
  Index step = 0;         ///< updates applied so far
};

/// Elements begin .. end-1 of the flat buffer, with or without weight decay. Matrices decay; gains of norms
/// do not. A range that is one matrix, [rows, cols] row by row, is for optimizers that take matrices whole.
struct ParameterRange {
  Index begin = 0;
  Index end = 0;
  bool decay = true;
  Index rows = 0;  ///< 0: elements that do not depend on one another, and the range may be split anywhere
  Index cols = 0;

  [[nodiscard]] constexpr bool is_matrix() const { return rows > 0; }

  friend constexpr bool operator==(ParameterRange const&, ParameterRange const&) = default;
};

/// What one update needs besides the buffers.
struct UpdateStep {
  Index number = 1;             ///< of this update, counted from 1: the exponent of the bias corrections
  double rate = 0.0;            ///< learning rate
  double gradient_scale = 1.0;  ///< factor on gradients, from clipping
};

}  // namespace aeth::optim
