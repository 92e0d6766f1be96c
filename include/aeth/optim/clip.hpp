/// Global norm of the gradients, and the factor that bounds it.
///
/// source   Pascanu et al. 2013, arXiv:1211.5063, algorithm 1; bound 1.0: DeepSeek-V3, arXiv:2412.19437, §4.2
#pragma once

#include <cmath>
#include <concepts>
#include <span>

#include "aeth/backend/sum_of_squares.hpp"
#include "aeth/core/math.hpp"

namespace aeth::optim {

/// Euclidean norm of a flat gradient buffer; infinite or not a number if an element is.
template <std::floating_point T>
[[nodiscard]] double global_norm(std::span<T const> gradients) noexcept {
  auto const size = static_cast<Index>(gradients.size());
  double total = 0.0;
  for (Index block = 0; block < squares_block_count(size); ++block)
    total += block_sum_of_squares(gradients.data(), size, block);
  return std::sqrt(total);
}

/// Factor on the gradients that brings their norm down to `clip`, 1 if it is below; both positive.
[[nodiscard]] constexpr double clip_scale(double norm, double clip) noexcept {
  return norm > clip ? clip / norm : 1.0;
}

}  // namespace aeth::optim
