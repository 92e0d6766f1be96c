/// Global norm of the gradients, and the factor that bounds it.
///
/// The sum of squares has one fixed order whatever the number of threads: blocks of 4096 elements; within a
/// block 16 lanes in double (element i in lane i mod 16), joined as a binary tree; blocks added in order of
/// position. Blocks may be computed in parallel, `norm_of_blocks` joins them.
///
/// source   Pascanu et al. 2013, arXiv:1211.5063, algorithm 1; bound 1.0: DeepSeek-V3, arXiv:2412.19437, §4.2
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <span>

#include "aeth/core/math.hpp"

namespace aeth::optim {

inline constexpr Index norm_block = 4096;  ///< elements
inline constexpr Index norm_lanes = 16;

[[nodiscard]] constexpr Index norm_block_count(Index elements) noexcept {
  return ceil_div(elements, norm_block);
}

/// Sum of squares of block number `block`; the last block may be shorter.
template <std::floating_point T>
[[nodiscard]] double block_sum_of_squares(std::span<T const> gradients, Index block) noexcept {
  std::array<double, to_size(norm_lanes)> lanes{};
  Index const begin = block * norm_block;
  Index const end = min(begin + norm_block, static_cast<Index>(gradients.size()));
  for (Index i = begin; i < end; ++i) {
    double const x = static_cast<double>(gradients[to_size(i)]);
    double& lane = lanes[to_size((i - begin) % norm_lanes)];
    lane = std::fma(x, x, lane);
  }
  for (std::size_t half = to_size(norm_lanes) / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

/// Norm from the sums of all blocks, in order.
[[nodiscard]] inline double norm_of_blocks(std::span<double const> sums) noexcept {
  double total = 0.0;
  for (double const sum : sums) total += sum;
  return std::sqrt(total);
}

/// Euclidean norm of a flat gradient buffer; infinite or not a number if an element is.
template <std::floating_point T>
[[nodiscard]] double global_norm(std::span<T const> gradients) noexcept {
  double total = 0.0;
  for (Index block = 0; block < norm_block_count(static_cast<Index>(gradients.size())); ++block)
    total += block_sum_of_squares(gradients, block);
  return std::sqrt(total);
}

/// Factor on the gradients that brings their norm down to `clip`, 1 if it is below; both positive.
[[nodiscard]] constexpr double clip_scale(double norm, double clip) noexcept {
  return norm > clip ? clip / norm : 1.0;
}

}  // namespace aeth::optim
